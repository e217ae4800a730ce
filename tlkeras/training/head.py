"""Solve the head alone: multinomial logistic regression on frozen features, folded into the dense layer."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
NEVER = -30.0


def solve_logistic(
    features: np.ndarray, labels: np.ndarray, val_features: np.ndarray, val_labels: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Fit logistic regression by L-BFGS and choose its inverse strength of regularization on the validation examples.

    The features are divided by one number, the root mean square of their deviations, so that the strengths mean the same for
    every source model. They are not standardised one by one: a feature that hardly varies would get a huge weight, and an
    8-bit export would lose up to 13 points of accuracy by it (measured on EfficientNet-Lite0).

    Args:
        features: float, shape `(n, width)`.
        labels: int, shape `(n,)`.
        val_features: float, shape `(m, width)`.
        val_labels: int, shape `(m,)`.
        classes: The number of outputs; a class without training examples gets no probability.

    Returns:
        The kernel `(width, classes)`, the bias `(classes,)` and loss, accuracy, val_loss, val_accuracy and the strength.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    scale = float(np.sqrt(np.mean((features - features.mean(axis=0)) ** 2))) or 1.0
    center = features.mean(axis=0)
    x, val_x = (features - center) / scale, (val_features - center) / scale
    best, best_loss, best_strength = None, np.inf, 0.0
    for strength in STRENGTHS:
        # Divided by the width, because that many features of unit size add up.
        model = LogisticRegression(C=strength * 10 / x.shape[1], max_iter=300)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, labels)
        loss = log_loss(val_labels, model.predict_proba(val_x), labels=model.classes_)
        if best is None or loss < best_loss:
            best, best_loss, best_strength = model, loss, strength
    model = best
    kernel, bias = _unfold(model, classes)
    kernel = kernel / scale
    bias = bias - center @ kernel
    scores = {
        "loss": log_loss(labels, model.predict_proba(x), labels=model.classes_),
        "accuracy": float(np.mean(model.predict(x) == labels)),
        "val_loss": best_loss,
        "val_accuracy": float(np.mean(model.predict(val_x) == val_labels)),
        "strength": best_strength,
    }
    return kernel.astype(np.float32), bias.astype(np.float32), scores


def _unfold(model: "LogisticRegression", classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias with a column for each class; two classes share one row of coefficients in scikit-learn."""
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel = np.zeros((coefficients.shape[1], classes))
    bias = np.full(classes, NEVER)
    kernel[:, model.classes_] = coefficients.T
    bias[model.classes_] = intercepts
    return kernel, bias
