"""Data sets that the Hugging Face `datasets` library has saved on disk, read through pyarrow alone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlkeras.data.arrow_tables import read_arrow
from tlkeras.data.layout import left_out_splits
from tlkeras.data.part_names import PART_NAMES
from tlkeras.data.table import Table, check_table, merge_tables
from tlkeras.errors import DataError


def is_saved_dataset(folder: Path) -> bool:
    """Say whether `save_to_disk` of a `Dataset` or `DatasetDict` wrote a folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def read_saved_dataset(folder: Path) -> Table:
    """Read what `save_to_disk` wrote; pictures stay in their files, which are mapped.

    Raises:
        DataError: A file is missing or damaged, or the data set must be saved anew; the message names the file.
    """
    if not is_saved_dataset(folder):
        raise DataError(
            f"{str(folder)!r} is no data set saved by `datasets`: it holds neither dataset_dict.json nor state.json. "
            "Save it with `dataset.save_to_disk(FOLDER)`; a folder of Parquet files is read as it is: --data tables:FOLDER."
        )
    names = _split_names(folder) if (folder / "dataset_dict.json").is_file() else []
    known = [name for name in names if name.casefold() in PART_NAMES]
    if names and not known:
        raise DataError(
            f"None of the splits of {str(folder)!r} is one of train, validation, test. Received: {', '.join(names)}. "
            f"Give one of its folders, such as {str(folder / names[0])!r}."
        )
    places = [(name, folder / name) for name in known] or [("train", folder)]
    pairs = [(name, shard) for name, place in places for shard in _read_split(place)]
    table = merge_tables(str(folder), pairs)
    check_table(table)
    return replace(table, notes=(*table.notes, *left_out_splits(names)))


def _split_names(folder: Path) -> list[str]:
    names = _json(folder / "dataset_dict.json").get("splits")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{str(folder / 'dataset_dict.json')!r} names no splits. Save the data set again.")
    return names


def _read_split(folder: Path) -> list[Table]:
    state = _json(folder / "state.json")
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise DataError(
            f"{str(folder)!r} was saved with a mapping of its rows by an old version of `datasets`. Load it there and save it "
            "again: `load_from_disk(FOLDER).flatten_indices().save_to_disk(NEW)`."
        )
    features = _json(folder / "dataset_info.json").get("features") or {}
    files = [str(entry.get("filename")) for entry in state.get("_data_files") or [] if isinstance(entry, dict)]
    if not files or not all(Path(name).name == name for name in files):
        raise DataError(f"{str(folder / 'state.json')!r} names no data files. Save the data set again.")
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{str(folder / missing[0])!r} does not exist, but belongs to the data set. Copy all of its files.")
    return [read_arrow(folder / name, features if isinstance(features, dict) else {}) for name in files]


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{str(path)!r} does not exist, but belongs to the data set. Copy all of its files.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is no readable JSON ({error}). Copy or save the data set again.") from None
    return found if isinstance(found, dict) else {}
