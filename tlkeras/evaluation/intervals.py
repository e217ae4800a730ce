"""Confidence intervals of 95 %: Wilson's for proportions, the bootstrap's for everything else."""

from collections.abc import Callable

import numpy as np

from tlkeras.evaluation.measure import Measure

CONFIDENCE = 0.95
RESAMPLES = 1000
MOST_LEFT_OUT = 500
"""Of more examples, as many groups are left out one after the other to find the skewness."""
_CELLS = 4_000_000
"""Weights that are held at a time."""


def wilson(successes: int, n: int) -> Measure:
    """Return a proportion with its Wilson score interval (Wilson 1927), which holds its level at small n and near 0 and 1."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return Measure(successes / n, float(interval.low), float(interval.high), n)


def bootstrap(statistic: Callable[[np.ndarray], float], n: int, *, seed: int = 0) -> Measure:
    """Return a statistic of examples with its bootstrap interval, see `bca`.

    Args:
        statistic: Takes indices of examples, int, shape `(n,)`, and returns a number.
        n: The number of examples.
        seed: Seed of the resampling.
    """

    def weighted(weights: np.ndarray) -> np.ndarray:
        places = np.arange(n)
        return np.array([[statistic(np.repeat(places, row.astype(np.int64)))] for row in weights])

    return bootstrap_weighted(weighted, n, seed=seed)[0]


def bootstrap_weighted(
    statistics: Callable[[np.ndarray], np.ndarray], n: int, *, seed: int = 0, expand: bool = True
) -> list[Measure]:
    """Return statistics of examples with their bootstrap intervals, from the same resamples; see `bca`.

    Args:
        statistics: Takes how often each example counts, float64, shape `(resamples, n)`, and returns their values, shape
            `(resamples, statistics)`.
        n: The number of examples.
        seed: Seed of the resampling.
        expand: Whether intervals are expanded for small samples; those of areas under curves are wide enough without.
    """
    generator = np.random.default_rng(seed)

    def in_parts(count: int, draw: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        parts = np.array_split(np.arange(count), max(1, -(-count * n // _CELLS)))
        return np.concatenate([np.asarray(statistics(draw(part)), np.float64) for part in parts])

    def resample(part: np.ndarray) -> np.ndarray:
        drawn = generator.integers(0, n, (len(part), n)) + n * np.arange(len(part))[:, None]
        return np.bincount(drawn.ravel(), minlength=n * len(part)).reshape(len(part), n).astype(np.float64)

    groups = np.arange(n) % min(n, MOST_LEFT_OUT)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.asarray(statistics(np.ones((1, n))), np.float64)[0]
        drawn = in_parts(RESAMPLES, resample)
        without = in_parts(int(groups.max()) + 1, lambda part: (groups[None] != part[:, None]).astype(np.float64))
    return [
        Measure(float(v), *bca(float(v), d, w, n if expand else None), n)
        for v, d, w in zip(value, drawn.T, without.T, strict=True)
    ]


def bca(value: float, resampled: np.ndarray, left_out: np.ndarray, n: int | None) -> tuple[float, float]:
    """Return the ends of a bias-corrected and accelerated interval (Efron 1987), expanded for small samples.

    A bootstrap sample varies less than a sample by `(n - 1) / n` and knows nothing of Student's t: so the level is raised from
    `z` to `sqrt(n / (n - 1)) t` (Hesterberg, "What Teachers Should Know about the Bootstrap", 2015, 5.3).

    Args:
        value: The statistic of the sample.
        resampled: Of the resamples; those that are not finite are left out.
        left_out: Of the sample without each example, or group of examples.
        n: The number of examples; None for an interval that is not expanded.

    Returns:
        The value itself, twice, where the statistic does not vary.
    """
    from scipy.special import ndtr, ndtri
    from scipy.stats import t

    resampled, left_out = resampled[np.isfinite(resampled)], left_out[np.isfinite(left_out)]
    if not np.isfinite(value) or not len(resampled) or np.ptp(resampled) == 0:
        return value, value
    tie = 1e-12 * max(1.0, abs(value))
    below = ((resampled < value - tie).mean() + (resampled <= value + tie).mean()) / 2
    bias = float(ndtri(np.clip(below, 0.5 / len(resampled), 1 - 0.5 / len(resampled))))
    away = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = float((away**2).sum() ** 1.5)
    skew = float((away**3).sum()) / (6 * spread) if spread else 0.0
    level = float(ndtri((1 + CONFIDENCE) / 2))
    if n is not None:
        level = float(np.sqrt(n / max(1, n - 1)) * t.ppf((1 + CONFIDENCE) / 2, max(1, n - 1)))
    shifted = [bias + (bias + z) / (1 - skew * (bias + z)) for z in (-level, level)]
    low, high = np.quantile(resampled, ndtr(shifted))
    return float(min(low, value)), float(max(high, value))
