"""Intervals against the textbook, SciPy, and the share of simulated samples whose interval holds the truth."""

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import norm

from tlkeras.evaluation import intervals
from tlkeras.evaluation.classification import areas, measures
from tlkeras.evaluation.intervals import bootstrap, bootstrap_weighted, wilson


def _mean(sample: np.ndarray, seed: int) -> tuple[float, float]:
    found = bootstrap_weighted(lambda weights: (weights @ sample / weights.sum(axis=1))[:, None], len(sample), seed=seed)[0]
    return found.low, found.high


def test_an_interval_is_that_of_scipy_but_for_the_small_sample(monkeypatch):
    sample = np.random.default_rng(0).exponential(size=300)
    monkeypatch.setattr(intervals, "RESAMPLES", 20_000)
    expected = scipy_bootstrap((sample,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    low, high = expected.confidence_interval
    # Expanded by sqrt(300 / 299) * 1.968 / 1.960, half a per cent; the rest is chance.
    np.testing.assert_allclose(_mean(sample, 2), (low, high), atol=0.003)


def test_statistics_of_rows_and_of_weights_have_the_same_interval():
    sample = np.random.default_rng(0).exponential(size=40)
    by_rows = bootstrap(lambda rows: float(sample[rows].mean()), 40, seed=3)
    assert (by_rows.low, by_rows.high) == pytest.approx(_mean(sample, 3))


def _share(trials: int, holds) -> float:
    return sum(holds(np.random.default_rng(trial), trial) for trial in range(trials)) / trials


def _mean_holds(n: int):
    def holds(generator: np.random.Generator, trial: int) -> bool:
        low, high = _mean(np.abs(generator.normal(size=n)), trial)
        return low <= np.sqrt(2 / np.pi) <= high

    return holds


def _area_holds(n: int):
    def holds(generator: np.random.Generator, trial: int) -> bool:
        labels = np.arange(n) % 2 == 1
        found = areas([labels], [generator.normal(size=n) + labels], seed=trial)["roc_auc"]
        return found.low <= norm.cdf(1 / np.sqrt(2)) <= found.high

    return holds


def _matthews_holds(n: int):
    def holds(generator: np.random.Generator, trial: int) -> bool:
        # Four classes of equal share, 70 % right, the rest spread evenly: (0.7 - 0.25) / 0.75.
        labels, wrong = generator.integers(0, 4, n), generator.integers(1, 4, n)
        guess = np.where(generator.random(n) < 0.7, labels, (labels + wrong) % 4)
        found = measures(labels, np.eye(4)[guess], seed=trial)["matthews"]
        return found.low <= 0.6 <= found.high

    return holds


def test_wilson_intervals_hold_their_level_over_all_proportions():
    for n in (20, 200, 2000):
        counts = np.arange(n + 1)
        ends = np.array([(one.low, one.high) for one in (wilson(int(count), n) for count in counts)])
        from scipy.stats import binom

        covered = [binom.pmf(counts, n, p)[(ends[:, 0] <= p) & (p <= ends[:, 1])].sum() for p in np.linspace(0.01, 0.99, 197)]
        assert 0.935 <= np.mean(covered) <= 0.965


def test_bootstrap_intervals_hold_their_level_at_twenty_examples():
    # The error of a normal prediction: skewed. 1500 trials: standard error 0.6 points.
    assert 0.93 <= _share(1500, _mean_holds(20)) <= 0.97


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("holds", [_mean_holds, _area_holds, _matthews_holds])
@pytest.mark.parametrize("n", [20, 60, 200, 2000])
def test_bootstrap_intervals_hold_their_level(n, holds):
    trials = 3000 if n < 1000 else 1500
    margin = 2.5 * np.sqrt(0.05 * 0.95 / trials)
    assert 0.935 - margin <= _share(trials, holds(n)) <= 0.965 + margin
