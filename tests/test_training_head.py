"""The closed-form head against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from tests.networks import tiny_source
from tlkeras.tasks.classification import build_classifier
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.multi_label import build_multi_label
from tlkeras.tasks.regression import build_regressor
from tlkeras.training import head
from tlkeras.training.head import rotate, solve_head


def _model(outputs: int) -> TransferModel:
    return build_classifier(tiny_source(), [str(index) for index in range(outputs)])


def _data(classes: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, 240)
    centers = np.random.default_rng(5).normal(size=(classes, 12))
    return (generator.normal(size=(240, 12)) * 1.5 + centers[labels] + 7.0).astype(np.float32) * 3, labels


@pytest.mark.parametrize("classes", [2, 4])
def test_folded_kernel_and_bias_give_the_probabilities_of_the_chosen_regression(classes):
    x, y = _data(classes)
    val_x, val_y = _data(classes, seed=1)
    solution = solve_head(_model(classes), x, y, val_x, val_y)
    kernel, bias, scores = solution.kernel, solution.bias, solution.scores
    logits = val_x @ kernel + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(probabilities[np.arange(len(val_y)), val_y]).mean()
    assert loss == pytest.approx(scores["val_loss"], rel=1e-4)
    assert np.mean(logits.argmax(axis=1) == val_y) == pytest.approx(scores["val_accuracy"])
    center, scale = x.mean(axis=0), np.sqrt(np.mean((x - x.mean(axis=0)) ** 2))
    direct = LogisticRegression(C=solution.strength * 10 / 12, max_iter=300, tol=1e-6).fit((x - center) / scale, y)
    np.testing.assert_allclose(probabilities, direct.predict_proba((val_x - center) / scale), atol=3e-3)


def test_many_features_are_solved_in_float32_with_the_same_answers(monkeypatch):
    (x, y), (val_x, val_y) = _data(4), _data(4, seed=1)
    exact = solve_head(_model(4), x, y, val_x, val_y)
    monkeypatch.setattr(head, "LARGE", x.size)
    seen = []
    solve = head.solve_linear

    def watched(task, x, *rest):
        seen.append(x.dtype)
        return solve(task, x, *rest)

    monkeypatch.setattr(head, "solve_linear", watched)
    small = solve_head(_model(4), x, y, val_x, val_y)
    assert (seen, small.strength) == ([np.float32], exact.strength)
    np.testing.assert_allclose(val_x @ small.kernel + small.bias, val_x @ exact.kernel + exact.bias, atol=0.01)


def test_the_strength_is_the_one_with_the_lowest_validation_loss():
    # Labels without relation to the features: the strongest regularization must win.
    generator = np.random.default_rng(0)
    x, val_x = generator.normal(size=(2, 100, 60))
    y, val_y = generator.integers(0, 3, (2, 100))
    assert solve_head(_model(3), x, y, val_x, val_y).strength == 0.01


def test_a_class_without_training_examples_is_never_predicted():
    x, y = _data(3)
    keep = y != 1
    solution = solve_head(_model(3), x[keep], y[keep], x[keep], y[keep])
    kernel, bias = solution.kernel, solution.bias
    assert kernel.shape == (12, 3)
    assert 1 not in (x @ kernel + bias).argmax(axis=1)


def test_a_feature_that_hardly_varies_gets_no_huge_weight():
    # Dividing by each feature's own deviation would give it a weight in the order of 1 / 1e-4.
    x, y = _data(3)
    tiny = np.concatenate([x, 1e-4 * np.random.default_rng(0).normal(size=(240, 1))], axis=1)
    kernel = solve_head(_model(3), tiny, y, tiny, y).kernel
    assert np.abs(kernel[-1]).max() < np.abs(kernel[:-1]).max()


def test_several_labels_are_solved_one_by_one_and_constant_ones_stay_what_they_are():
    x, y = _data(3)
    labels = np.stack([y == 0, y != 2, np.zeros_like(y), np.ones_like(y)], axis=1).astype(np.float32)
    model = build_multi_label(tiny_source(), ["a", "b", "never", "always"])
    solution = solve_head(model, x, labels, x, labels)
    center, scale = x.mean(axis=0), np.sqrt(np.mean((x - x.mean(axis=0)) ** 2))
    direct = LogisticRegression(C=solution.strength * 10 / 12, max_iter=300, tol=1e-6).fit((x - center) / scale, labels[:, 0])
    probabilities = 1 / (1 + np.exp(-(x @ solution.kernel + solution.bias)))
    np.testing.assert_allclose(probabilities[:, 0], direct.predict_proba((x - center) / scale)[:, 1], atol=3e-3)
    assert probabilities[:, 2].max() < 1e-6
    assert probabilities[:, 3].min() >= 1 - 1e-6
    assert solution.scores["accuracy"] == pytest.approx(np.mean((probabilities > 0.5) == labels))


def test_a_value_is_solved_as_ridge_regression_of_the_standardised_target():
    x, y = _data(4)
    values = (2.0 * y + 0.1 * x[:, 0]).astype(np.float32)
    model = build_regressor(tiny_source(), values)
    standard = ((values - values.mean()) / values.std())[:, None]
    solution = solve_head(model, x[:150], standard[:150], x[150:], standard[150:])
    center, scale = x[:150].mean(axis=0), np.sqrt(np.mean((x[:150] - x[:150].mean(axis=0)) ** 2))
    direct = Ridge(alpha=12 / (10 * solution.strength)).fit((x[:150] - center) / scale, standard[:150])
    predicted = x[150:] @ solution.kernel + solution.bias
    np.testing.assert_allclose(predicted[:, 0], direct.predict((x[150:] - center) / scale).ravel(), atol=1e-3)
    assert solution.scores["val_error"] == pytest.approx(np.abs(predicted - standard[150:]).mean(), rel=1e-4)


def test_rotated_examples_keep_all_their_products_in_as_many_columns_as_there_are_examples():
    generator = np.random.default_rng(0)
    train, val = generator.normal(size=(30, 100)), generator.normal(size=(5, 100))
    train[29] = train[0] + train[1]  # one dimension fewer
    x, val_x, basis = rotate(train, val)
    assert x.shape == (30, 29)
    np.testing.assert_allclose(x @ x.T, train @ train.T, atol=1e-9)
    np.testing.assert_allclose(val_x @ x.T, val @ train.T, atol=1e-9)
    np.testing.assert_allclose(basis.T @ basis, np.eye(29), atol=1e-9)
    assert np.isfinite(np.concatenate([part.ravel() for part in rotate(0 * train, val)])).all()
