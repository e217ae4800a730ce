"""What the label columns of a table say: one class, several classes, ratings, or values."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlkeras.data.checks import require_classes
from tlkeras.data.table import Table
from tlkeras.data.targets import ClassTargets, MultiLabelTargets, Targets, ValueTargets
from tlkeras.errors import DataError, unknown

TARGETS = ("class", "labels", "value")
"""What can be predicted: one class, any number of labels, or a number."""

_STAR_COLUMNS = ("stars", "star", "rating", "ratings", "star_rating", "review_rating", "overall", "score")
_STARS = re.compile(
    r"(?P<number>[0-5]([.,][05])?)\s*(?P<unit>/\s*5|out of 5|stars?|\u2605|\u2b50)?"
    r"|(?P<signs>[\u2605\u2b50]{1,5})\u2606{0,4}"
)
_YES, _NO = ("1", "1.0", "true", "yes", "y", "x"), ("0", "0.0", "false", "no", "n", "")
_SEPARATORS = ("|", ";", ",")


@dataclass(frozen=True)
class Labels:
    """The targets of all rows of a table, and for each row what is wrong with its label (`""`: nothing)."""

    targets: Targets
    classes: tuple[str, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_labels(
    table: Table, columns: Sequence[str], wanted: Sequence[bool], *, target: str | None = None, separator: str | None = None
) -> Labels:
    """Return the targets that the label columns give.

    Args:
        table: The table.
        columns: Its label columns; several ones are labels of their own, each 0 or 1.
        wanted: Which rows count; those of the others say nothing about classes.
        target: One of `TARGETS`; if not given, lists and several columns are labels, anything else is a class.
        separator: What separates the labels in a cell; found in the cells if not given.

    Raises:
        DataError: The column holds no labels of this kind; the message names the column, a row and the way out.
    """
    if target is not None and target not in TARGETS:
        raise unknown("target", target, TARGETS, "class (one of several), labels (any number of them), value (a number)")
    once: dict[str, str] = {}  # a million cells of ten labels are ten texts
    cells = [once.setdefault(cell, cell) for cell in map(str.strip, table.column(columns[0]))]
    lists = any(cell.startswith("[") and _as_list(cell) is not None for cell in cells)
    if len(columns) > 1:
        if target not in (None, "labels"):
            raise DataError(f"Several label columns give several labels: target='labels'. Received: target={target!r}")
        return _indicators(table, columns, wanted)
    if target == "value":
        return _values(table, columns[0], cells, wanted)
    if target == "labels" or (target is None and lists):
        return _several(table, columns[0], cells, wanted, separator)
    return _classes(table, columns[0], cells, wanted)


def pick_labels(labels: Labels, rows: Sequence[int]) -> Labels:
    """Return the labels of the chosen rows, in that order."""
    targets = labels.targets.take(np.array(rows, np.int64))
    return replace(labels, targets=targets, faults=tuple(labels.faults[row] for row in rows))


def _classes(table: Table, column: str, cells: Sequence[str], wanted: Sequence[bool]) -> Labels:
    notes: tuple[str, ...] = ()
    used = [cell for cell, want in zip(cells, wanted, strict=True) if want and cell]
    if _are_stars(column, used):
        cells = [_star_name(cell) for cell in cells]
        used = [_star_name(cell) for cell in used]
        notes = (f"The column {column!r} holds ratings: each is a class. target='value' (--target value) predicts a number.",)
    _check_classes(table, column, used)
    names = _ordered(require_classes(used, _where(table, column)), table.orders.get(column, ()))
    joined = sorted(
        {cell for cell in names if any(mark in cell and set(cell.split(mark)) & set(names) for mark in _SEPARATORS)}
    )
    if joined:
        notes += (
            f"Labels such as {joined[0]!r} look like several; each is taken as one class. target='labels' (--target labels) "
            "takes them apart.",
        )
    place = {name: index for index, name in enumerate(names)}
    targets = ClassTargets(np.array([place.get(cell, -1) for cell in cells], np.int32))
    return Labels(targets, names, tuple("" if cell else "empty label" for cell in cells), notes)


def _several(table: Table, column: str, cells: Sequence[str], wanted: Sequence[bool], separator: str | None) -> Labels:
    texts = [cell for cell in cells if _as_list(cell) is None]
    counts = {mark: sum(mark in cell for cell in texts) for mark in _SEPARATORS}
    likely = max(_SEPARATORS, key=lambda mark: counts[mark])
    if separator is None:
        separator = likely
    elif texts and counts[likely] and not any(separator in cell for cell in texts):
        raise DataError(
            f"{_where(table, column)} holds the separator {separator!r} in no cell; {counts[likely]} hold {likely!r}. Name "
            "that one (label_separator), or name none."
        )
    labels = [_split_cell(cell, separator) for cell in cells]
    used = {name for names, want in zip(labels, wanted, strict=True) if want for name in names}
    names = _ordered(require_classes(used, _where(table, column)), table.orders.get(column, ()))
    place = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(cells), len(names)), np.uint8)
    for row, found in enumerate(labels):
        matrix[row, [place[name] for name in found if name in place]] = 1
    faults = tuple("" if cell else "empty label (write [] where no label applies)" for cell in cells)
    note = f"The column {column!r} holds several labels" + (f", separated by {separator!r}." if texts else ", as lists.")
    return Labels(MultiLabelTargets(matrix), names, faults, (note,))


def _indicators(table: Table, columns: Sequence[str], wanted: Sequence[bool]) -> Labels:
    names = tuple(columns)
    require_classes(names, f"the label columns of {table.origin!r}")
    matrix = np.zeros((len(table.rows), len(names)), np.uint8)
    faults = [""] * len(table.rows)
    for place, column in enumerate(columns):
        for row, cell in enumerate(table.column(column)):
            word = cell.strip().casefold()
            matrix[row, place] = word in _YES
            if word not in _YES and word not in _NO:
                faults[row] = f"{cell!r} in the column {column!r} is neither 0 nor 1"
    _refuse_mostly_faulty(table, ", ".join(map(repr, columns)), faults, wanted)
    return Labels(MultiLabelTargets(matrix), names, tuple(faults))


def _values(table: Table, column: str, cells: Sequence[str], wanted: Sequence[bool]) -> Labels:
    stars = _are_stars(column, [cell for cell, want in zip(cells, wanted, strict=True) if want and cell])
    values, faults = np.zeros(len(cells), np.float32), [""] * len(cells)
    for row, cell in enumerate(cells):
        number = _as_number(_star_name(cell) if stars else cell)
        if number is None:
            faults[row] = f"{cell!r} is not a number (with a decimal point)" if cell else "empty label"
        else:
            values[row] = number
    _refuse_mostly_faulty(table, repr(column), faults, wanted)
    kept = values[[want and not fault for want, fault in zip(wanted, faults, strict=True)]]
    if kept.size and kept.min() == kept.max():
        raise DataError(f"{_where(table, column)} has one value, {kept[0]:g}, in every row: there is nothing to predict.")
    return Labels(ValueTargets(values), (), tuple(faults))


def _as_number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 3e38 and "_" not in cell else None


def _as_list(cell: str) -> list[str] | None:
    """Return the labels of a cell that holds a list, as JSON or as Python writes it; None for other cells."""
    if not (cell.startswith("[") and cell.endswith("]")) or len(cell) > 100_000:
        return None
    for text in (cell, re.sub(r"(?<![^\[,\s])'([^'\"\\]*)'", r'"\1"', cell)):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in found]
    return None


def _split_cell(cell: str, separator: str) -> list[str]:
    found = _as_list(cell)
    pieces = cell.split(separator) if found is None else found
    return [piece for piece in dict.fromkeys(piece.strip() for piece in pieces) if piece]


def _are_stars(column: str, cells: Sequence[str]) -> bool:
    """Say whether cells are ratings of up to five stars: three or more in a column of such a name, or a cell says so."""
    matches = [_STARS.fullmatch(cell) for cell in cells]
    if not cells or not all(matches):
        return False
    named = column.strip().casefold().replace(" ", "_") in _STAR_COLUMNS and len(set(cells)) > 2
    return named or any(match["unit"] or match["signs"] for match in matches if match)


def _star_name(cell: str) -> str:
    match = _STARS.fullmatch(cell)
    if not match:
        return cell
    return str(len(match["signs"])) if match["signs"] else f"{float(match['number'].replace(',', '.')):g}"


def _check_classes(table: Table, column: str, labels: Sequence[str]) -> None:
    kinds = set(labels)
    if len(kinds) > 2 and len(kinds) > len(labels) / 2:
        numeric = all(_as_number(kind) is not None for kind in kinds)
        raise DataError(
            f"{_where(table, column)} has {len(kinds):,} different values in {len(labels):,} rows: these are hardly labels. "
            f"Name the right one (label_column, --label-column) of: {', '.join(map(repr, table.columns))}."
            + (" To predict the number itself: target='value' (--target value)." if numeric else "")
        )
    if column in kinds:
        raise DataError(
            f"{table.origin!r} seems to have no header: its first row {list(table.columns)} holds a label ({column!r}) that "
            "other rows have as well. Put the names of the columns into the first row."
        )


def _refuse_mostly_faulty(table: Table, columns: str, faults: Sequence[str], wanted: Sequence[bool]) -> None:
    bad = [row for row, (fault, want) in enumerate(zip(faults, wanted, strict=True)) if fault and want]
    if bad and len(bad) >= sum(wanted) / 2:
        raise DataError(
            f"{len(bad):,} of {sum(wanted):,} labels in {columns} of {table.origin!r} cannot be used, the first in "
            f"{table.where(bad[0])}: {faults[bad[0]]}. Name another column (label_column, --label-column) or another target."
        )


def _ordered(names: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    """Return names in the order that the data gives, where it gives one for all of them."""
    found = tuple(names)
    return tuple(name for name in order if name in found) if set(found) <= set(order) else found


def _where(table: Table, column: str) -> str:
    return f"The column {column!r} of {table.origin!r}"
