"""Findings about several labels per example, and about values: what can hardly be learnt, or was hardly meant."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tlkeras.data.health.classes import FEW, FEWEST, examples_in_words
from tlkeras.data.health.finding import MANY, Finding, Offender, listed
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.splits import PARTS
from tlkeras.data.table_splits import POOL
from tlkeras.data.targets import MultiLabelTargets, ValueTargets

FAR = 10
"""A value further from the median than so many interquartile ranges is most likely no value at all (a slip, a code as 9999)."""

FEW_VALUES = 10


def examine_targets(inventory: Inventory, usable: Sequence[bool]) -> Iterator[Finding]:
    """Yield what is wrong with the targets of an inventory where they are no single classes.

    Args:
        inventory: The rows.
        usable: Which of them can be read.
    """
    read = inventory.targets
    if read is None:
        return
    sound = np.array([good and not fault for good, fault in zip(usable, read.faults, strict=True)], bool)
    sound &= np.array([part != POOL for part in inventory.parts], bool)
    yield from _faulty(inventory, read.faults)
    rows = np.flatnonzero(sound)
    if isinstance(read.targets, MultiLabelTargets) and len(rows):
        yield from _labels(inventory, read.targets.labels, rows, read.classes)
    if isinstance(read.targets, ValueTargets) and len(rows):
        yield from _values(inventory, read.targets.values.astype(np.float64), rows)


def _faulty(inventory: Inventory, faults: Sequence[str]) -> Iterator[Finding]:
    bad = [(row, fault) for row, fault in enumerate(faults) if fault and inventory.parts[row] != POOL]
    if bad:
        yield Finding(
            "unusable_targets",
            "error" if len(bad) > MANY * len(inventory) else "warning",
            "Rows whose target cannot be used",
            len(bad),
            "Put them right; they are left out as they are.",
            tuple(inventory.offender(row, fault) for row, fault in bad),
        )


def _labels(inventory: Inventory, labels: np.ndarray, rows: np.ndarray, classes: Sequence[str]) -> Iterator[Finding]:
    counts = labels[rows].sum(axis=0, dtype=np.int64).tolist()
    same = [name for name, count in zip(classes, counts, strict=True) if count in (0, len(rows))]
    if same:
        yield Finding(
            "constant_labels",
            "error",
            "Labels that apply to no example, or to every one",
            len(same),
            "Remove them, or add examples that differ: nothing can be learnt about them.",
            tuple(Offender(name) for name in same),
        )
    rare = sorted((count, name) for name, count in zip(classes, counts, strict=True) if 0 < count < FEW)
    if rare:
        yield Finding(
            "rare_labels",
            "warning",
            f"Labels that apply to fewer than {FEW} examples",
            len(rare),
            "Add examples where you can; expect wide intervals in the result.",
            tuple(Offender(name, examples_in_words(count)) for count, name in rare),
            explanation=f"With fewer than {FEWEST}, one part of a split has none." if rare[0][0] < FEWEST else "",
        )
    yield from _twins(labels[rows], classes)
    bare = rows[labels[rows].sum(axis=1) == 0].tolist()
    if bare:
        yield Finding(
            "bare_examples",
            "note",
            f"Examples to which no label applies ({len(bare) / len(rows):.1%})",
            len(bare),
            "Nothing needs to be done if that is so; if their labels are missing, set them aside with the quarantine list.",
            tuple(inventory.offender(row) for row in bare),
        )
    held = {part: labels[rows[[inventory.parts[row] == part for row in rows.tolist()]]].any(axis=0) for part in PARTS}
    missing = [
        (classes[place], part)
        for part in PARTS
        if inventory.has_parts and part in inventory.parts
        for place in np.flatnonzero(~held[part] & (np.array(counts) > 0)).tolist()
    ]
    if missing:
        yield Finding(
            "different_classes",
            "warning",
            "Labels that no example of a part has",
            len(missing),
            "Add examples of them to that part.",
            tuple(Offender(name, f"not in {part}") for name, part in missing),
        )


def _twins(labels: np.ndarray, classes: Sequence[str]) -> Iterator[Finding]:
    alike: dict[bytes, list[str]] = defaultdict(list)
    for place, name in enumerate(classes):
        if 0 < labels[:, place].sum() < len(labels):
            alike[labels[:, place].tobytes()].append(name)
    twins = [names for names in alike.values() if len(names) > 1]
    if twins:
        yield Finding(
            "twin_labels",
            "warning",
            "Labels that always occur together",
            len(twins),
            "Keep one of each, if they mean the same.",
            tuple(Offender(listed(names)) for names in twins),
        )


def _values(inventory: Inventory, values: np.ndarray, rows: np.ndarray) -> Iterator[Finding]:
    low, middle, high = np.percentile(values[rows], [25, 50, 75])
    far = rows[np.abs(values[rows] - middle) > FAR * (high - low)] if high > low else rows[:0]
    if len(far):
        order = far[np.argsort(-np.abs(values[far] - middle), kind="stable")]
        yield Finding(
            "far_values",
            "warning",
            "Values far from all others",
            len(far),
            "Look at them: a slip, another unit, or a code for a missing value? Set them aside with the quarantine list if so.",
            tuple(inventory.offender(row, f"{values[row]:g}") for row in order.tolist()),
            quarantine=True,
            explanation=f"Half of the values lie from {low:g} to {high:g}; one far value can outweigh all others in the loss.",
        )
    kinds = np.unique(values[rows])
    if len(kinds) <= min(FEW_VALUES, len(rows) // 5):
        yield Finding(
            "few_values",
            "note",
            f"There are only {len(kinds)} different values: {', '.join(f'{value:g}' for value in kinds)}",
            0,
            "If they are names rather than amounts, predict them as classes (--target class).",
        )
    of_part = {part: values[rows[[inventory.parts[row] == part for row in rows.tolist()]]] for part in PARTS}
    train, test = of_part["train"], of_part["test"]
    if inventory.has_parts and len(train) and len(test):
        beyond = (test < train.min()) | (test > train.max())
        if beyond.mean() > MANY:
            yield Finding(
                "unseen_values",
                "warning",
                f"{beyond.mean():.0%} of the test values lie outside of those in training",
                0,
                "Let the parts be made by tlkeras, or expect the model to fall short there: it hardly goes beyond what it saw.",
                explanation=f"Training has {train.min():g} to {train.max():g}, the test part {test.min():g} to {test.max():g}.",
            )
