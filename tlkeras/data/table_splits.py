"""From the rows of a table to splits, whatever the inputs are: targets, parts, groups, times, and what cannot be used."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from tlkeras.data.columns import Roles, TableOptions
from tlkeras.data.contents import pool_fingerprint
from tlkeras.data.examples import IN_QUARANTINE, Examples, LeftOut, Skipped, Splits, Store, nothing_left_out
from tlkeras.data.labels import Labels, read_labels
from tlkeras.data.part_names import PART_NAMES
from tlkeras.data.slicing import slice_values
from tlkeras.data.splits import PARTS, complete_splits
from tlkeras.data.table import Table
from tlkeras.data.targets import NoTargets
from tlkeras.errors import DataError

POOL = "unlabelled"
RESERVED = ("digest", "look", "split", "group", "time", "picture size", "brightness", "text length")
"""What metadata and derived slices are called; a column of such a name gets another one."""


def splits_from_rows(
    table: Table,
    roles: Roles,
    options: TableOptions,
    *,
    store: Store,
    ids: Sequence[str] | np.ndarray,
    faults: Sequence[str],
    metadata: Mapping[str, np.ndarray] | None = None,
    seed: int,
    near_duplicates: bool = True,
    left_out: LeftOut = nothing_left_out,
    notes: Sequence[str] = (),
) -> Splits:
    """Return the rows of a table as splits; every row is in a part, in the pool, or among what was skipped.

    Args:
        table: The table.
        roles: Which columns hold what.
        options: What the user said.
        store: The inputs of all rows.
        ids: The identity of each row.
        faults: What is wrong with the input of each row, `""` for nothing.
        metadata: What is known of each input, by name (see `picture_columns`).
        seed: Seed of the split, where one has to be made.
        near_duplicates: False lets near copies lie in two parts.
        left_out: Says of an identity whether its row is left out; it then says nothing about the classes either.
        notes: What was decided before.

    Raises:
        DataError: Labels, parts or times cannot be right; the message names the column, a row and the way out.
    """
    parts, part_faults = _parts(table, roles.split)
    faults = [one or other for one, other in zip(faults, part_faults, strict=True)]
    if left_out is not nothing_left_out:
        faults = [IN_QUARANTINE if left_out(identity) else fault for identity, fault in zip(ids, faults, strict=True)]
    wanted = [not fault and part != POOL for fault, part in zip(faults, parts, strict=True)]
    if not any(wanted):
        raise DataError(_nothing_left(table, faults))
    labels = read_labels(table, roles.labels, wanted, target=options.target, separator=options.separator)
    decided = [*table.notes, *notes, *roles.notes, *labels.notes]
    if roles.split:
        what = "The pool is" if _marks_only_the_pool(table, roles.split) else "Parts are"
        decided.append(f"{what} taken from the column {roles.split!r}.")
    rows_of, skipped = _deal_rows(table, parts, faults, labels, decided)
    if "train" not in rows_of:
        raise DataError(
            f"The column {roles.split!r} of {table.origin!r} has no row with 'train'. Received: {', '.join(rows_of) or 'none'}."
        )
    columns = {**(metadata or {}), **_metadata(table, roles, parts)}
    examples = Examples(np.array(ids), store, labels.targets, columns)
    given = {name: examples.take(rows) for name, rows in rows_of.items() if name in PARTS}
    splits = complete_splits(
        given, labels.classes, seed=seed, near_duplicates=near_duplicates, notes=decided, skipped=(*table.skipped, *skipped)
    )
    return with_pool(splits, replace(examples, targets=NoTargets(len(ids))).take(rows_of[POOL])) if POOL in rows_of else splits


def with_pool(splits: Splits, pool: Examples) -> Splits:
    """Return the splits with a pool of unlabelled examples, which counts in their fingerprint."""
    note = f"{len(pool):,} examples without labels are kept as a pool; nothing is trained on them unless a method asks for it."
    return replace(splits, unlabelled=pool, fingerprint=pool_fingerprint(splits.fingerprint, pool), notes=(*splits.notes, note))


def _parts(table: Table, column: str | None) -> tuple[list[str], list[str]]:
    """Return the part of each row, and what is wrong with it."""
    if column is None:
        return ["train"] * len(table.rows), [""] * len(table.rows)
    cells = [cell.strip().casefold() for cell in table.column(column)]
    strange = next((row for row, cell in enumerate(cells) if cell and cell not in PART_NAMES), None)
    if strange is not None:
        raise DataError(
            f"{table.where(strange)}: {table.column(column)[strange]!r} in the column {column!r} is no part. Allowed: train, "
            "val, test, unlabelled. Write one of these, or name another column (split_column)."
        )
    if _marks_only_the_pool(table, column):
        return [PART_NAMES.get(cell, "train") for cell in cells], [""] * len(cells)
    return [PART_NAMES.get(cell, "") for cell in cells], ["" if cell else f"no part in {column!r}" for cell in cells]


def _marks_only_the_pool(table: Table, column: str) -> bool:
    """Say whether a column of parts marks unlabelled rows and leaves all others to be split."""
    return {PART_NAMES.get(cell.strip().casefold(), "") for cell in table.column(column)} == {"", POOL}


def _deal_rows(
    table: Table, parts: Sequence[str], faults: Sequence[str], labels: Labels, notes: list[str]
) -> tuple[dict[str, list[int]], list[Skipped]]:
    """Return the rows of each part that can be used, and the others with the reason."""
    rows_of: Mapping[str, list[int]] = defaultdict(list)
    skipped = []
    for row, (part, fault) in enumerate(zip(parts, faults, strict=True)):
        reason = fault or ("" if part == POOL else labels.faults[row])
        if reason:
            skipped.append(Skipped(table.where(row), reason))
        else:
            rows_of[part].append(row)
    bare = sorted({part for part in parts if part in ("val", "test")} - set(rows_of))
    if bare:
        notes.append(f"No row of {' and '.join(bare)} has a label, so that nothing can be measured there: left out.")
    return dict(rows_of), skipped


def _metadata(table: Table, roles: Roles, parts: Sequence[str]) -> dict[str, np.ndarray]:
    metadata = {}
    if roles.split:
        metadata["split"] = np.array(parts)
    if roles.group:
        metadata["group"] = np.array([cell.strip() for cell in table.column(roles.group)])
    if roles.time:
        metadata["time"] = read_times(table, roles.time)
    for name in roles.slices:
        metadata[f"{name} (column)" if name in RESERVED else name] = slice_values(table.column(name))
    return metadata


def read_times(table: Table, column: str) -> np.ndarray:
    """Return a column as float64: numbers as they are, ISO dates and times as seconds since 1970 (UTC if they name no zone).

    Raises:
        DataError: A cell is neither; the message names its row. Empty cells give NaN.
    """
    cells = [cell.strip() for cell in table.column(column)]
    times = parse_times(cells)
    strange = next((row for row, cell in enumerate(cells) if cell and math.isnan(times[row])), None)
    if strange is not None:
        raise DataError(
            f"{table.where(strange)}: {cells[strange]!r} in the column {column!r} is no time. Allowed: numbers in all rows, or "
            "ISO dates such as 2024-05-31 or 2024-05-31T14:30."
        )
    return times


def parse_times(cells: Sequence[str]) -> np.ndarray:
    """Return cells as float64: numbers if all are, else ISO dates and times as seconds since 1970; NaN for what is neither."""
    numbers = [_number(cell) for cell in cells]
    if all(number is not None for number in numbers):
        return np.array(numbers, np.float64)
    return np.array([_seconds(cell) for cell in cells], np.float64)


def _seconds(cell: str) -> float:
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(cell: str) -> float | None:
    try:
        number = float(cell) if cell else math.nan
    except ValueError:
        return None
    return None if math.isinf(number) else number


def _nothing_left(table: Table, faults: Sequence[str]) -> str:
    bad = [row for row, fault in enumerate(faults) if fault]
    first = f" The first, in {table.where(bad[0])}: {faults[bad[0]]}." if bad else " All are marked as unlabelled."
    return f"None of the {len(table.rows):,} rows of {table.origin!r} can be used.{first}"
