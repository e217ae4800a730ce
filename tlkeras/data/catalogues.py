"""Data sets of TensorFlow Datasets: by name, or from a folder that it has prepared.

Where the files allow it (array_record), pictures are read by row when they are needed; otherwise they are read once and kept,
under a limit.
"""

import difflib
import importlib.util
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data import encoded
from tlkeras.data.cells import pack_rows
from tlkeras.data.encoded import EncodedColumn
from tlkeras.data.layout import left_out_splits
from tlkeras.data.part_names import PART_NAMES
from tlkeras.data.table import Table, as_cell, check_table, merge_tables
from tlkeras.errors import DataError

_LOGGER = logging.getLogger("tlkeras")
_HOST = ("storage.googleapis.com", 443)  # where TFDS keeps its checksums and most of its data


def is_tfds_folder(folder: Path) -> bool:
    """Say whether TensorFlow Datasets has prepared a folder."""
    return (folder / "features.json").is_file() and (folder / "dataset_info.json").is_file()


def read_tfds(name: str) -> Table:
    """Read a data set of TensorFlow Datasets as one table; its splits are the column `split`.

    Args:
        name: `NAME`, `NAME:CONFIG`, `NAME/CONFIG`, or a folder that holds a prepared data set.

    Raises:
        DataError: There is no such data set, it is not prepared and cannot be downloaded, or it holds nothing that fits.
    """
    builder = _from_folder(Path(name).expanduser()) if Path(name).expanduser().is_dir() else _from_name(name)
    columns = _columns(builder)
    splits = [split for split in builder.info.splits if split.casefold() in PART_NAMES]
    if not splits:
        raise DataError(
            f"None of the splits of {builder.info.full_name!r} is one of train, validation, test. "
            f"Received: {', '.join(builder.info.splits)}."
        )
    tables = []
    for split in splits:
        try:
            tables.append((split, _read_split(builder, split, columns, f"tfds:{name}/{split}")))
        except DataError:
            raise
        except Exception as error:  # a missing or damaged file, in the words of TFDS, TensorFlow or array_record
            raise DataError(
                f"TensorFlow Datasets cannot read the split {split!r} of {name!r}: {_brief(error)}. Prepare it again."
            ) from None
    table = merge_tables(f"tfds:{name}", tables)
    check_table(table)
    return replace(table, notes=(*table.notes, *left_out_splits(builder.info.splits)))


def _from_folder(folder: Path) -> Any:
    tfds = _tfds()
    places = [folder] if is_tfds_folder(folder) else sorted(file.parent for file in folder.glob("**/features.json"))
    places = [place for place in places if is_tfds_folder(place)]
    if len(places) != 1:
        what = f"{len(places)} data sets: {', '.join(str(place) for place in places[:5])}" if places else "none"
        raise DataError(
            f"{str(folder)!r} must hold one data set prepared by TensorFlow Datasets (the folder with features.json, usually "
            f"NAME/CONFIG/VERSION). Found {what}. Give its folder."
        )
    try:
        return tfds.builder_from_directory(str(places[0]))
    except Exception as error:  # TFDS raises anything from KeyError to ParseError on damaged files
        raise DataError(f"TensorFlow Datasets cannot read {str(places[0])!r}: {_brief(error)}. Prepare it again.") from None


def _from_name(name: str) -> Any:
    tfds = _tfds()
    place = os.environ.get("TFDS_DATA_DIR")
    try:
        builder = tfds.builder(name.replace(":", "/", 1), data_dir=place)
    except tfds.core.DatasetNotFoundError:
        near = difflib.get_close_matches(name.split(":")[0].split("/")[0], tfds.list_builders(), n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise DataError(
            f"TensorFlow Datasets has no data set {name!r}.{hint} For a folder that it has prepared: tfds:FOLDER. "
            "All names: www.tensorflow.org/datasets/catalog"
        ) from None
    except Exception as error:  # an unknown config or version, or a package that this data set needs
        raise DataError(f"TensorFlow Datasets cannot build {name!r}: {_brief(error)}.") from None
    if not builder.is_prepared():
        _prepare(builder, name)
    return builder


def _prepare(builder: Any, name: str) -> None:
    """Download and prepare a data set; say at once, not after minutes of retries, if there is no network."""
    ways = (
        f"- where there is a network, prepare it and copy {builder.data_dir} here: "
        f"python -c \"import tensorflow_datasets as tfds; tfds.builder('{builder.info.name}').download_and_prepare()\"\n"
        "- or set TFDS_DATA_DIR to the folder that holds prepared data sets\n"
        "- or give the folder of a prepared one: tfds:FOLDER"
    )
    if not _is_online():
        raise DataError(f"The data set {name!r} is not in {builder.data_dir}, and there is no network to fetch it.\n{ways}")
    size = builder.info.download_size
    _LOGGER.info("The data set %s is downloaded (%s) and prepared in %s", name, size, builder.data_dir)
    try:
        # The random-access format needs no second copy in memory; its package exists on Linux and macOS only.
        random_access = importlib.util.find_spec("array_record") is not None
        builder.download_and_prepare(file_format="array_record" if random_access else None)
    except Exception as error:  # network, disk, checksums, a manual download that is asked for
        raise DataError(f"The data set {name!r} cannot be prepared: {_brief(error)}\n{ways}") from None


def _is_online() -> bool:
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    try:
        socket.create_connection(_HOST, timeout=5).close()
    except OSError:
        return False
    return True


def _columns(builder: Any) -> dict[str, Callable[[Any], str] | None]:
    """Return for each feature that can be used how its values become cells; None for pictures."""
    tfds = _tfds()
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise DataError(f"The examples of {builder.info.full_name!r} have no named features, so there are no labels.")
    found: dict[str, Callable[[Any], str] | None] = {}
    for name, feature in features.items():
        if isinstance(feature, tfds.features.Image):
            found[name] = None
        elif convert := _converter(feature):
            found[name] = convert
    return found


def _converter(feature: Any) -> Callable[[Any], str] | None:
    tfds = _tfds()
    if isinstance(feature, tfds.features.ClassLabel):
        names = feature.names
        return lambda value: names[int(value)] if 0 <= int(value) < len(names) else ""  # -1: no label
    if isinstance(feature, tfds.features.Sequence):
        inner = _converter(feature.feature)
        return None if inner is None else lambda values: as_cell([inner(value) for value in values])
    if isinstance(feature, tfds.features.Tensor) and feature.shape == ():
        return _scalar_cell
    return None


def _scalar_cell(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return as_cell(value.item() if isinstance(value, np.generic) else value)


def _read_split(builder: Any, split: str, columns: dict[str, Callable[[Any], str] | None], origin: str) -> Table:
    pictures = [name for name, convert in columns.items() if convert is None]
    cells = {name: convert for name, convert in columns.items() if convert is not None}
    decoders = {name: _tfds().decode.SkipDecoding() for name in pictures}
    if builder.info.file_format.value in ("array_record", "parquet"):
        source = builder.as_data_source(split=split, decoders=decoders)
        records: Iterable[Any] = (source[place] for place in range(len(source)))
        kept = {name: EncodedColumn(lambda place, name=name: source[place][name], len(source)) for name in pictures}  # type: ignore[misc]
        rows = pack_rows(([convert(record[name]) for name, convert in cells.items()] for record in records), len(cells))
    else:
        dataset = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
        rows, kept = _read_once(origin, dataset.as_numpy_iterator(), cells, pictures)
    return Table(
        origin=origin,
        columns=tuple(cells),
        rows=rows,
        numbers=range(1, len(rows) + 1),
        pictures=kept,
        orders={name: tuple(names) for name in cells if (names := getattr(builder.info.features[name], "names", None))},
    )


def _read_once(
    origin: str, records: Iterable[Any], cells: dict[str, Callable[[Any], str]], pictures: Sequence[str]
) -> tuple[Sequence[tuple[str, ...]], dict[str, EncodedColumn]]:
    kept: dict[str, list[bytes]] = {name: [] for name in pictures}
    rows = pack_rows(_keep(origin, records, cells, kept), len(cells))
    return rows, {name: EncodedColumn(blobs.__getitem__, len(blobs)) for name, blobs in kept.items()}


def _keep(
    origin: str, records: Iterable[Any], cells: dict[str, Callable[[Any], str]], kept: dict[str, list[bytes]]
) -> Iterator[list[str]]:
    """Yield the cells of each record, and keep its pictures."""
    size = 0
    for record in records:
        yield [convert(record[name]) for name, convert in cells.items()]
        for name, blobs in kept.items():
            blobs.append(record[name])
            size += len(record[name])
        if size > encoded.MEMORY_LIMIT:
            raise DataError(
                f"The pictures of {origin!r} need more than {encoded.MEMORY_LIMIT:,} bytes of memory, because its files cannot "
                "be read row by row. Prepare it in a format that can: builder.download_and_prepare(file_format='array_record')."
            )


def _tfds() -> Any:
    import tensorflow_datasets

    if not hasattr(tensorflow_datasets, "core"):  # it logs why it could not be imported, and goes on half loaded
        raise DataError(
            "TensorFlow Datasets does not work in this Python environment: its packages do not fit together (often "
            "tensorflow-metadata and protobuf). Install fitting ones: pip install -U tensorflow-datasets tensorflow-metadata "
            "'protobuf>=6.31'  (or tensorflow-metadata<1.18 with an older protobuf)"
        )
    return tensorflow_datasets


def _brief(error: Exception) -> str:
    """Return the first lines of what TFDS says; some of its messages list hundreds of names."""
    message = re.sub(r"\{\{.*?\}\} ?| ?\[Op:\w+\] name:.*", "", " ".join(str(error).split()))  # what TensorFlow puts around it
    return message[:300] or type(error).__name__
