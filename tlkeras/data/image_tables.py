"""Pictures in tables: a column of paths, or of the pictures themselves, beside the labels."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from tlkeras.data.checks import inspect_encoded, picture_columns
from tlkeras.data.columns import Roles, TableOptions, choose_columns, quoted
from tlkeras.data.examples import EncodedImages, ImageFiles, Splits
from tlkeras.data.layout import PART_NAMES
from tlkeras.data.table import Table
from tlkeras.data.table_splits import splits_from_rows
from tlkeras.errors import DataError

_SUFFIXES = ("", ".jpg", ".png", ".jpeg", ".JPG", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_SAMPLE = 50


def images_from_table(
    table: Table, options: TableOptions | None = None, *, folder: Path, inside: Path | None = None, seed: int = 0
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

    Raises:
        DataError: The table, its columns or its paths cannot be right; the message names the row and the way out.
    """
    options = options or TableOptions()
    roles = choose_columns(table, options, "image")
    if len(roles.inputs) > 1:
        raise DataError(f"Pictures lie in one column. Received: {quoted(roles.inputs)}")
    column = roles.inputs[0]
    if column in table.pictures:
        where = tuple(table.where(row) for row in range(len(table.rows)))
        store = EncodedImages(table.pictures[column], where)
        checks = inspect_encoded(store)
        return splits_from_rows(
            table,
            roles,
            options,
            store=store,
            ids=table.ids(),
            faults=[check.reason or "" for check in checks],
            metadata=picture_columns(checks),
            seed=seed,
        )
    cells, notes = _tidy(table, column)
    base, suffix = _find_pictures(folder, cells)
    if (base, suffix) != (folder, ""):
        added = f" with {suffix!r} added" if suffix else ""
        notes.append(f"The pictures of {table.origin!r} are taken from {str(base)!r}{added}.")
    paths = tuple(os.path.normpath(base / f"{cell}{suffix}") for cell in cells)
    faults = _path_faults(table, cells, paths, inside)
    table, roles = _with_parts(table, roles, cells, notes)
    # What is wrong with its path is not looked at: one that leads out may be anything.
    checks = inspect_encoded(ImageFiles(tuple("" if fault else path for path, fault in zip(paths, faults, strict=True))))
    faults = [
        fault or (f"{path}: {check.reason}" if check.reason else "")
        for path, fault, check in zip(paths, faults, checks, strict=True)
    ]
    return splits_from_rows(
        table,
        roles,
        options,
        store=ImageFiles(paths),
        ids=cells,
        faults=faults,
        metadata=picture_columns(checks),
        seed=seed,
        notes=notes,
    )


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
    if not sample or any(_is_file(folder / cell) for cell in sample):
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
    first = [cell.split("/")[0].casefold() for cell in cells]
    if roles.split or "split" in table.columns or len(set(first)) < 2 or not set(first) <= PART_NAMES.keys():
        return table, roles
    notes.append("The paths begin with train, test and the like: the column 'split' is made of these folders.")
    rows = tuple((*row, part) for row, part in zip(table.rows, first, strict=True))
    return replace(table, columns=(*table.columns, "split"), rows=rows), replace(roles, split="split")
