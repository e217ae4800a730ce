"""Nested parts of one data set: less to learn from, the same test."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlkeras.data.examples import Examples, Splits


def nested_subsets(splits: Splits, fractions: Sequence[float], *, seed: int = 0) -> dict[float, Splits]:
    """Return the splits with a fraction of the training and validation examples each; the test examples stay.

    A smaller part lies within each larger one. Classes (of values: fifths) keep their shares, and none vanishes.

    Args:
        splits: The whole.
        fractions: Each above 0 and at most 1.
        seed: Seed of the draw.

    Raises:
        ValueError: A fraction is out of range.
    """
    wrong = [fraction for fraction in fractions if not 0 < fraction <= 1]
    if wrong or not fractions:
        raise ValueError(f"A fraction of the training examples is above 0 and at most 1. Received: {wrong or 'none'}")
    orders = {name: _order(getattr(splits, name), seed) for name in ("train", "val")}
    found = {}
    for fraction in sorted(set(fractions)):
        train, val = (_take(getattr(splits, name), order, fraction) for name, order in orders.items())
        mark = hashlib.sha256(f"{splits.fingerprint} {fraction:.9g} {seed}".encode()).hexdigest()
        found[fraction] = splits if fraction == 1 else replace(splits, train=train, val=val, fingerprint=mark)
    return found


def _order(examples: Examples, seed: int) -> np.ndarray:
    """For each example its place among those of its class, as a share of the class: a prefix keeps the classes' shares."""
    strata, generator = examples.targets.strata(), np.random.default_rng(seed)
    place = np.empty(len(examples))
    for stratum in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        place[members] = np.arange(len(members)) / len(members)
    return place


def _take(examples: Examples, place: np.ndarray, fraction: float) -> Examples:
    # The first of each class has place 0, so that it is in every part; the margin is for sums such as 0.1 + 0.2.
    return examples.take(np.flatnonzero(place < fraction - 1e-9)) if not math.isclose(fraction, 1) else examples
