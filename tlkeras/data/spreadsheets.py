"""XLSX workbooks, through openpyxl: the values of the first sheet."""

import zipfile
from pathlib import Path
from typing import Any

from tlkeras.data.table import Table, as_cell
from tlkeras.errors import DataError

_MAX_BYTES = 2 * 2**30
_MAX_RATIO = 200


def read_workbook(path: Path) -> Table:
    """Read the first sheet of an XLSX workbook; numbers of rows are those that the spreadsheet shows.

    Raises:
        DataError: openpyxl is missing, or the file is no workbook that it can read.
    """
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f"Reading {str(path)!r} needs openpyxl. Install it with: pip install 'tlkeras[xlsx]'  (or save the table as CSV)"
        ) from None
    try:
        _refuse_bombs(path)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            notes = _other_sheets(path, [one.title for one in book.worksheets])
            filled = [
                (number, tuple(as_cell(value) for value in cells))
                for number, cells in enumerate(sheet.iter_rows(values_only=True), 1)
                if any(value is not None for value in cells)
            ]
        finally:
            book.close()
    except Exception as error:  # openpyxl raises BadZipFile, KeyError, ParseError … on what is no workbook
        raise DataError(f"{str(path)!r} is not a readable XLSX workbook ({error}). Save it again, or as CSV.") from None
    return _as_table(path, filled, notes)


def _as_table(path: Path, filled: list[tuple[int, tuple[str, ...]]], notes: tuple[str, ...]) -> Table:
    header = filled[0][1] if filled else ()
    width = max((place for place, cell in enumerate(header, 1) if cell.strip()), default=0)
    columns = tuple(cell.strip() or f"column {place}" for place, cell in enumerate(header[:width], 1))
    rows = tuple((*cells, *("",) * width)[:width] for _, cells in filled[1:])
    beyond = [number for number, cells in filled[1:] if any(cells[width:])]
    if beyond:
        notes += (f"Cells of {path.name!r} beside its {width} named columns are left out, the first in row {beyond[0]}.",)
    return Table(str(path), columns, rows, tuple(number for number, _ in filled[1:]), notes=notes)


def _refuse_bombs(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MAX_BYTES or size > max(10**8, _MAX_RATIO * path.stat().st_size):
        raise ValueError(f"it unpacks to {size:,} bytes")


def _other_sheets(path: Path, titles: list[Any]) -> tuple[str, ...]:
    if len(titles) < 2:
        return ()
    others = ", ".join(repr(title) for title in titles[1:5])
    return (f"Of {path.name!r} the first sheet, {titles[0]!r}, is read; the others are not: {others}.",)
