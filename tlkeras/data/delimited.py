"""CSV and TSV: every cell stays text, every row keeps its line, nothing is guessed away.

Neither pandas nor the `csv` sniffer is used: they turn "NA" into nothing and "01" into 1, and lose the line numbers.
"""

import csv
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from tlkeras.data.cells import pack_rows
from tlkeras.data.encodings import binary_kind, text_encoding, wrong_encoding
from tlkeras.data.examples import Skipped
from tlkeras.data.table import Table
from tlkeras.errors import DataError

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_MAX_CELL = 10_000_000
_SAMPLE_LINES, _SAMPLE_WIDTH = 20, 100_000
_SWALLOWED = 20  # so many lines in one cell, most of them like rows, are no text but an unclosed quote


def read_delimited(path: Path, *, encoding: str | None = None, tabs: bool = False) -> Table:
    """Read a table whose cells are delimited by comma, semicolon, tab or bar; memory holds the cells and nothing else.

    Args:
        path: The file.
        encoding: Its encoding; UTF-8 if not given.
        tabs: Whether tabs delimit wherever the header has one, as in `.tsv` files.

    Raises:
        DataError: It is no text, in another encoding, or a quote is not closed; the message names the row.
    """
    with path.open("rb") as stream:
        kind = binary_kind(stream.read(4096))
    if kind:
        raise DataError(f"{str(path)!r} is {kind}, not CSV. Give it the suffix of what it is, or save it as CSV.")
    codec = text_encoding(encoding)
    try:
        delimiter = _find_delimiter(path, codec, tabs)
        try:
            return _read(path, codec, delimiter, csv.QUOTE_MINIMAL)
        except _QuoteError as error:
            # Many TSV files are written without any quoting; then each line is a row, and a quote is a character.
            unquoted = _read(path, codec, delimiter, csv.QUOTE_NONE) if delimiter == "\t" else None
            if unquoted is None or unquoted.skipped:
                raise DataError(str(error)) from None
            note = f"Quotes in {path.name!r} are taken as they stand, because its rows only fit together that way."
            return replace(unquoted, notes=(note,))
    except UnicodeDecodeError as error:
        raise wrong_encoding(path, error, encoding) from None


class _QuoteError(Exception):
    """A quote that is not closed, as far as quotes mean anything in this file."""


def _find_delimiter(path: Path, codec: str, tabs: bool) -> str:
    """Return the delimiter by which most of the first rows have as many cells as the header has names."""
    with path.open(encoding=codec, newline="") as stream:
        filled = (line[:_SAMPLE_WIDTH] for line in stream if line.strip())
        lines = list(islice(filled, _SAMPLE_LINES))
    best, score = ",", (False, 0.0, 0)
    for delimiter in ("\t", ",", ";", "|") if tabs else _DELIMITERS:
        with _long_cells():
            widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
        fitting = sum(width == widths[0] for width in widths[1:]) / len(widths) if widths else 0.0
        found = (widths[:1] > [1], 2.0 if tabs and delimiter == "\t" else fitting, widths[0] if widths else 0)
        if found > score:
            best, score = delimiter, found
    return best


def _read(path: Path, codec: str, delimiter: str, quoting: int) -> Table:
    numbers = array("q")
    skipped: list[Skipped] = []
    with path.open(encoding=codec, newline="") as stream, _long_cells():
        records = _records(path, stream, delimiter, quoting, skipped)
        header = next(records, (0, []))[1]
        columns = tuple(cell.strip() or f"column {place}" for place, cell in enumerate(header, 1))
        rows = pack_rows(_sound(path, records, columns, delimiter, numbers, skipped), len(columns)) if columns else ()
    return Table(str(path), columns, rows, np.asarray(numbers, np.int64), tuple(skipped))


def _sound(
    path: Path,
    records: Iterator[tuple[int, list[str]]],
    columns: tuple[str, ...],
    delimiter: str,
    numbers: "array[int]",
    skipped: list[Skipped],
) -> Iterator[list[str]]:
    """Yield the rows that can be used and note their numbers, and why others cannot."""
    for number, cells in records:
        reason = ""
        if len(cells) != len(columns):
            reason = f"{len(cells)} cells instead of {len(columns)} (separated by {_DELIMITERS[delimiter]})"
        elif any("\0" in cell for cell in cells):
            reason = "a NUL byte"
        elif any(cell.count("\n") >= _SWALLOWED and _holds_rows(cell, len(columns), delimiter) for cell in cells):
            raise _QuoteError(_unclosed(path, number, "it ends only after many lines that look like rows"))
        if reason:
            skipped.append(Skipped(f"{path}, row {number}", reason))
        else:
            numbers.append(number)
            yield cells


def _records(
    path: Path, stream: TextIO, delimiter: str, quoting: int, skipped: list[Skipped]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with the line it begins on."""
    reader = csv.reader(stream, delimiter=delimiter, strict=True, quoting=quoting)  # type: ignore[arg-type]
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error) and reader.line_num == begin:
                skipped.append(Skipped(f"{path}, row {begin}", f"a cell of more than {_MAX_CELL:,} characters"))
                continue
            raise _QuoteError(_unclosed(path, begin, str(error))) from None
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield begin, cells


def _unclosed(path: Path, row: int, detail: str) -> str:
    return (
        f'{path}, row {row}: a quote (") that opens there is not closed properly ({detail}). '
        'Quotes inside a quoted cell are written twice (""); put them right and run again.'
    )


def _holds_rows(cell: str, width: int, delimiter: str) -> bool:
    """Say whether most lines inside a cell have as many cells as the table has columns."""
    lines = cell.split("\n")[1:-1]
    return width > 1 and sum(line.count(delimiter) == width - 1 for line in lines) >= 0.9 * len(lines)


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the limit of a cell's length, which the `csv` module holds for the whole process, for as long as needed."""
    limit = csv.field_size_limit(_MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
