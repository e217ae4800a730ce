"""Folds: several splits whose test parts together hold every example once."""

from collections.abc import Sequence

import numpy as np

from tlkeras.data.dealing import deal_folds
from tlkeras.data.examples import Examples, Splits
from tlkeras.data.splits import make_splits
from tlkeras.data.units import class_names, find_units


def fold_splits(
    examples: Examples, classes: Sequence[str], *, folds: int = 5, seed: int, near_duplicates: bool = True
) -> list[Splits]:
    """Return `folds` splits whose test parts together hold every example once: for out-of-fold predictions.

    Folds are stratified; copies, near copies and members of a group (metadata column `group`) lie in one fold. The validation
    part of each split is the test part of the next.

    Raises:
        ValueError: There are fewer than three folds.
        DataError: A class has fewer different examples than there are folds.
    """
    if folds < 3:
        raise ValueError(f"Out-of-fold splits need 3 folds or more: train, val and test. Received: {folds}")
    units = find_units(examples, seed=seed, near_duplicates=near_duplicates)
    fold = deal_folds(units, class_names(examples, classes), folds)[units.of]
    parts = [examples.take(np.flatnonzero(fold == number)) for number in range(folds)]
    made = []
    for number in range(folds):
        following = (number + 1) % folds
        train = examples.take(np.flatnonzero((fold != number) & (fold != following)))
        note = f"Fold {number + 1} of {folds}, seed {seed}."
        made.append(make_splits(train, parts[following], parts[number], classes, (note,)))
    return made
