"""Two models on the same examples: the difference, its interval, and whether it can be chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.evaluation.intervals import bootstrap_weighted
from tlkeras.evaluation.measure import Measure


@dataclass(frozen=True)
class Paired:
    """How one model does against another on the same examples.

    Attributes:
        difference: The mean difference of the scores, with its BCa interval; positive where the first is better.
        wins: The number of examples on which the first is better.
        losses: The number on which the other is.
        p_value: Of an exact sign test that both win equally often; for classes that is McNemar's test (1947).
    """

    difference: Measure
    wins: int
    losses: int
    p_value: float


def compare_scores(own: np.ndarray, other: np.ndarray, *, seed: int = 0) -> Paired:
    """Compare the scores of two models on the same examples.

    Args:
        own: A score for each example, higher is better, shape `(n,)`; see `score` of the tasks' modules.
        other: The same of the other model.
        seed: Seed of the bootstrap.

    Example:
        >>> compare_scores(np.array([1, 1, 1, 0]), np.array([0, 1, 1, 0])).wins
        1
    """
    from scipy.stats import binomtest

    wins, losses = int((own > other).sum()), int((own < other).sum())
    p_value = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    return Paired(paired_gain(own, other, seed=seed), wins, losses, p_value)


def paired_gain(own: np.ndarray, null: np.ndarray, *, seed: int = 0) -> Measure:
    """Return the mean difference of two scores on the same examples, with its BCa interval.

    Args:
        own: The model's score on each example, higher is better, shape `(n,)`.
        null: The null's.
        seed: Seed of the bootstrap.
    """
    difference = own.astype(float) - null.astype(float)
    return bootstrap_weighted(
        lambda weights: (weights @ difference / weights.sum(axis=1))[:, None], len(difference), seed=seed
    )[0]


def holm(p_values: Sequence[float] | np.ndarray) -> list[float]:
    """Correct p-values for their number, step by step from the smallest (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected
