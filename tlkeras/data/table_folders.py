"""Folders of tables: named after the parts of the data, or beside the pictures that they describe."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tlkeras.data.image_files import sniff_format
from tlkeras.data.part_names import PART_NAMES, part_of_folder
from tlkeras.data.table import Table, merge_tables
from tlkeras.data.table_files import TABLE_SUFFIXES, parse_table
from tlkeras.errors import DataError

_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def tables_by_part(folder: Path) -> list[tuple[str, Path]]:
    """Return the tables in a folder (or in `data/` in it) whose names hold a part, as in `test-00000-of-00001.parquet`."""
    for place in (folder, folder / "data"):
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in TABLE_SUFFIXES) if place.is_dir() else []
        found = [(part, path) for path in files if path.is_file() and (part := _part_in_name(path))]
        if any(part == "train" for part, _ in found):
            return found
    return []


def read_tables_by_part(folder: Path, *, encoding: str | None = None) -> Table:
    """Read the tables of a folder that are named after parts, as one table with a column `split`.

    Raises:
        DataError: There is no table named after the training part, one cannot be read, or their columns do not fit.
    """
    found = tables_by_part(folder)
    if not found:
        raise DataError(
            f"{str(folder)!r} holds no table named after the training part. Expected such files as train.csv and test.csv "
            f"({', '.join(sorted(TABLE_SUFFIXES))})."
        )
    tables = [(part, parse_table(path, encoding=encoding)) for part, path in found]
    _require_like_columns(tables)
    table = merge_tables(str(folder), tables)
    names = ", ".join(f"{part} from {path.name}" for part, path in found[:6])
    return replace(table, notes=(*table.notes, f"Tables of {str(folder)!r}: {names}{' …' if len(found) > 6 else ''}."))


def _require_like_columns(tables: Sequence[tuple[str, Table]]) -> None:
    """Refuse a table that lacks columns of the training table and has others: most likely one has another name."""
    first = next(table for part, table in tables if part == "train")
    for _, table in tables:
        lacks, has = set(first.columns) - set(table.columns), set(table.columns) - set(first.columns)
        if lacks and has:
            raise DataError(
                f"{table.origin!r} has the columns {_listed(has)}, but lacks {_listed(lacks)} of {first.origin!r}. Give the "
                "columns of all tables the same names, or remove those that it alone has."
            )


def _listed(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def metadata_files(folder: Path) -> list[Path]:
    """Return the metadata files beside the pictures of a folder or of the folders in it."""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [file for place in (folder, *inner) for name in _METADATA if (file := place / name).is_file()]


def read_picture_metadata(folder: Path, *, encoding: str | None = None) -> Table:
    """Read pictures with `metadata.csv`, `.jsonl` or `.parquet` beside them, as the Hugging Face `imagefolder` has them.

    The column `file_name` is relative to the file that it stands in; in the table it is relative to `folder`.

    Raises:
        DataError: There is no metadata file, one has no column `file_name`, or one cannot be read.
    """
    files = metadata_files(folder)
    if not files:
        raise DataError(
            f"{str(folder)!r} holds no {' or '.join(_METADATA)}, neither beside the pictures nor one folder below. "
            "For a folder of pictures for each class: --data folder:PATH."
        )
    tables = []
    for file in files:
        table = parse_table(file, encoding=encoding)
        if "file_name" not in table.columns:
            raise DataError(
                f"{str(file)!r} has no column 'file_name'. Its columns: {', '.join(map(repr, table.columns))}. Name the column "
                "of paths so, or give the table itself as --data."
            )
        part = (part_of_folder(file.parent.name) or "train") if file.parent != folder else "train"
        tables.append((part, _below(table, file.parent.relative_to(folder).as_posix())))
    merged = tables[0][1] if len(tables) == 1 else merge_tables(str(folder), tables)
    return replace(merged, notes=(*merged.notes, *_unlisted(folder, merged)))


def _below(table: Table, place: str) -> Table:
    """Return a table whose file names begin one folder further up."""
    if place == ".":
        return table
    column = table.columns.index("file_name")
    rows = tuple((*row[:column], row[column] and f"{place}/{row[column]}", *row[column + 1 :]) for row in table.rows)
    return replace(table, rows=rows)


def _unlisted(folder: Path, table: Table) -> list[str]:
    """Say how many pictures of the folder are not in the table, if any."""
    listed = {os.path.normpath(name) for name in table.column("file_name")}
    others = [
        path
        for path in sorted(folder.rglob("*"))
        if str(path.relative_to(folder)) not in listed
        and not path.name.startswith(".")
        and path.is_file()
        and _is_picture(path)
    ]
    if not others:
        return []
    return [f"{len(others):,} pictures of {str(folder)!r} are not in its metadata and are left out, the first: {others[0]}."]


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return sniff_format(stream.read(64)) is not None
    except OSError:
        return False


def _part_in_name(path: Path) -> str | None:
    """Return the part that a file's name holds as a word; None if it holds none, or several."""
    words = re.split(r"[^a-z]+", path.stem.casefold())
    parts = {PART_NAMES[word] for word in words if word in PART_NAMES}
    return parts.pop() if len(parts) == 1 else None
