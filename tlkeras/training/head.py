"""Solve the head alone: multinomial logistic regression on frozen features, folded into the dense layer."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    from sklearn.metrics import log_loss

    center = features.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(np.mean((features - center) ** 2))) or 1.0
    x, val_x, basis = rotate((features - center) / scale, (val_features - center) / scale)
    # Divided by the width, because that many features of unit size add up.
    strengths = [strength * 10 / features.shape[1] for strength in STRENGTHS]
    model, best = choose_logistic(x, labels, val_x, val_labels, strengths)
    kernel, bias = _unfold(model, classes)
    kernel = basis @ kernel / scale
    bias = bias - center @ kernel
    scores = {
        "loss": log_loss(labels, model.predict_proba(x), labels=model.classes_),
        "accuracy": float(model.score(x, labels)),
        "val_loss": log_loss(val_labels, model.predict_proba(val_x), labels=model.classes_),
        "val_accuracy": float(model.score(val_x, val_labels)),
        "strength": STRENGTHS[best],
    }
    return kernel.astype(np.float32), bias.astype(np.float32), scores


def rotate(train: np.ndarray, val: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn features into the space that the training examples span, where L2-penalised regression has the same solution.

    With fewer examples than features it is several times faster there.

    Returns:
        Both arrays with at most `min(n, width)` columns, and the basis `(width, columns)` that turns coefficients back.
    """
    if len(train) >= train.shape[1]:
        return train, val, np.eye(train.shape[1])
    u, s, vt = np.linalg.svd(train, full_matrices=False)
    return u * s, val @ vt.T, vt.T


def choose_logistic(
    train: Any, labels: np.ndarray, val: Any, val_labels: np.ndarray, strengths: Sequence[float]
) -> "tuple[LogisticRegression, int]":
    """Fit logistic regression, ever less regularized, until the validation loss rises; return the best, and which it was.

    Args:
        train: float, shape `(n, width)`; may be sparse.
        labels: int, shape `(n,)`.
        val: As `train`, `m` rows.
        val_labels: int, shape `(m,)`.
        strengths: scikit-learn's `C`, from strong regularization to weak.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from threadpoolctl import threadpool_limits

    best, lowest, chosen = None, np.inf, 0
    for index, strength in enumerate(strengths):
        # The matrices are small: a second BLAS thread would mostly wait for the first.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength, max_iter=200).fit(train, labels)
        known = np.isin(val_labels, model.classes_)
        loss = log_loss(val_labels[known], model.predict_proba(val[known]), labels=model.classes_)
        if best is not None and loss > lowest:
            break  # the loss falls and then rises; weaker regularization takes ever longer to fit
        best, lowest, chosen = model, loss, index
    if best is None:
        raise ValueError("Give at least one strength of regularization.")
    return best, chosen


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
