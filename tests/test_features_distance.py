"""Distances between sets of features against closed forms for Gaussians, and their nulls."""

import numpy as np
import pytest
from scipy.stats import norm

from tlkeras.features.distance import domain_distances, frechet_distance, separability


def _pair(n: int, width: int, shift: float, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    first, second = generator.normal(size=(2, n, width))
    second[:, 0] += shift
    return first, second


def test_gaussians_that_lie_apart_give_their_closed_forms():
    first, second = _pair(20_000, 2, 1.5)
    found = separability(first, second)
    # Bayes: the error is Φ(-δ/2), the AUC Φ(δ/√2), for a shift of δ = 1.5.
    assert found["proxy_a"] == pytest.approx(2 * (1 - 2 * norm.cdf(-0.75)), abs=0.02)
    assert found["proxy_a"] == pytest.approx(1.0935, abs=0.02)
    assert found["domain_auc"] == pytest.approx(0.8556, abs=0.01)
    assert frechet_distance(first, second) == pytest.approx(2.25, abs=0.05)


def test_frechet_distance_of_one_dimension_is_that_of_means_and_deviations():
    generator = np.random.default_rng(0)
    first, second = generator.normal(1, 2, (50, 1)), generator.normal(0, 5, (40, 1))
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)


def test_frechet_distance_equals_the_matrix_square_root():
    from scipy.linalg import sqrtm

    generator = np.random.default_rng(1)
    first, second = generator.normal(size=(60, 5)), generator.normal(size=(60, 5)) @ generator.normal(size=(5, 5))
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(first, second) == pytest.approx(expected)


def test_sets_of_one_distribution_are_not_told_apart_though_there_are_more_features_than_examples():
    first, second = _pair(60, 200, 0.0)
    found = domain_distances(first, second)
    assert {name: distance.differs for name, distance in found.items()} == dict.fromkeys(
        ("domain_auc", "proxy_a", "frechet"), False
    )
    assert found["domain_auc"].value == pytest.approx(0.5, abs=0.1)
    assert found["proxy_a"].value < 0.5  # in-sample it would be 2


def test_few_examples_of_another_distribution_are_told_apart_beside_their_null():
    first, _ = _pair(20, 50, 0.0)
    wide = np.random.default_rng(3).normal(size=(200, 50))
    found = domain_distances(4 * first + 3, wide)
    assert all(distance.differs and distance.n == 20 for distance in found.values())
    assert found["domain_auc"].null == pytest.approx(0.5, abs=0.1)


def test_too_few_examples_are_refused():
    first, second = _pair(9, 5, 0.0)
    with pytest.raises(ValueError, match="20 of the target"):
        domain_distances(first, second)
