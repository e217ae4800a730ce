"""Probes and transferability scores against brute force, closed forms and bounds."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.linear_model import Ridge

from tlkeras.evaluation.probes import knn_probe, logistic_probe, ridge_probe, standardise, stratified_folds
from tlkeras.evaluation.transferability import h_score, leep, log_evidence, log_me, nce


def _clusters(n: int, width: int, classes: int, *, distance: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = generator.normal(size=(classes, width)) * distance
    return generator.normal(size=(n, width)) + centres[labels], labels


def _rotation(width: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(9).normal(size=(width, width)))[0]


@pytest.mark.parametrize("width", [6, 40])
def test_ridge_without_each_example_equals_refits_by_brute_force(width):
    x, labels = _clusters(25, width, 3)
    y = np.eye(3)[labels]
    strength = 0.3
    scatter = np.sum((x - x.mean(axis=0)) ** 2) / width
    expected = []
    for left_out in range(25):
        rest = np.arange(25) != left_out
        model = Ridge(alpha=strength * scatter, fit_intercept=True, solver="svd", tol=1e-12).fit(x[rest], y[rest])
        expected.append(model.predict(x[left_out : left_out + 1])[0])
    np.testing.assert_allclose(ridge_probe(x, y, strengths=[strength]).outputs, expected, atol=1e-10)


def test_ridge_takes_the_strength_with_the_least_error_without_the_example():
    x, labels = _clusters(60, 30, 3)
    y = np.eye(3)[labels]
    errors = {s: np.mean((ridge_probe(x, y, strengths=[s]).outputs - y) ** 2) for s in (1e-3, 0.1, 10.0, 1e4)}
    best = min(errors, key=lambda strength: errors[strength])
    assert best not in (1e-3, 1e4)
    assert ridge_probe(x, y, strengths=list(errors)).strength == best


@pytest.mark.parametrize("probe", [ridge_probe, knn_probe])
def test_probes_do_not_change_with_rotation_or_scale(probe):
    x, labels = _clusters(50, 12, 3)
    y = np.eye(3)[labels]
    for changed in (x @ _rotation(12), 7 * x, 1e-13 * x):
        np.testing.assert_allclose(probe(changed, y).outputs, probe(x, y).outputs, atol=1e-9)


def test_ridge_of_noise_with_more_features_than_examples_is_at_chance():
    x = np.random.default_rng(1).normal(size=(200, 800))
    labels = np.arange(200) % 2
    accuracy = np.mean(ridge_probe(x, np.eye(2)[labels]).outputs.argmax(axis=1) == labels)
    assert accuracy < 0.6  # a fit that has seen the example is right in all of them


def test_neighbours_are_weighted_by_their_cosine_and_never_the_example_itself():
    angles = np.deg2rad([0.0, 10.0, 60.0])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    weights = np.exp(np.array([np.cos(angles[1]), np.cos(angles[2])]) / 0.1)
    outputs = knn_probe(x, np.eye(3), neighbours=5).outputs
    np.testing.assert_allclose(outputs[0], [0, *weights / weights.sum()], rtol=1e-12)
    np.testing.assert_array_equal(knn_probe(x, np.eye(3), neighbours=1).outputs, np.eye(3)[[1, 0, 1]])


def test_logistic_probe_learns_clusters_and_has_not_seen_the_example():
    x, labels = _clusters(90, 10, 3, distance=2)
    assert np.mean(logistic_probe(x, labels, 3).outputs.argmax(axis=1) == labels) > 0.95
    noise = np.random.default_rng(0).normal(size=(120, 300))
    coin = np.random.default_rng(1).integers(0, 2, 120)
    assert np.mean(logistic_probe(noise, coin, 2).outputs.argmax(axis=1) == coin) < 0.65


def test_logistic_probe_survives_classes_of_one_example():
    x, labels = _clusters(21, 4, 2)
    labels = np.append(labels[:-1], 2)
    outputs = logistic_probe(x, labels, 4).outputs
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0, rtol=1e-6)
    assert outputs[-1, 2] == 0.0
    assert outputs[:, 3].max() == 0.0


def test_folds_hold_each_class_in_proportion():
    labels = np.repeat([0, 1, 2], [50, 25, 3])
    folds = stratified_folds(labels, seed=3)
    np.testing.assert_array_equal(np.bincount(folds[labels == 0]), [10] * 5)
    np.testing.assert_array_equal(np.bincount(folds[labels == 1]), [5] * 5)
    assert len(set(folds[labels == 2])) == 3


def test_standardising_leaves_constant_features_at_zero_even_if_they_vary_by_rounding():
    x = np.array([[1.0, 5.0], [3.0, 5.0 + 1e-9], [5.0, 5.0]])
    np.testing.assert_allclose(standardise(x), [[-np.sqrt(1.5), 0], [0, 0], [np.sqrt(1.5), 0]], atol=1e-12)
    tiny = standardise(np.array([[1e-13], [3e-13]], np.float32))
    np.testing.assert_allclose(tiny, [[-1], [1]], atol=1e-6)


@pytest.mark.parametrize(("n", "width"), [(60, 8), (30, 75)])
def test_log_me_equals_the_gaussian_marginal_likelihood(n, width):
    x, labels = _clusters(n, width, 2, distance=0.5)
    y = np.eye(2)[labels] + 0.01 * np.random.default_rng(0).normal(size=(n, 2))
    found = log_evidence(x, y)
    for column in range(2):
        covariance = np.eye(n) / found.beta[column] + x @ x.T / found.alpha[column]
        expected = multivariate_normal(np.zeros(n), covariance).logpdf(y[:, column]) / n
        assert found.values[column] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("n", "width"), [(60, 8), (40, 75)])
def test_log_me_is_the_maximum_over_both_precisions(n, width):
    x, _ = _clusters(n, width, 2, distance=0.5)
    generator = np.random.default_rng(2)
    y = x @ generator.normal(size=width) * 0.3 + generator.normal(size=n)
    found = log_evidence(x, y[:, None], tolerance=1e-9, rounds=3000)

    def negative(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        return -multivariate_normal(np.zeros(n), np.eye(n) / beta + x @ x.T / alpha).logpdf(y) / n

    highest = minimize(negative, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
    assert found.values[0] == pytest.approx(-highest.fun, abs=1e-6)


def test_log_me_does_not_change_with_rotation_scale_or_copies_of_features():
    x, labels = _clusters(40, 60, 3)
    y = np.eye(3)[labels]
    for changed in (x @ _rotation(60), 7 * x, np.concatenate([x, x], axis=1)):
        assert log_me(changed, y) == pytest.approx(log_me(x, y), abs=1e-3)


def test_log_me_leaves_out_classes_that_no_example_has():
    x, labels = _clusters(40, 5, 3)
    assert log_me(x, np.eye(4)[labels]) == pytest.approx(log_me(x, np.eye(3)[labels]))


def _source_classifier(n: int, classes: int, source_classes: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(4)
    labels = np.arange(n) % classes
    logits = generator.normal(size=(n, source_classes)) + 2 * generator.normal(size=(classes, source_classes))[labels]
    theta = np.exp(logits)
    return theta / theta.sum(axis=1, keepdims=True), labels


def test_leep_of_a_classifier_that_is_sure_is_nce():
    theta, labels = _source_classifier(80, 3, 6)
    sure = theta.argmax(axis=1)
    assert leep(np.eye(6)[sure], labels) == pytest.approx(nce(sure, labels), abs=1e-12)


def test_leep_by_hand():
    # Two examples, two source classes; P(y|z) is 0.9/1.1 and 0.2/1.1 for z = 0 (masses 1.1 and 0.9).
    theta = np.array([[0.9, 0.1], [0.2, 0.8]])
    first = 0.9 * 0.9 / 1.1 + 0.1 * 0.1 / 0.9
    second = 0.2 * 0.2 / 1.1 + 0.8 * 0.8 / 0.9
    assert leep(theta, np.array([0, 1])) == pytest.approx((np.log(first) + np.log(second)) / 2, abs=1e-12)


def test_leep_lies_between_its_bounds():
    theta, labels = _source_classifier(90, 3, 5)
    own = theta.argmax(axis=1)
    value = leep(theta, labels)
    assert value >= nce(own, labels) + np.mean(np.log(theta.max(axis=1)))
    # The best re-reading of the source's classes, by expectation and maximisation, is at least as likely; so is 0.
    table = np.full((3, 5), 1 / 3)
    for _ in range(500):
        shares = table[labels] * theta
        shares /= shares.sum(axis=1, keepdims=True)
        table = np.stack([shares[labels == label].sum(axis=0) for label in range(3)])
        table /= table.sum(axis=0)
    assert value <= np.mean(np.log(np.sum(table[labels] * theta, axis=1))) + 1e-9 < 0


def test_leep_withstands_source_classes_that_no_example_is_given():
    theta, labels = _source_classifier(80, 3, 6)
    padded = np.concatenate([theta, np.zeros((80, 4))], axis=1)
    assert leep(padded, labels) == pytest.approx(leep(theta, labels), abs=1e-12)


def test_nce_is_zero_where_answers_tell_the_class_and_the_entropy_where_they_tell_nothing():
    labels = np.array([0, 1, 2, 0, 1, 2])
    assert nce(labels + 5, labels) == 0.0
    assert nce(np.zeros(6, int), labels) == pytest.approx(-np.log(3))


def test_h_score_is_the_sum_of_squared_canonical_correlations():
    x, labels = _clusters(80, 7, 4)
    centred = x - x.mean(axis=0)
    y = np.eye(4)[labels][:, :3]
    left, right = np.linalg.qr(centred)[0], np.linalg.qr(y - y.mean(axis=0))[0]
    correlations = np.linalg.svd(left.T @ right, compute_uv=False)
    assert h_score(x, labels, shrink=False) == pytest.approx(np.sum(correlations**2), abs=1e-9)
    within = sum((x[labels == c] - x[labels == c].mean(0)).T @ (x[labels == c] - x[labels == c].mean(0)) for c in range(4))
    total = centred.T @ centred
    pillai = np.trace(np.linalg.solve(total, total - within))
    assert h_score(x, labels, shrink=False) == pytest.approx(pillai, abs=1e-9)
    assert h_score(x, labels, shrink=False) <= 3


def test_plain_h_score_of_noise_has_its_expectation_and_the_shrunk_one_far_less():
    generator = np.random.default_rng(0)
    plain, shrunk = [], []
    for _ in range(20):
        x, labels = generator.normal(size=(300, 40)), generator.permutation(np.arange(300) % 5)
        plain.append(h_score(x, labels, shrink=False))
        shrunk.append(h_score(x, labels))
    assert np.mean(plain) == pytest.approx(4 * 40 / 299, abs=0.05)
    assert np.mean(shrunk) < 0.2 * np.mean(plain)
