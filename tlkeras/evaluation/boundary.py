"""Intervals that hold near their bounds: where few examples are wrong a bootstrap sees none, and its interval is far too short.

The bootstrap interval of a balanced accuracy of 0.97 holds the truth in 40 of 100 samples of 20, because most of them hold no
mistake. docs/evaluation.md says how often these do.
"""

from collections.abc import Callable

import numpy as np

from tlkeras.evaluation.intervals import CONFIDENCE, RESAMPLES, wilson
from tlkeras.evaluation.measure import Measure

WRONG, RIGHT = 0.7, 0.3
"""Examples that are added before anything is seen: wrong ones in all, and right ones of each class."""
FEW_MISTAKES = 15
MOST_CLASSES = 30


def posterior(
    confusion: np.ndarray, statistics: Callable[[np.ndarray], np.ndarray], *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % credible intervals of statistics of a confusion matrix, each of shape `(statistics,)`.

    The shares of its cells are drawn from their posterior distribution, a Dirichlet distribution (Goutte and Gaussier, "A
    Probabilistic Interpretation of Precision, Recall and F-score", 2005), whose prior is near Jeffreys's: for two cells of one
    class he adds half an example to each.

    Args:
        confusion: Counts, shape `(classes, classes)`.
        statistics: Takes matrices of any sum, float64, shape `(draws, classes, classes)`; returns `(draws, statistics)`.
        seed: Seed of the draws.
    """
    classes = len(confusion)
    prior = np.full(confusion.shape, WRONG / (classes * (classes - 1)))
    np.fill_diagonal(prior, RIGHT)
    drawn = np.random.default_rng(seed).standard_gamma(confusion + prior, size=(RESAMPLES, classes, classes))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(statistics(drawn / drawn.sum(axis=(1, 2), keepdims=True) * 1e9), [tail, 1 - tail], axis=0)
    return low, high


def newcombe(area: float, positive: int, negative: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of an area under the ROC curve.

    All areas from which the one found is no further away than 1.96 of their own standard deviations: Wilson's idea, with the
    variance of Hanley and McNeil (Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2", 2006, method 5).

    Args:
        area: What was found, in `[0, 1]`.
        positive: The number of examples to be found.
        negative: The number of the others.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    level, others = float(ndtri((1 + CONFIDENCE) / 2)), (positive + negative) / 2 - 1

    def beyond(other: float) -> float:
        spread = other * (1 - other) * (1 + others * (1 - other) / (2 - other) + others * other / (1 + other))
        return abs(other - area) - level * np.sqrt(spread / (positive * negative))

    tiny = 1e-9
    low = brentq(beyond, 0.0, area - tiny) if area > tiny else 0.0
    high = brentq(beyond, area + tiny, 1.0) if area < 1 - tiny else 1.0
    return float(low), float(high)


def opened(measure: Measure) -> Measure:
    """Return the measure of a mean of scores in `[0, 1]` whose interval is empty at 1 with Wilson's lower end.

    The mean is at least the share of scores that are 1.
    """
    if measure.low == measure.high == 1.0 and measure.n:
        return Measure(measure.value, wilson(measure.n, measure.n).low, 1.0, measure.n)
    return measure
