"""Intervals that hold near their bounds: where few examples are wrong a bootstrap sees none, and its interval is far too short.

The bootstrap interval of a balanced accuracy of 0.97 holds the truth in 40 of 100 samples of 20, because most of them hold no
mistake. docs/evaluation.md says how often these do.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tlkeras.evaluation.intervals import CONFIDENCE, RESAMPLES, wilson
from tlkeras.evaluation.measure import Measure

WRONG, RIGHT = 0.7, 0.3
"""Examples that are added before anything is seen: wrong ones in all, and right ones of each class."""
FEW_MISTAKES = 15
FEW_POSITIVES = 10
BELIEVED = 20
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


def area_interval(positive: np.ndarray, scores: np.ndarray, area: float) -> tuple[float, float]:
    """Return the ends of the 95 % interval of an area under the ROC curve.

    Hanley and McNeil's variance, which `newcombe` uses, holds for scores that are spread exponentially; it is too large for
    areas near 1 where they are not. So it is scaled to what the sample itself shows (DeLong, DeLong and Clarke-Pearson,
    "Comparing the areas under two or more correlated receiver operating characteristic curves", 1988), the more the larger the
    sample is: as if 20 examples had shown that it is right.

    Args:
        positive: Which examples are to be found, bool, shape `(n,)`; some are and some are not.
        scores: What they are ranked by, float, shape `(n,)`.
        area: The area that was found.
    """
    from scipy.stats import rankdata

    found, others = scores[positive], scores[~positive]
    scale, fewest = 1.0, min(len(found), len(others))
    if 0 < area < 1 and fewest > 1:
        ranks = rankdata(scores)
        above = (ranks[positive] - rankdata(found)) / len(others)
        below = (ranks[~positive] - rankdata(others)) / len(found)
        seen = above.var(ddof=1) / len(found) + below.var(ddof=1) / len(others)
        scale = (fewest * seen / _area_variance(area, len(found), len(others)) + BELIEVED) / (fewest + BELIEVED)
    return newcombe(area, len(found), len(others), scale=scale)


def newcombe(area: float, positive: int, negative: int, *, scale: float = 1.0) -> tuple[float, float]:
    """Return the ends of the 95 % interval of an area under the ROC curve.

    All areas from which the one found is no further away than 1.96 of their own standard deviations: Wilson's idea, with the
    variance of Hanley and McNeil (Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2", 2006, method 5).

    Args:
        area: What was found, in `[0, 1]`.
        positive: The number of examples to be found.
        negative: The number of the others.
        scale: What the variance is multiplied by.
    """
    return _within(area, lambda other: scale * _area_variance(other, positive, negative))


def _area_variance(area: float, positive: int, negative: int) -> float:
    others = (positive + negative) / 2 - 1
    spread = area * (1 - area) * (1 + others * (1 - area) / (2 - area) + others * area / (1 + area))
    return spread / (positive * negative)


def precision_interval(precision: float, positive: Sequence[int]) -> tuple[float, float]:
    """Return the ends of the 95 % interval of an average precision, or of the mean of several.

    Wilson's idea with the variance of as many trials as there are examples to be found (Boyd, Eng and Page, "Area under the
    precision-recall curve: point estimates and confidence intervals", 2013): too wide where these are many, but it is there
    where they are few and nothing varies.

    Args:
        precision: What was found, in `[0, 1]`.
        positive: The number of examples to be found, of each.
    """
    share = sum(1 / count for count in positive) / len(positive) ** 2
    return _within(precision, lambda other: other * (1 - other) * share)


def _within(value: float, variance: Callable[[float], float]) -> tuple[float, float]:
    """The ends of all values in `[0, 1]` from which one is no further away than 1.96 of their own standard deviations."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    level, tiny = float(ndtri((1 + CONFIDENCE) / 2)), 1e-9

    def beyond(other: float) -> float:
        return abs(other - value) - level * np.sqrt(variance(other))

    low = brentq(beyond, 0.0, value - tiny) if value > tiny else 0.0
    high = brentq(beyond, value + tiny, 1.0) if value < 1 - tiny else 1.0
    return float(low), float(high)


def opened(measure: Measure) -> Measure:
    """Return the measure of a mean of scores in `[0, 1]` whose interval is empty at 1 with Wilson's lower end.

    The mean is at least the share of scores that are 1.
    """
    if measure.low == measure.high == 1.0 and measure.n:
        return Measure(measure.value, wilson(measure.n, measure.n).low, 1.0, measure.n)
    return measure
