"""Findings about copies: within a part, across parts, with two labels; and groups that lie in two parts."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlkeras.data.duplicates import connect, equal_rows
from tlkeras.data.health.finding import MANY, Finding, Offender, Severity
from tlkeras.data.health.inventory import Inventory

_PLACES = ("train", "val", "test")


def examine_copies(inventory: Inventory, rows: np.ndarray, digests: np.ndarray, near: np.ndarray) -> Iterator[Finding]:
    """Yield what is wrong with copies and near copies.

    Args:
        inventory: All rows.
        rows: Those that can be read, int64, shape `(n,)`.
        digests: A str for each of `rows` that exact copies share, shape `(n,)`.
        near: Pairs of near copies, as places in `rows`, int64, shape `(pairs, 2)`.
    """
    exact = equal_rows(digests)
    noun = "Pictures" if inventory.modality == "image" else "Texts"
    copies = _groups(connect(len(rows), exact), rows)
    alike = _groups(connect(len(rows), exact, near), rows)
    two_labels = list(_two_labels(inventory, copies, f"{noun} that occur under two labels", "warning", "two_labels"))
    yield from (replace(one, severity="error") if one.count > MANY * len(rows) else one for one in two_labels)
    yield from _across(inventory, copies, f"{noun} that lie in two parts", "error", "leak")
    seen = {frozenset(group) for group in copies}
    alike = [group for group in alike if frozenset(group) not in seen]
    yield from _two_labels(inventory, alike, f"{noun} with a near copy under another label", "warning", "near_two_labels")
    yield from _across(inventory, alike, f"{noun} with a near copy in another part", "warning", "near_leak")
    yield from _repeated(inventory, copies, f"{noun} that are exact copies of another", "copies")
    yield from _repeated(inventory, alike, f"{noun} that are near copies of another", "near_copies")


def examine_groups(inventory: Inventory, rows: Sequence[int]) -> Iterator[Finding]:
    """Yield groups that lie in two parts: those that the data gives, or else those that file names suggest."""
    if any(inventory.groups):
        if inventory.has_parts:
            yield from _straddling(
                inventory,
                _by(rows, lambda row: inventory.groups[row]),
                "error",
                "group_leak",
                "Groups that lie in more than one part",
                "Move each group into one part, or leave the parts out and let tlkeras split by group.",
            )
        return
    names = _name_groups(inventory, rows)
    if not names:
        return
    if inventory.has_parts:
        yield from _straddling(
            inventory,
            names,
            "warning",
            "name_leak",
            "Series of file names that lie in more than one part",
            "If a series is one subject, product or recording, move it into one part.",
        )
    else:
        yield Finding(
            "name_groups",
            "note",
            "Series of file names that look like groups",
            len(names),
            "If a series is one subject, product or recording, list the files in a table with a column `group`: then none is "
            "parted by the split.",
            tuple(Offender(f"{name}…", f"{len(members)} files") for name, members in sorted(names.items())),
        )


def _groups(of: np.ndarray, rows: np.ndarray) -> list[list[int]]:
    """Return the rows of each group of two and more, in the order of the rows."""
    order = np.argsort(of, kind="stable")
    edges = np.flatnonzero(np.diff(of[order])) + 1
    return [sorted(rows[group].tolist()) for group in np.split(order, edges) if len(group) > 1]


def _two_labels(
    inventory: Inventory, groups: Sequence[list[int]], title: str, severity: Severity, key: str
) -> Iterator[Finding]:
    if not inventory.one_class_each:
        return
    mixed = [group for group in groups if len({inventory.labels[row].strip() for row in group} - {""}) > 1]
    offenders = [
        inventory.offender(
            row, f"labelled {inventory.labels[row].strip()!r}; {_beside(inventory, group, row, other_label=True)}"
        )
        for group in mixed
        for row in group
    ]
    if offenders:
        yield Finding(
            key,
            severity,
            title,
            len(offenders),
            "Keep the label that is right and remove the other copy; the quarantine list sets all of them aside."
            if key == "two_labels"
            else "Look at each pair: one of the labels may be wrong.",
            tuple(offenders),
            quarantine=key == "two_labels",
        )


def _across(inventory: Inventory, groups: Sequence[list[int]], title: str, severity: Severity, key: str) -> Iterator[Finding]:
    if not inventory.has_parts:
        return
    offenders = []
    for group in groups:
        last = max(_place(inventory.parts[row]) for row in group)
        early = [row for row in group if 0 <= _place(inventory.parts[row]) < last]
        offenders += [inventory.offender(row, _beside(inventory, group, row, other_part=True)) for row in early]
    if offenders:
        yield Finding(
            key,
            severity,
            title,
            len(offenders),
            "`tlkeras run` leaves the copies in the earlier part out; remove them for other tools too.",
            tuple(offenders),
            quarantine=True,
            explanation="What has been trained on tests as known, so that the result looks better than it is.",
        )


def _repeated(inventory: Inventory, groups: Sequence[list[int]], title: str, key: str) -> Iterator[Finding]:
    offenders = [
        inventory.offender(row, _beside(inventory, group, row))
        for group in groups
        if len({inventory.labels[row].strip() for row in group}) == 1 or not inventory.one_class_each
        for part in sorted({inventory.parts[row] for row in group})
        for row in [row for row in group if inventory.parts[row] == part][1:]
    ]
    if offenders:
        exact = key == "copies"
        yield Finding(
            key,
            "warning" if exact else "note",
            title,
            len(offenders),
            "The quarantine list sets all but the first of each aside."
            if exact
            else "Nothing needs to be done: a split that tlkeras makes keeps them on one side.",
            tuple(offenders),
            quarantine=exact,
            explanation="They count several times in training, and in a test they make the result look surer than it is.",
        )


def _straddling(
    inventory: Inventory, groups: dict[str, list[int]], severity: Severity, key: str, title: str, remedy: str
) -> Iterator[Finding]:
    offenders = []
    for name, members in sorted(groups.items()):
        parts = Counter(inventory.parts[row] for row in members)
        if name and len(parts) > 1:
            offenders.append(Offender(name, ", ".join(f"{part} {parts[part]}" for part in _PLACES if parts[part])))
    if offenders:
        why = "What is known of a group from training helps in testing, but not with groups that are new."
        yield Finding(key, severity, title, len(offenders), remedy, tuple(offenders), explanation=why)


def _name_groups(inventory: Inventory, rows: Sequence[int]) -> dict[str, list[int]]:
    """Return files by what precedes the last number in their names, if that makes many groups and none is a large part."""
    found = _by(rows, lambda row: _series(inventory.store.where(row)) if inventory.store.modality == "image" else "")
    found = {name: members for name, members in found.items() if len(members) > 1 and re.search(r"\d", name)}
    covered = sum(map(len, found.values()))
    if len(found) < 5 or covered < len(rows) / 2 or max(map(len, found.values())) > len(rows) / 5:
        return {}
    return found


def _series(path: str) -> str:
    """Return a file's name up to its last number: `p012_frame` for `p012_frame003.jpg`."""
    match = re.match(r"(.*?)\d+\D*$", Path(path).stem)
    return match.group(1) if match else ""


def _by(rows: Sequence[int], name: Callable[[int], str]) -> dict[str, list[int]]:
    groups = defaultdict(list)
    for row in rows:
        groups[name(row)].append(row)
    return dict(groups)


def _beside(
    inventory: Inventory, group: Sequence[int], row: int, *, other_part: bool = False, other_label: bool = False
) -> str:
    others = [other for other in group if other != row]
    if other_part:
        others = [other for other in others if inventory.parts[other] != inventory.parts[row]]
    if other_label:
        others = [other for other in others if inventory.labels[other].strip() != inventory.labels[row].strip()]
    first = inventory.ids[others[0]] or inventory.store.where(others[0])
    return f"like {first}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")


def _place(part: str) -> int:
    return _PLACES.index(part) if part in _PLACES else -1
