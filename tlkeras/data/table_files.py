"""Tables in files, read as they are: every cell stays text, every row keeps its number, nothing is guessed away.

Neither pandas nor the `csv` sniffer is used: they turn "NA" into nothing and "01" into 1, and lose the line numbers.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkeras.data.examples import Skipped
from tlkeras.errors import DataError

TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx"))

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_MAX_CELL = 10_000_000


@dataclass(frozen=True)
class Table:
    """A table of str cells; `numbers` are the 1-based physical lines (or spreadsheet rows) on which the rows begin."""

    origin: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    skipped: tuple[Skipped, ...] = ()

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def parse_table(path: str | Path) -> Table:
    """Read a CSV (delimited by comma, semicolon, tab or bar), JSONL or XLSX file.

    Raises:
        DataError: The file is missing, of another kind, not UTF-8, has no rows, an unclosed quote or a header that cannot be
            right; the message names the row.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else f"does not exist (looked for {path.absolute()})"
        raise DataError(f"The table {str(path)!r} {what}. Expected a file: {', '.join(sorted(TABLE_SUFFIXES))}.")
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        table = _parse_xlsx(path)
    elif suffix in (".jsonl", ".ndjson"):
        table = _parse_jsonl(path)
    elif suffix in (".csv", ".tsv", ".txt"):
        table = _parse_csv(path)
    else:
        raise DataError(
            f"Cannot read {str(path)!r} as a table. Received a {suffix or 'file without suffix'}; "
            f"allowed: {', '.join(sorted(TABLE_SUFFIXES))}. Save it as one of these."
        )
    _check_header(table)
    if not table.rows:
        raise DataError(f"{str(path)!r} holds no rows below its header.{_first_reason(table)}")
    return table


def _parse_csv(path: Path) -> Table:
    text = _read_utf8(path)
    header = next((line for line in io.StringIO(text) if line.strip()), "")
    # The header decides: it rarely holds a delimiter inside a name, and it says how many cells each row must have.
    widths = {delimiter: len(next(csv.reader([header], delimiter=delimiter), [])) for delimiter in _DELIMITERS}
    delimiter = max(widths, key=lambda key: widths[key])
    columns: tuple[str, ...] = ()
    rows, numbers, skipped = [], [], []
    for number, cells in _csv_records(path, text, delimiter):
        reason = ""
        if not columns:
            columns = tuple(cell.strip() or f"column {place}" for place, cell in enumerate(cells, 1))
            continue
        if len(cells) != len(columns):
            reason = f"{len(cells)} cells instead of {len(columns)} (separated by {_DELIMITERS[delimiter]})"
        elif any("\0" in cell for cell in cells):
            reason = "a NUL byte"
        if reason:
            skipped.append(Skipped(f"{path}, row {number}", reason))
        else:
            rows.append(tuple(cells))
            numbers.append(number)
    return Table(str(path), columns, tuple(rows), tuple(numbers), tuple(skipped))


def _csv_records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with the line it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    limit = csv.field_size_limit(_MAX_CELL)
    begin = 1
    try:
        for cells in reader:
            if any(cells):
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f'{path}, row {begin}: a quote (") that opens there is not closed properly ({error}). '
            'Quotes inside a quoted cell are written twice (""); put them right and run again.'
        ) from None
    finally:
        csv.field_size_limit(limit)


def _parse_jsonl(path: Path) -> Table:
    text = _read_utf8(path)
    if text.lstrip().startswith("["):
        raise DataError(f"{str(path)!r} holds one JSON array. Expected JSONL: one object on each line.")
    lines = text.split("\n")
    columns: dict[str, None] = {}
    records, numbers, skipped = [], [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_distinct_keys, parse_constant=_no_constant)
            if not isinstance(record, dict):
                raise ValueError(f"a {type(record).__name__}, not an object")
            cells = {key: _cell(value) for key, value in record.items()}
            "".join((*cells, *cells.values())).encode()  # a lone surrogate is valid JSON and no text
        except ValueError as error:
            last = number == len(lines) and isinstance(error, json.JSONDecodeError)
            skipped.append(Skipped(f"{path}, row {number}", f"not a JSON object ({'truncated: ' if last else ''}{error})"))
            continue
        columns.update(dict.fromkeys(cells))
        records.append(cells)
        numbers.append(number)
    rows = tuple(tuple(record.get(column, "") for column in columns) for record in records)
    return Table(str(path), tuple(columns), rows, tuple(numbers), tuple(skipped))


def _parse_xlsx(path: Path) -> Table:
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f"Reading {str(path)!r} needs openpyxl. Install it with: pip install 'tlkeras[xlsx]'  (or save the table as CSV)"
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises BadZipFile, KeyError, InvalidFileException … on what is no workbook
        raise DataError(f"{str(path)!r} is not a readable XLSX workbook ({error}). Save it again, or as CSV.") from None
    sheet = book.worksheets[0]
    filled = [
        (number, tuple(_cell(value) for value in cells))
        for number, cells in enumerate(sheet.iter_rows(values_only=True), 1)
        if any(value is not None for value in cells)
    ]
    book.close()
    if not filled:
        return Table(str(path), (), (), ())
    header = filled[0][1]
    width = max(place for place, cell in enumerate(header, 1) if cell)
    columns = tuple(cell.strip() or f"column {place}" for place, cell in enumerate(header[:width], 1))
    rows = tuple((*cells, *("",) * width)[:width] for _, cells in filled[1:])
    return Table(str(path), columns, rows, tuple(number for number, _ in filled[1:]))


def _read_utf8(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        guess = "UTF-16" if utf16 else "Windows-1252 (Western European)"
        raise DataError(
            f"{path}, row {row}: byte {data[error.start]:#04x} at offset {error.start} is not UTF-8; the file looks like "
            f"{guess}. Save it as UTF-8 (in Excel: 'CSV UTF-8'), or: iconv -f {'utf-16' if utf16 else 'windows-1252'} -t utf-8"
        ) from None


def _check_header(table: Table) -> None:
    if not table.columns:
        raise DataError(f"{table.origin!r} is empty.{_first_reason(table)} Expected a header and rows.")
    twice = sorted({name for name in table.columns if table.columns.count(name) > 1})
    if twice:
        raise DataError(
            f"{table.origin!r} has several columns named {', '.join(map(repr, twice))}. Give each column its own name."
        )


def _first_reason(table: Table) -> str:
    return f" {len(table.skipped)} rows skipped, the first: {table.skipped[0].reason}." if table.skipped else ""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str).strip('"')


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("the same key twice")
    return record


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
