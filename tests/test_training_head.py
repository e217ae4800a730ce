"""The closed-form head against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tlkeras.training.head import solve_logistic


def _data(classes: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, 240)
    centers = np.random.default_rng(5).normal(size=(classes, 12))
    return (generator.normal(size=(240, 12)) * 1.5 + centers[labels] + 7.0).astype(np.float32) * 3, labels


@pytest.mark.parametrize("classes", [2, 4])
def test_folded_kernel_and_bias_give_the_probabilities_of_the_chosen_regression(classes):
    x, y = _data(classes)
    val_x, val_y = _data(classes, seed=1)
    kernel, bias, scores = solve_logistic(x, y, val_x, val_y, classes)
    logits = val_x @ kernel + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(probabilities[np.arange(len(val_y)), val_y]).mean()
    assert loss == pytest.approx(scores["val_loss"], rel=1e-4)
    assert np.mean(logits.argmax(axis=1) == val_y) == pytest.approx(scores["val_accuracy"])
    center, scale = x.mean(axis=0), np.sqrt(np.mean((x - x.mean(axis=0)) ** 2))
    direct = LogisticRegression(C=scores["strength"] * 10 / 12, max_iter=300, tol=1e-6).fit((x - center) / scale, y)
    np.testing.assert_allclose(probabilities, direct.predict_proba((val_x - center) / scale), atol=3e-3)


def test_the_strength_is_the_one_with_the_lowest_validation_loss():
    # Labels without relation to the features: the strongest regularization must win.
    generator = np.random.default_rng(0)
    x, val_x = generator.normal(size=(2, 100, 60))
    y, val_y = generator.integers(0, 3, (2, 100))
    *_, scores = solve_logistic(x, y, val_x, val_y, 3)
    assert scores["strength"] == 0.01


def test_a_class_without_training_examples_is_never_predicted():
    x, y = _data(3)
    keep = y != 1
    kernel, bias, _ = solve_logistic(x[keep], y[keep], x[keep], y[keep], 3)
    assert kernel.shape == (12, 3)
    assert 1 not in (x @ kernel + bias).argmax(axis=1)


def test_a_feature_that_hardly_varies_gets_no_huge_weight():
    # Dividing by each feature's own deviation would give it a weight in the order of 1 / 1e-4.
    x, y = _data(3)
    tiny = np.concatenate([x, 1e-4 * np.random.default_rng(0).normal(size=(240, 1))], axis=1)
    kernel, _, _ = solve_logistic(tiny, y, tiny, y, 3)
    assert np.abs(kernel[-1]).max() < np.abs(kernel[:-1]).max()
