"""A quarantine list: examples that a check found unfit, left out by `--quarantine FILE`; nothing is moved or deleted."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkeras.data.examples import IN_QUARANTINE, Examples, LeftOut, Splits
from tlkeras.data.split_files import as_listed
from tlkeras.data.splits import PARTS, remake_splits, require_every_class
from tlkeras.data.table_files import parse_table
from tlkeras.errors import DataError
from tlkeras.files import write_file


@dataclass(frozen=True)
class Quarantined:
    """A line of a quarantine list: an example's identity, why it is unfit, and where it lies, as `as_listed` writes them."""

    id: str
    reason: str = ""
    where: str = ""


def read_quarantine(path: str | Path) -> tuple[Quarantined, ...]:
    """Return the lines of a quarantine list.

    Args:
        path: A table with a column `id`; the `quarantine.csv` that `tlkeras check` writes, lines added or removed as you like.

    Raises:
        DataError: It has no such column.
    """
    table = parse_table(path)
    if "id" not in table.columns:
        raise DataError(
            f"{str(path)!r} is no quarantine list: it has no column 'id'. Its columns: {', '.join(map(repr, table.columns))}. "
            "Give the quarantine.csv that `tlkeras check` wrote."
        )
    columns = [table.column(name) if name in table.columns else [""] * len(table.rows) for name in ("id", "reason", "where")]
    return tuple(Quarantined(*cells) for cells in zip(*columns, strict=True) if cells[0])


def write_quarantine(lines: Iterable[Quarantined], path: Path) -> None:
    """Write a quarantine list, whole or not at all; another one that lies there is kept as `quarantine.earlier.csv`."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("id", "reason", "where"))
    rows = [(line.id, line.reason, line.where) for line in lines]
    writer.writerows(rows)
    if path.exists() and path.read_bytes() != stream.getvalue().encode():
        path.replace(path.with_name("quarantine.earlier.csv"))
    if rows:
        write_file(path, lambda temporary: temporary.write_text(stream.getvalue(), encoding="utf-8", newline=""))


def in_quarantine(identities: Iterable[str], lines: Iterable[Quarantined]) -> np.ndarray:
    """Say for each identity whether it is listed, bool, shape `(n,)`."""
    listed = {line.id for line in lines}
    return np.array([as_listed(identity) in listed for identity in identities], bool)


def in_list(path: str | Path) -> LeftOut:
    """Return what says of an identity whether a quarantine list names it.

    Raises:
        DataError: See `read_quarantine`.
    """
    listed = {line.id for line in read_quarantine(path)}
    return lambda identity: as_listed(identity) in listed


def apply_quarantine(splits: Splits, path: str | Path) -> Splits:
    """Return splits without the examples that a quarantine list names; it is said how many, those left out before included.

    Raises:
        DataError: The file is no such list, fits nothing in this data, or leaves a part without a class.
    """
    listed = read_quarantine(path)
    parts: dict[str, Examples] = {}
    left = sum(one.reason == IN_QUARANTINE for one in splits.skipped)
    for name in PARTS:
        part: Examples = getattr(splits, name)
        out = in_quarantine(part.ids.tolist(), listed)
        parts[name] = part.take(np.flatnonzero(~out))
        left += int(out.sum())
    if not left and not splits.skipped:
        raise DataError(
            f"{str(path)!r} lists {len(listed):,} examples, none of which is in this data. Give the list that `tlkeras check` "
            "wrote for it, or leave it out."
        )
    require_every_class(parts, splits.classes)
    return remake_splits(splits, parts, [f"{left:,} examples left out: they are in quarantine ({path})."])
