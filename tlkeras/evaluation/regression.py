"""Measures of a regression: absolute and squared error, correlation, share of variance."""

from collections.abc import Sequence

import numpy as np

from tlkeras.evaluation.intervals import bootstrap
from tlkeras.evaluation.measure import Measure


def score(targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Say how good each prediction is: minus its absolute error; float, shape `(n,)`."""
    return -np.abs(targets - predicted).astype(float)


def headline(scores: np.ndarray, *, seed: int = 0) -> Measure:
    """Return the mean absolute error with its BCa interval."""
    return bootstrap(lambda rows: float(-scores[rows].mean()), len(scores), seed=seed)


def per_class(targets: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return nothing: values have no classes."""
    return {}


def measures(targets: np.ndarray, outputs: np.ndarray, *, seed: int = 0) -> dict[str, Measure]:
    """Return the measures with their BCa bootstrap intervals.

    Args:
        targets: Values, float, shape `(n,)`, in the units of the data.
        outputs: Predicted values, float, shape `(n, 1)`.
        seed: Seed of the bootstrap.
    """
    from scipy.stats import rankdata

    predicted = outputs[:, 0].astype(np.float64)
    targets, n = targets.astype(np.float64), len(targets)

    def root_mean_square(rows: np.ndarray) -> float:
        return float(np.sqrt(np.mean((predicted[rows] - targets[rows]) ** 2)))

    def explained(rows: np.ndarray) -> float:
        spread = np.sum((targets[rows] - targets[rows].mean()) ** 2)
        return float(1 - np.sum((predicted[rows] - targets[rows]) ** 2) / spread) if spread else float("nan")

    def correlation(rows: np.ndarray) -> float:
        constant = np.ptp(predicted[rows]) == 0 or np.ptp(targets[rows]) == 0
        return float("nan") if constant else float(np.corrcoef(predicted[rows], targets[rows])[0, 1])

    def median(rows: np.ndarray) -> float:
        return float(np.median(np.abs(predicted[rows] - targets[rows])))

    def rank_correlation(rows: np.ndarray) -> float:
        constant = np.ptp(predicted[rows]) == 0 or np.ptp(targets[rows]) == 0
        return float("nan") if constant else float(np.corrcoef(rankdata(predicted[rows]), rankdata(targets[rows]))[0, 1])

    return {
        "mean_absolute_error": headline(score(targets, predicted), seed=seed),
        "root_mean_square_error": bootstrap(root_mean_square, n, seed=seed),
        "median_absolute_error": bootstrap(median, n, seed=seed),
        "r_squared": bootstrap(explained, n, seed=seed),
        "correlation": bootstrap(correlation, n, seed=seed),
        "rank_correlation": bootstrap(rank_correlation, n, seed=seed),
    }
