"""Pictures in tables: a column of paths, or of the pictures themselves, beside the labels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from tlkeras.data.checks import inspect_encoded, picture_columns
from tlkeras.data.columns import Roles, TableOptions, choose_columns, quoted
from tlkeras.data.examples import EncodedImages, ImageFiles, LeftOut, Splits, nothing_left_out
from tlkeras.data.part_names import parts_of_folders
from tlkeras.data.table import Table
from tlkeras.data.table_splits import splits_from_rows
from tlkeras.errors import DataError

_SUFFIXES = ("", ".jpg", ".png", ".jpeg", ".JPG", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_SAMPLE = 50


@dataclass(frozen=True)
class PictureRows:
    """The pictures of a table, before any is read.

    Attributes:
        store: Where they lie.
        ids: The identity of each row.
        faults: What is wrong with the path of each row; `""` for nothing.
        table: The table, with a column of parts if the paths say them.
        roles: Its columns, likewise.
        notes: What was decided on the way.
    """

    store: ImageFiles | EncodedImages
    ids: tuple[str, ...]
    faults: tuple[str, ...]
    table: Table
    roles: Roles
    notes: tuple[str, ...] = ()


def images_from_table(
    table: Table,
    options: TableOptions | None = None,
    *,
    folder: Path,
    inside: Path | None = None,
    seed: int = 0,
    near_duplicates: bool = True,
    left_out: LeftOut = nothing_left_out,
) -> Splits:
    """Return the pictures that a table names or holds as splits; every one has been decoded once.

    Identities are the paths as the table has them (with `/`), or the rows where the pictures lie in the table itself. Parts
    that the table gives are followed, in a column or as the first folder of every path; otherwise a stratified split is made.

    Args:
        table: The table.
        options: What the user says about its columns.
        folder: Where relative paths begin. If the pictures are not there but in a folder in it, or lack a suffix, that is
            found and said.
        inside: A folder that no path may leave: what the table came from is not trusted.
        seed: Seed of the split, where one has to be made.
        near_duplicates: False lets near copies lie in two parts.
        left_out: Says of an identity whether its row is left out.

    Raises:
        DataError: The table, its columns or its paths cannot be right; the message names the row and the way out.
    """
    options = options or TableOptions()
    rows = locate_pictures(table, options, folder=folder, inside=inside)
    store = rows.store
    if isinstance(store, ImageFiles):
        # What is wrong with its path is not looked at: one that leads out may be anything.
        store = ImageFiles(tuple("" if fault else path for path, fault in zip(store.paths, rows.faults, strict=True)))
    checks = inspect_encoded(store)
    prefix = [f"{path}: " for path in rows.store.paths] if isinstance(rows.store, ImageFiles) else [""] * len(checks)
    faults = [
        fault or (f"{where}{check.reason}" if check.reason else "")
        for where, fault, check in zip(prefix, rows.faults, checks, strict=True)
    ]
    return splits_from_rows(
        rows.table,
        rows.roles,
        options,
        store=rows.store,
        ids=rows.ids,
        faults=faults,
        metadata=picture_columns(checks),
        seed=seed,
        near_duplicates=near_duplicates,
        left_out=left_out,
        notes=rows.notes,
    )


def locate_pictures(table: Table, options: TableOptions, *, folder: Path, inside: Path | None = None) -> PictureRows:
    """Find the pictures that a table names or holds; reads none of them.

    Args:
        table: The table.
        options: What the user says about its columns.
        folder: Where relative paths begin.
        inside: A folder that no path may leave.

    Raises:
        DataError: The columns or all of the paths cannot be right.
    """
    roles = choose_columns(table, options, "image")
    if len(roles.inputs) > 1:
        raise DataError(f"Pictures lie in one column. Received: {quoted(roles.inputs)}")
    column = roles.inputs[0]
    if column in table.pictures:
        where = tuple(table.where(row) for row in range(len(table.rows)))
        return PictureRows(
            EncodedImages(table.pictures[column], where), tuple(table.ids().tolist()), ("",) * len(where), table, roles
        )
    cells, notes = _tidy(table, column)
    base, suffix = _find_pictures(folder, cells)
    if (base, suffix) != (folder, ""):
        added = f" with {suffix!r} added" if suffix else ""
        notes.append(f"The pictures of {table.origin!r} are taken from {str(base)!r}{added}.")
    paths = tuple(os.path.normpath(base / f"{cell}{suffix}") for cell in cells)
    faults = _path_faults(table, cells, paths, inside)
    table, roles = _with_parts(table, roles, cells, notes)
    return PictureRows(ImageFiles(paths), tuple(cells), tuple(faults), table, roles, tuple(notes))


def _tidy(table: Table, column: str) -> tuple[list[str], list[str]]:
    """Return the paths of a column without blanks, with the separators of this system."""
    cells = [cell.strip() for cell in table.column(column)]
    if os.sep == "/" and any("\\" in cell for cell in cells) and not any("/" in cell for cell in cells):
        note = f"The paths in {column!r} are written for Windows: each \\ is taken as /."
        return [cell.replace("\\", "/") for cell in cells], [note]
    return cells, []


def _find_pictures(folder: Path, cells: Sequence[str]) -> tuple[Path, str]:
    """Return the folder in which most of a sample of paths are files, and the suffix that makes them so."""
    named = [cell for cell in cells if cell and not PurePath(cell).is_absolute()]
    sample = named[:: max(1, len(named) // _SAMPLE)][:_SAMPLE]
    if not sample or not folder.is_dir() or any(_is_file(folder / cell) for cell in sample):
        return folder, ""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))[:_SAMPLE]
    bare = not any(PurePath(cell).suffix for cell in sample)
    tried = [(base, suffix) for base in (folder, *inner) for suffix in (_SUFFIXES if bare else _SUFFIXES[:1])]
    return max(tried, key=lambda one: sum(_is_file(one[0] / f"{cell}{one[1]}") for cell in sample))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _path_faults(table: Table, cells: Sequence[str], paths: Sequence[str], inside: Path | None) -> list[str]:
    """Return what is wrong with each path, `""` for nothing; refuse the table if none of its pictures exists."""
    faults, first_rows = [], dict[str, int]()
    root = os.path.realpath(inside) + os.sep if inside else ""
    for row, (cell, path) in enumerate(zip(cells, paths, strict=True)):
        fault = ""
        if not cell:
            fault = "no path"
        elif "://" in cell:
            fault = f"{cell} is an address, not a file; download the pictures first"
        elif root and not os.path.realpath(path).startswith(root):
            fault = f"{cell} leads out of the folder of the data"
        elif path in first_rows:
            fault = f"{cell} is also in row {table.numbers[first_rows[path]]}"
        faults.append(fault)
        first_rows.setdefault(path, row)
    sound = [row for row, fault in enumerate(faults) if not fault]
    if sound and not any(_is_file(Path(paths[row])) for row in sound):
        row = sound[0]
        raise DataError(
            f"None of the {len(sound):,} pictures that {table.origin!r} names exists, the first in {table.where(row)}: "
            f"{cells[row]!r}, looked for as {paths[row]!r}. Paths are relative to the table; move it or put them right."
        )
    return faults


def _with_parts(table: Table, roles: Roles, cells: Sequence[str], notes: list[str]) -> tuple[Table, Roles]:
    """Take the first folder of every path as its part, where all of them are parts and no column says otherwise."""
    first = [cell.split("/")[0] for cell in cells]
    part_of = parts_of_folders(sorted(set(first)))
    if roles.split or "split" in table.columns or len(part_of) < 2 or len(part_of) < len(set(first)):
        return table, roles
    notes.append("The paths begin with train, test and the like: the column 'split' is made of these folders.")
    rows = tuple((*row, part_of[folder]) for row, folder in zip(table.rows, first, strict=True))
    return replace(table, columns=(*table.columns, "split"), rows=rows), replace(roles, split="split")
