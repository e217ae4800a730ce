"""Solve the head alone: regularized linear models on frozen features, folded into the dense layer."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
LARGE = 8_000_000
"""Features of so many numbers are solved in float32, half the time and memory; 6,250 examples of 1,280 features."""
ROUGH, FINE = 1e-3, 1e-4
"""The largest gradient at which a regression ends: while strengths are compared, and for the one that is taken."""

NEVER = 30.0
"""The logit of a class that training has no example of, negative, or nothing but examples of, positive."""


@dataclass(frozen=True)
class Solution:
    """A solved head.

    Attributes:
        kernel: float32, shape `(width, outputs)`.
        bias: float32, shape `(outputs,)`.
        strength: Which of `STRENGTHS` was best on the validation examples.
        scores: Loss and metric on training and validation, under the names that Keras's logs have.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    scores: dict[str, float]


def solve_head(
    model: TransferModel,
    features: np.ndarray,
    y: np.ndarray,
    val_features: np.ndarray,
    val_y: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    strength: float | None = None,
) -> Solution:
    """Fit the head of a model: logistic regression, one for each class of several labels, or ridge regression.

    The inverse strength of regularization is the one with the lowest loss on the validation examples. The features are divided
    by one number, the root mean square of their deviations, so that the strengths mean the same for every source model. They
    are not standardised one by one: a feature that hardly varies would get a huge weight, and an 8-bit export would lose up to
    13 points of accuracy by it (measured on EfficientNet-Lite0).

    Args:
        model: Says which task it is.
        features: float, shape `(n, width)`.
        y: What the task's `encode` gives.
        val_features: float, shape `(m, width)`.
        val_y: As `y`, for the validation examples.
        weights: What each training example counts, shape `(n,)`; the same for all of a class. Classification only.
        strength: Taken instead of the best of `STRENGTHS`.
    """
    tried = STRENGTHS if strength is None else (strength,)
    center = features.mean(axis=0, dtype=np.float64)
    x, val_x, scale = _scaled(features, val_features, center)
    x, val_x, basis = rotate(x, val_x)
    # Divided by the width, because that many features of unit size add up.
    strengths = [one * 10 / features.shape[1] for one in tried]
    kernel, bias, best = solve_linear(model.task, x, y, val_x, val_y, strengths, len(model.classes), weights)
    scores = {**_scores(model, x @ kernel + bias, y, ""), **_scores(model, val_x @ kernel + bias, val_y, "val_")}
    kernel = basis @ kernel / scale
    bias = bias - center @ kernel
    return Solution(kernel.astype(np.float32), bias.astype(np.float32), tried[best], scores)


def _scaled(features: np.ndarray, val_features: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Both minus the centre, divided by the root mean square of what is left of the first; one copy of each, no more."""
    dtype: Any = np.float64 if features.size < LARGE else np.float32
    x, val_x = (np.subtract(part, center.astype(dtype), dtype=dtype) for part in (features, val_features))
    squares = sum(float(np.square(x[start : start + 4096], dtype=np.float64).sum()) for start in range(0, len(x), 4096))
    scale = float(np.sqrt(squares / x.size)) or 1.0
    x /= scale
    val_x /= scale
    return x, val_x, scale


def solve_linear(
    task: str,
    x: Any,
    y: np.ndarray,
    val_x: Any,
    val_y: np.ndarray,
    strengths: Sequence[float],
    outputs: int,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Fit a regularized linear model for a task, ever less regularized, until the validation loss rises.

    Args:
        task: A key of `TASKS`.
        x: Features, float, shape `(n, width)`; may be sparse.
        y: What the task's `encode` gives.
        val_x: As `x`, for the validation examples.
        val_y: As `y`, for the validation examples.
        strengths: Inverse strengths of regularization, from strong to weak.
        outputs: The number of classes or values.
        weights: What each training example counts; classification only.

    Returns:
        Kernel `(width, outputs)`, bias `(outputs,)`, and which strength it was.
    """
    if task == "classification":
        return _classes(x, y, val_x, val_y, strengths, outputs, weights)
    solve = {"multi_label": _labels, "regression": _values}[task]
    return solve(x, y, val_x, val_y, strengths, outputs)


def _scores(model: TransferModel, logits: np.ndarray, y: np.ndarray, prefix: str) -> dict[str, float]:
    task = TASKS[model.task]
    metric = task.metric()
    metric.update_state(y, logits.astype(np.float32))
    loss = float(task.loss()(y, logits.astype(np.float32)).numpy())
    return {f"{prefix}loss": loss, f"{prefix}{task.metric_name}": float(metric.result().numpy())}


def _classes(
    x: Any, y: Any, val_x: Any, val_y: Any, strengths: Sequence[float], outputs: int, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.metrics import log_loss

    known = np.flatnonzero(np.isin(val_y, y))
    by_class = dict(zip(y, weights, strict=True)) if weights is not None else {}
    val_weights = np.array([by_class.get(label, 1.0) for label in val_y[known]])

    def loss(model: "LogisticRegression") -> float:
        probabilities = model.predict_proba(val_x[known])
        return float(log_loss(val_y[known], probabilities, labels=model.classes_, sample_weight=val_weights))

    model, best = choose(strengths, lambda strength: _logistic(strength, x, y, weights), loss)
    return (*_unfold(_finish(model, x, y, weights), outputs), best)


def _labels(
    x: Any, y: Any, val_x: Any, val_y: Any, strengths: Sequence[float], outputs: int
) -> tuple[np.ndarray, np.ndarray, int]:
    varying = [label for label in range(outputs) if y[:, label].min() != y[:, label].max()]

    def fit(strength: float) -> "list[LogisticRegression]":
        return [_logistic(strength, x, y[:, label]) for label in varying]

    def unfold(models: "Sequence[LogisticRegression]") -> tuple[np.ndarray, np.ndarray]:
        kernel, bias = np.zeros((x.shape[1], outputs)), np.where(y.any(axis=0), NEVER, -NEVER)
        for label, model in zip(varying, models, strict=True):
            kernel[:, label], bias[label] = model.coef_[0], model.intercept_[0]
        return kernel, bias

    def loss(models: "Sequence[LogisticRegression]") -> float:
        kernel, bias = unfold(models)
        logits = val_x @ kernel + bias
        return float(np.mean(np.logaddexp(0, logits) - val_y * logits))

    models, best = choose(strengths, fit, loss)
    finished = [_finish(model, x, y[:, label]) for label, model in zip(varying, models, strict=True)]
    return (*unfold(finished), best)


def _values(
    x: Any, y: Any, val_x: Any, val_y: Any, strengths: Sequence[float], outputs: int
) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.linear_model import Ridge

    def fit(strength: float) -> Any:
        return Ridge(alpha=1 / strength).fit(x, y)

    model, best = choose(strengths, fit, lambda model: float(np.mean((model.predict(val_x).reshape(val_y.shape) - val_y) ** 2)))
    return model.coef_.reshape(outputs, -1).T, np.reshape(model.intercept_, outputs), best


def rotate(train: np.ndarray, val: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn features into the space that the training examples span, where L2-penalised regression has the same solution.

    With fewer examples than features it is several times faster there.

    Returns:
        Both arrays with at most `min(n, width)` columns, and the basis `(width, columns)` that turns coefficients back.
    """
    if len(train) >= train.shape[1]:
        return train, val, np.eye(train.shape[1])
    from threadpoolctl import threadpool_limits

    # By the eigenvectors of the small Gram matrix: a quarter of the time of the singular value decomposition. One BLAS thread,
    # because others mostly wait for it, and on a busy machine for many times as long.
    with threadpool_limits(1):
        squares, vectors = np.linalg.eigh(train @ train.T)
    kept = squares > squares[-1] * 1e-12
    kept[-1] = True  # also where all features are constant
    s = np.sqrt(np.maximum(squares[kept], np.finfo(np.float64).tiny))
    basis = train.T @ (vectors[:, kept] / s)
    return vectors[:, kept] * s, val @ basis, basis


def choose(strengths: Sequence[float], fit: Callable[[float], Any], loss: Callable[[Any], float]) -> tuple[Any, int]:
    """Fit at each strength, from strong regularization to weak, until the loss rises; return the best, and which it was.

    The loss falls and then rises, and weaker regularization takes ever longer to fit.
    """
    best, lowest, chosen = None, np.inf, 0
    for index, strength in enumerate(strengths):
        candidate = fit(strength)
        value = loss(candidate)
        if best is not None and value > lowest:
            break
        best, lowest, chosen = candidate, value, index
    return best, chosen


def _logistic(strength: float, train: Any, labels: np.ndarray, weights: np.ndarray | None = None) -> "LogisticRegression":
    """Fit as far as comparing strengths needs: a sixth of the time that fitting to the end takes, for the same choice."""
    from sklearn.linear_model import LogisticRegression

    return _fit(LogisticRegression(C=strength, max_iter=200, tol=ROUGH, warm_start=True), train, labels, weights)


def _finish(
    model: "LogisticRegression", train: Any, labels: np.ndarray, weights: np.ndarray | None = None
) -> "LogisticRegression":
    """Go on from where a regression stands."""
    return _fit(model.set_params(tol=FINE), train, labels, weights)


def _fit(model: "LogisticRegression", train: Any, labels: np.ndarray, weights: np.ndarray | None) -> "LogisticRegression":
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # The matrices are small: a second BLAS thread would mostly wait for the first.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(train, labels, sample_weight=weights)


def _unfold(model: "LogisticRegression", classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias with a column for each class; two classes share one row of coefficients in scikit-learn."""
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel = np.zeros((coefficients.shape[1], classes))
    bias = np.full(classes, -NEVER)
    kernel[:, model.classes_] = coefficients.T
    bias[model.classes_] = intercepts
    return kernel, bias
