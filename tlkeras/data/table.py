"""A table of text cells, whatever it was read from: a file, a data frame, a catalogue, or several of them joined."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import numpy as np

from tlkeras.data.cells import CellRows, pack
from tlkeras.data.encoded import EncodedColumn, join_columns, no_pictures
from tlkeras.data.examples import Skipped
from tlkeras.errors import DataError


@dataclass(frozen=True)
class Table:
    """Rows of str cells, and columns of encoded pictures beside them.

    Attributes:
        origin: The file or folder, for messages.
        columns: The names of the text columns.
        rows: The cells, tuples or `CellRows`; an empty one is `""`.
        numbers: The row of each in its file, as a person would count: 1-based physical lines or spreadsheet rows.
        skipped: Rows that could not be read, with the reason.
        notes: What was decided while reading.
        pictures: Columns of encoded pictures; each gives the bytes of a row by its place.
        orders: The values of a column in the order that the data itself gives its classes.
        files: The file of each row, where the table lies in several.
    """

    origin: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: Sequence[int] | np.ndarray
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: Mapping[str, EncodedColumn] = field(default_factory=dict)
    orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def column(self, name: str) -> Sequence[str]:
        """Return the cells of a column."""
        place = self.columns.index(name)
        if isinstance(self.rows, CellRows):
            return self.rows.columns[place]
        return [row[place] for row in self.rows]

    def where(self, place: int) -> str:
        """Say where a row is, for messages."""
        return f"{self.files[place] if self.files else self.origin}, row {self.numbers[place]}"

    def ids(self) -> np.ndarray:
        """Return an identity for each row that does not depend on where the data lies, str, shape `(n,)`."""
        names = {file: file.removeprefix(self.origin).strip("/\\").replace("\\", "/") + ", " for file in set(self.files)}
        longest = max(map(len, names.values()), default=0) + len(f"row {max(self.numbers, default=0)}")
        files = (names[file] for file in self.files) if self.files else repeat("", len(self.numbers))
        made = (f"{file}row {number}" for file, number in zip(files, self.numbers, strict=True))
        return np.fromiter(made, f"U{longest}", len(self.numbers))


def merge_tables(origin: str, tables: Iterable[tuple[str, Table]]) -> Table:
    """Return one table of several, with a column `split` that says which part of the data each row belongs to.

    Args:
        origin: The folder that holds them, for messages.
        tables: Pairs of the part's name and its table; columns that one lacks are empty there. Where there is one part only,
            the tables keep their own columns.
    """
    pairs = list(tables)
    one = len({part for part, _ in pairs}) == 1
    names = list(dict.fromkeys(name for _, table in pairs for name in table.columns if one or name != "split"))
    cells = [
        pack(chain.from_iterable(table.column(name) if name in table.columns else [""] * len(table.rows) for _, table in pairs))
        for name in names
    ]
    if not one:
        cells.append(pack(part for part, table in pairs for _ in range(len(table.rows))))
    pictures = list(dict.fromkeys(name for _, table in pairs for name in table.pictures))
    return Table(
        origin=origin,
        columns=tuple(names) if one else (*names, "split"),
        rows=CellRows(tuple(cells)) if cells else ((),) * sum(len(table.rows) for _, table in pairs),
        numbers=np.concatenate([np.asarray(table.numbers, np.int64) for _, table in pairs]),
        skipped=tuple(skipped for _, table in pairs for skipped in table.skipped),
        notes=tuple(dict.fromkeys(note for _, table in pairs for note in table.notes)),
        pictures={
            name: join_columns([table.pictures.get(name, no_pictures(len(table.rows))) for _, table in pairs])
            for name in pictures
        },
        orders={name: order for _, table in reversed(pairs) for name, order in table.orders.items()},
        files=tuple(file for _, table in pairs for file in (table.files or (table.origin,) * len(table.rows))),
    )


def as_cell(value: Any) -> str:
    """Return a value as a cell: nothing for None and NaN, JSON for lists and the like, text as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str).strip('"')


def number_cells(values: Iterable[float | None]) -> Iterator[str]:
    """Return floats as cells; a column of whole numbers with gaps, which is stored as floats, gives whole numbers again."""
    kept = [None if value is None or math.isnan(value) else value for value in values]
    whole = all(value is None or (value.is_integer() and abs(value) < 2**53) for value in kept)
    return ("" if value is None else str(int(value)) if whole else str(value) for value in kept)


def check_table(table: Table) -> None:
    """Check that a table has rows and a header that can be right.

    Raises:
        DataError: It has not; the message says why and what to do.
    """
    if not table.columns and not table.pictures:
        raise DataError(f"{table.origin!r} is empty.{_first_reason(table)} Expected a header and rows.")
    twice = sorted({name for name in table.columns if table.columns.count(name) > 1})
    if twice:
        raise DataError(
            f"{table.origin!r} has several columns named {', '.join(map(repr, twice))}. Give each column its own name."
        )
    if not table.rows:
        raise DataError(f"{table.origin!r} holds no rows below its header.{_first_reason(table)}")


def _first_reason(table: Table) -> str:
    if not table.skipped:
        return ""
    first = table.skipped[0]
    return f" {len(table.skipped)} rows skipped, the first ({first.where}): {first.reason}."
