"""JSONL: one object on each line. A line that is none is left out and named; the others are read."""

import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.cells import CellRows, Cells, pack
from tlkeras.data.encodings import text_encoding, wrong_encoding
from tlkeras.data.examples import Skipped
from tlkeras.data.table import Table, as_cell
from tlkeras.errors import DataError


def read_json_lines(path: Path, *, encoding: str | None = None) -> Table:
    """Read a JSONL file; values that are no text become cells of JSON, absent ones empty cells.

    Raises:
        DataError: It is one JSON array, or in another encoding; the message names the row.
    """
    columns: dict[str, None] = {}
    widths, numbers = array("q"), array("q")
    skipped: list[Skipped] = []

    def objects() -> Iterator[str]:
        for number, line, last in _lines(path, text_encoding(encoding)):
            if number == 1 and line.lstrip().startswith("["):
                raise DataError(
                    f"{str(path)!r} holds a JSON array. Expected JSONL: one object on each line. With pandas: "
                    f"pandas.read_json({str(path)!r}).to_json('new.jsonl', orient='records', lines=True)"
                )
            try:
                cells = _read_object(line)
            except ValueError as error:
                skipped.append(Skipped(f"{path}, row {number}", f"not a JSON object ({_reason(error, last)})"))
                continue
            columns.update(dict.fromkeys(cells))
            numbers.append(number)
            widths.append(len(columns))
            yield from (cells.get(column, "") for column in columns)

    try:
        packed = pack(objects())
    except UnicodeDecodeError as error:
        raise wrong_encoding(path, error, encoding) from None
    rows = _as_rows(packed, np.asarray(widths, np.int64), len(columns))
    return Table(str(path), tuple(columns), rows, np.asarray(numbers, np.int64), tuple(skipped))


def _as_rows(cells: Cells, widths: np.ndarray, width: int) -> Sequence[tuple[str, ...]]:
    """Return rows of `width` cells; those that were read before a key first came end in empty cells."""
    if not width:
        return ((),) * len(widths)
    filled = np.arange(width) < widths[:, None]
    starts, stops = np.zeros(filled.shape, np.int64), np.zeros(filled.shape, np.int64)
    starts[filled], stops[filled] = cells.starts, cells.stops
    return CellRows(tuple(Cells(cells.data, starts[:, place], stops[:, place]) for place in range(width)))


def _lines(path: Path, codec: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the lines that are not blank, with their number and whether the file ends within them."""
    with path.open(encoding=codec, newline="\n") as stream:  # a lone \r is a blank between JSON's tokens
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, line, not line.endswith("\n")


def _read_object(line: str) -> dict[str, str]:
    try:
        record = json.loads(line.rstrip("\r\n"), object_pairs_hook=_distinct_keys, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}, not an object")
    cells = {key: as_cell(value) for key, value in record.items()}
    text = "".join((*cells, *cells.values()))
    text.encode()  # a lone surrogate is valid JSON and no text
    if "\0" in text:
        raise ValueError("a NUL byte")
    return cells


def _reason(error: ValueError, last: bool) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    return f"{'truncated: ' if last else ''}{error.msg.removesuffix(' at')} at character {error.pos + 1}"


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("the same key twice")
    return record


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
