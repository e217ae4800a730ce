"""Parquet and Arrow files, through pyarrow alone; what the Hugging Face `datasets` library notes in them is understood.

Pictures stay encoded: Arrow files are mapped, so that each is read when it is needed; Parquet is unpacked into memory or, where
it is large, into a temporary Arrow file that is mapped likewise.
"""

import json
import mmap
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.data import encoded
from tlkeras.data.cells import CellRows, pack
from tlkeras.data.encoded import EncodedColumn
from tlkeras.data.image_files import sniff_format
from tlkeras.data.table import Table, as_cell, number_cells
from tlkeras.errors import DataError

if TYPE_CHECKING:
    import pyarrow

_CHUNK = 4096


def read_arrow(path: Path, features: Mapping[str, Any] | None = None) -> Table:
    """Read a Parquet or Arrow file (stream or random-access format).

    Args:
        path: The file.
        features: What `datasets` knows about the columns (names of classes, pictures); read from the file if not given.

    Raises:
        DataError: It is damaged or of another kind, or there is no room to unpack it.
    """
    import pyarrow

    try:
        data = _read_parquet(path) if _is_parquet(path) else _map_arrow(path)
        return _as_table(str(path), data, _features(data.schema) if features is None else features)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{str(path)!r} is not a readable Parquet or Arrow file ({_first_line(error)}). Copy or save it again."
        ) from None


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1" or path.suffix.lower() in (".parquet", ".pq")


def _read_parquet(path: Path) -> "pyarrow.Table":
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
        size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups))
        return file.read() if size <= encoded.MEMORY_LIMIT else _unpack(file, path, size)


def _unpack(file: "pyarrow.parquet.ParquetFile", path: Path, size: int) -> "pyarrow.Table":
    """Write a large Parquet file, some thousand rows at a time, as Arrow into a temporary file, and map that."""
    import pyarrow

    folder = tempfile.gettempdir()
    if size > shutil.disk_usage(folder).free:
        raise DataError(
            f"{str(path)!r} unpacks to {size:,} bytes, for which there is no room in {folder!r}. Set the variable TMPDIR to a "
            "folder on a larger disk, or split the file."
        )
    with tempfile.TemporaryFile() as stream:
        with pyarrow.ipc.new_stream(stream, file.schema_arrow) as writer:
            for batch in file.iter_batches(batch_size=_CHUNK):
                writer.write_batch(batch)
        stream.flush()
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    return pyarrow.ipc.open_stream(pyarrow.BufferReader(pyarrow.py_buffer(mapped))).read_all()


def _map_arrow(path: Path) -> "pyarrow.Table":
    import pyarrow

    source = pyarrow.memory_map(str(path))
    try:
        return pyarrow.ipc.open_stream(source).read_all()
    except pyarrow.ArrowInvalid:
        source.seek(0)
        return pyarrow.ipc.open_file(source).read_all()


def _features(schema: "pyarrow.Schema") -> Mapping[str, Any]:
    """Return what `datasets` wrote into the schema about the columns."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _as_table(origin: str, data: "pyarrow.Table", features: Mapping[str, Any]) -> Table:
    columns, orders, pictures, left_out = {}, {}, {}, []
    for name, column in zip(data.column_names, data.columns, strict=True):
        column = _bare_paths(column)
        encoded = _encoded(column)
        if encoded is not None:
            pictures[name] = encoded
            continue
        classes = _class_names(features.get(name))
        try:
            columns[name] = pack(_class_cells(column, classes) if classes else _cells(column))
        except UnicodeDecodeError:
            left_out.append(name)
            continue
        if classes:
            orders[name] = classes
    rows = CellRows(tuple(columns.values())) if columns else ((),) * data.num_rows
    notes = (f"Columns of {origin!r} that are neither text nor pictures are left out: {', '.join(left_out)}.",)
    return Table(
        origin=origin,
        columns=tuple(columns),
        rows=rows,
        numbers=range(1, data.num_rows + 1),
        notes=notes if left_out else (),
        pictures=pictures,
        orders=orders,
    )


def _bare_paths(column: "pyarrow.ChunkedArray") -> "pyarrow.ChunkedArray":
    """Return the paths of pictures that `datasets` saved without their bytes; other columns as they are."""
    import pyarrow
    import pyarrow.compute

    kind = column.type
    if not pyarrow.types.is_struct(kind) or min(kind.get_field_index("bytes"), kind.get_field_index("path")) < 0:
        return column
    paths, held = (pyarrow.compute.struct_field(column, name) for name in ("path", "bytes"))
    return paths if held.null_count == len(column) and paths.null_count < len(column) else column


def _encoded(column: "pyarrow.ChunkedArray") -> EncodedColumn | None:
    """Return a column as encoded pictures if it holds any: binary, or structs of `bytes` and `path` as `datasets` has them."""
    import pyarrow

    kind = column.type
    if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column = pyarrow.compute.struct_field(column, "bytes")
        return _by_row(column) if _is_binary(column.type) else None
    if not _is_binary(kind):
        return None
    first = next((value for value in column if value.is_valid), None)
    return _by_row(column) if first is not None and sniff_format(first.as_py()[:64]) else None


def _is_binary(kind: "pyarrow.DataType") -> bool:
    import pyarrow

    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _by_row(column: "pyarrow.ChunkedArray") -> EncodedColumn:
    return EncodedColumn(lambda place: column[place].as_py() or b"", len(column))


def _values(column: "pyarrow.ChunkedArray") -> Iterator[Any]:
    """Yield the values of a column, a few thousand at a time in memory."""
    for start in range(0, len(column), _CHUNK):
        yield from column.slice(start, _CHUNK).to_pylist()


def _cells(column: "pyarrow.ChunkedArray") -> Iterator[str]:
    import pyarrow

    if pyarrow.types.is_floating(column.type):
        return number_cells(None if value is None else float(value) for value in _values(column))
    if _is_binary(column.type):
        return ("" if value is None else value.decode() for value in _values(column))
    return (as_cell(value) for value in _values(column))


def _class_names(feature: Any) -> tuple[str, ...]:
    """Return the names of a `ClassLabel`, or of a list of them; nothing for other features."""
    if isinstance(feature, list) and len(feature) == 1:
        return _class_names(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") in ("Sequence", "List", "LargeList"):
        return _class_names(feature.get("feature"))
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _class_cells(column: "pyarrow.ChunkedArray", classes: Sequence[str]) -> Iterator[str]:
    """Return the names for indices; -1, which stands for no label, gives an empty cell."""

    def name(index: int | None) -> str:
        if index is None or index == -1:
            return ""
        return classes[index] if 0 <= index < len(classes) else str(index)

    return (as_cell([name(one) for one in value]) if isinstance(value, list) else name(value) for value in _values(column))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
