"""JSONL: one object on each line. A line that is none is left out and named; the others are read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    records, numbers, skipped = [], [], []
    try:
        for number, line, last in _lines(path, text_encoding(encoding)):
            if number == 1 and line.lstrip().startswith("["):
                raise DataError(
                    f"{str(path)!r} holds a JSON array. Expected JSONL: one object on each line. With pandas: "
                    f"pandas.read_json({str(path)!r}).to_json('new.jsonl', orient='records', lines=True)"
                )
            try:
                cells = _read_object(line)
            except ValueError as error:
                cut = "truncated: " if last and isinstance(error, json.JSONDecodeError) else ""
                skipped.append(Skipped(f"{path}, row {number}", f"not a JSON object ({cut}{error})"))
                continue
            columns.update(dict.fromkeys(cells))
            records.append(cells)
            numbers.append(number)
    except UnicodeDecodeError as error:
        raise wrong_encoding(path, error, encoding) from None
    rows = tuple(tuple(record.get(column, "") for column in columns) for record in records)
    return Table(str(path), tuple(columns), rows, tuple(numbers), tuple(skipped))


def _lines(path: Path, codec: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the lines that are not blank, with their number and whether the file ends within them."""
    with path.open(encoding=codec, newline="\n") as stream:  # a lone \r is a blank between JSON's tokens
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, line, not line.endswith("\n")


def _read_object(line: str) -> dict[str, str]:
    try:
        record = json.loads(line, object_pairs_hook=_distinct_keys, parse_constant=_no_constant)
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


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("the same key twice")
    return record


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
