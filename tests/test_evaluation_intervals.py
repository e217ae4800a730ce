"""Intervals against the textbook, SciPy, and the share of simulated samples whose interval holds the truth."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import beta, norm
from scipy.stats import bootstrap as scipy_bootstrap

from tests.interval_coverage import cover, cover_area, cover_counted, cover_mean, draw_labels, true_labels
from tlkeras.evaluation import intervals, multi_label
from tlkeras.evaluation.boundary import area_interval, newcombe, posterior, precision_interval
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


def test_an_area_has_the_interval_that_its_equation_says_also_where_nothing_is_mixed_up():
    low, high = newcombe(0.8, 10, 15)
    for end in (low, high):
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)  # Hanley and McNeil 1982; both counts less one become 25 / 2 - 1
        variance = (end * (1 - end) + 11.5 * (q1 - end**2) + 11.5 * (q2 - end**2)) / 150
        assert abs(end - 0.8) == pytest.approx(norm.ppf(0.975) * np.sqrt(variance), rel=1e-6)
    low, high = newcombe(1.0, 10, 15)
    assert 0.7 < low < 0.9 and high == 1
    assert newcombe(0.0, 15, 10) == pytest.approx((0.0, 1 - low), abs=1e-3)


def test_the_variance_of_an_area_is_pulled_towards_that_of_the_sample():
    generator = np.random.default_rng(4)
    found, others = generator.normal(2.5, 1, 30).round(1), generator.normal(size=50).round(1)
    kernel = (found[:, None] > others).astype(float) + (found[:, None] == others) / 2
    area = kernel.mean()
    seen = kernel.mean(axis=1).var(ddof=1) / 30 + kernel.mean(axis=0).var(ddof=1) / 50  # DeLong
    scores, positive = np.concatenate([found, others]), np.arange(80) < 30
    order = generator.permutation(80)
    low, high = area_interval(positive[order], scores[order], area)

    def variance(end: float) -> float:
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        return (end * (1 - end) + 39 * (q1 - end**2) + 39 * (q2 - end**2)) / 1500

    scale = (30 * seen / variance(area) + 20) / 50
    assert abs(scale - 1) > 0.03
    for end in (low, high):
        assert abs(end - area) == pytest.approx(norm.ppf(0.975) * np.sqrt(scale * variance(end)), rel=1e-6)
    assert area_interval(np.arange(25) < 10, -np.arange(25.0), 1.0) == newcombe(1.0, 10, 15)


def test_few_examples_to_be_found_give_an_average_precision_wilsons_interval():
    four = wilson(3, 4)
    assert precision_interval(0.75, [4]) == pytest.approx((four.low, four.high), abs=1e-6)
    assert precision_interval(0.75, [12, 12, 12, 12]) == pytest.approx(precision_interval(0.75, [48]))
    found = areas([np.arange(20) < 4], [-np.arange(20.0)])["average_precision"]
    assert (found.value, found.low, found.high) == pytest.approx((1, wilson(4, 4).low, 1), abs=1e-6)


def test_the_posterior_of_a_recall_is_a_beta_distribution():
    counts = np.array([[17, 3], [0, 0]])
    low, high = posterior(counts, lambda drawn: (drawn[:, 0, 0] / drawn[:, 0].sum(axis=1))[:, None])
    expected = beta.ppf([0.025, 0.975], 17.3, 3.35)
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.02)


@pytest.mark.parametrize("classes", [2, 4])
def test_no_interval_is_empty_where_nothing_is_wrong(classes):
    targets = np.arange(24) % classes
    found = measures(targets, np.eye(classes)[targets])
    for name, one in found.items():
        assert one.value == 1 and one.high == 1, name
        assert 0.5 < one.low < 0.99, name


def test_intervals_hold_their_level_where_few_are_wrong():
    # Bootstrap intervals hold a balanced accuracy of 0.97 in 40 of 100 samples of 20: most of them hold no mistake.
    held = cover_counted(np.array([0.5, 0.5]), 0.97, 20, 400)
    assert all(0.92 <= share <= 0.99 for share in held.values()), held


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("n", [20, 60, 200, 2000])
def test_intervals_hold_their_level(n):
    """docs/evaluation.md has the numbers; those of macro means over several classes at 20 examples are lower or higher."""
    trials = 2000 if n < 2000 else 500
    margin = 2.5 * np.sqrt(0.05 * 0.95 / trials)
    two = cover_counted(np.array([0.5, 0.5]), 0.9, n, trials)
    found = {**two, **cover_area(0.97, 0.5, n, trials), **cover_mean(n, trials)}
    assert all(0.925 - margin <= share <= 0.975 + margin for share in found.values()), found


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_intervals_of_several_labels_hold_their_level():
    found = cover(partial(draw_labels, apart=2.0, labels=5), multi_label.measures, true_labels, 60, 500)
    assert len(found) == 10 and all(0.91 <= share <= 0.98 for share in found.values()), found
