"""Probes: how well something very simple predicts the targets from frozen features, in units of accuracy.

Each gives what every example would get from a model that was fitted without it, so that the scores are honest and paired.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

RIDGE_STRENGTHS = tuple(10.0 ** (power / 2) for power in range(-4, 9))
"""Strengths of ridge regularization, in units of the mean eigenvalue of the features' scatter matrix."""

LOGISTIC_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse strengths of logistic regression on standardised features."""

NEIGHBOURS, TEMPERATURE = 20, 0.1
FOLDS = 5


@dataclass(frozen=True)
class Probe:
    """What each example gets from models that have not seen it.

    Attributes:
        outputs: float64, shape `(n, outputs)`.
        strength: The regularization that was chosen.
    """

    outputs: np.ndarray
    strength: float


def standardise(features: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and deviation 1, float64, shape `(n, width)`; features that do not vary become 0."""
    values = features.astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    # What varies by rounding alone would be blown up to noise of the size of a real feature.
    varies = deviation > 1e-6 * np.abs(mean)
    return np.where(varies, (values - mean) / np.where(varies, deviation, 1.0), 0.0)


def ridge_probe(features: np.ndarray, targets: np.ndarray, *, strengths: Sequence[float] = RIDGE_STRENGTHS) -> Probe:
    """Predict each example by ridge regression on all others, in closed form (PRESS; Allen 1974).

    With the hat matrix `H = 11'/n + X(X'X + λI)⁻¹X'` of centred features (the intercept is not penalised), the prediction of a
    fit without example i is `y_i - (y_i - ŷ_i) / (1 - h_ii)`. One decomposition serves all strengths; the one with the least
    squared error without the example is taken.

    Args:
        features: float, shape `(n, width)`; standardise them first.
        targets: float, shape `(n, outputs)`: one-hot classes, labels, or values.
        strengths: `λ` in units of `tr(X'X) / width`.
    """
    x = features.astype(np.float64)
    x = x - x.mean(axis=0)
    mean = targets.mean(axis=0, dtype=np.float64)
    y = targets - mean
    u, squared = _left_basis(x)
    projected, unit = u.T @ y, np.sum(squared) / x.shape[1] or 1.0
    best: tuple[float, np.ndarray, float] | None = None
    for strength in strengths:
        kept = squared / (squared + strength * unit)
        leverage = 1 / len(x) + (u**2) @ kept
        # One example alone in a direction that is hardly penalised determines its own fit.
        errors = (y - u @ (kept[:, None] * projected)) / np.maximum(1 - leverage, 1e-9)[:, None]
        loss = float(np.mean(errors**2))
        if best is None or loss < best[0]:
            best = loss, targets - errors, strength
    if best is None:
        raise ValueError("A ridge probe needs at least one strength. Received: none")
    return Probe(best[1], best[2])


def _left_basis(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the left singular vectors `(n, k)` and squared singular values `(k,)`, by way of the smaller Gram matrix."""
    n, width = x.shape
    if n <= width:
        values, u = np.linalg.eigh(x @ x.T)
        return u, np.maximum(values, 0.0)
    values, v = np.linalg.eigh(x.T @ x)
    kept = values > 1e-12 * max(float(values[-1]), 1e-300)
    return (x @ v[:, kept]) / np.sqrt(values[kept]), values[kept]


def knn_probe(features: np.ndarray, targets: np.ndarray, *, neighbours: int = NEIGHBOURS) -> Probe:
    """Predict each example by its nearest others, by cosine, weighted by `exp(cosine / 0.1)` (Wu et al. 2018, InstDisc).

    Args:
        features: float, shape `(n, width)`.
        targets: float, shape `(n, outputs)`.
        neighbours: How many; all others where there are fewer.
    """
    values = features.astype(np.float64)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-300)
    cosine = values @ values.T
    np.fill_diagonal(cosine, -np.inf)
    count = min(neighbours, len(values) - 1)
    nearest = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
    weight = np.exp((np.take_along_axis(cosine, nearest, axis=1) - 1) / TEMPERATURE)
    outputs = np.einsum("nk,nkc->nc", weight, targets[nearest]) / weight.sum(axis=1, keepdims=True)
    return Probe(outputs, float(count))


def logistic_probe(
    features: np.ndarray, labels: np.ndarray, classes: int, *, strengths: Sequence[float] = LOGISTIC_STRENGTHS, seed: int = 0
) -> Probe:
    """Predict each example by logistic regression on the other folds, five stratified ones.

    From strong regularization to weak, until the loss on the held-out folds rises.

    Args:
        features: float, shape `(n, width)`; standardise them first.
        labels: int, shape `(n,)`.
        classes: The number of classes.
        strengths: Inverse strengths of regularization.
        seed: Seed of the folds.
    """
    folds = stratified_folds(labels, seed=seed)
    u, squared = _left_basis(features.astype(np.float64))
    x = (u * np.sqrt(squared)).astype(np.float32)  # the same distances in fewer columns, and so the same solution
    best: tuple[float, np.ndarray, float] | None = None
    models: dict[int, LogisticRegression] = {}
    for strength in strengths:
        outputs = _held_out(x, labels, classes, folds, strength, models)
        own = outputs[np.arange(len(labels)), labels]
        loss = float(-np.mean(np.log(np.maximum(own, 1e-12))))
        if best is not None and loss > best[0]:
            break
        best = loss, outputs, strength
    if best is None:
        raise ValueError("A logistic probe needs at least one strength. Received: none")
    return Probe(best[1], best[2])


def stratified_folds(labels: np.ndarray, *, seed: int = 0, folds: int = FOLDS) -> np.ndarray:
    """Return the fold of each example, int, shape `(n,)`: the examples of each class are shuffled and dealt round."""
    generator = np.random.default_rng(seed)
    dealt, place = np.zeros(len(labels), np.int64), 0
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        dealt[members] = (place + np.arange(len(members))) % folds
        place += len(members)
    return dealt


def _held_out(
    x: np.ndarray, labels: np.ndarray, classes: int, folds: np.ndarray, strength: float, models: "dict[int, LogisticRegression]"
) -> np.ndarray:
    """What each example gets from a model of the other folds; `models`, by fold, go on from where the last strength ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    outputs = np.zeros((len(x), classes))
    for fold in range(folds.max() + 1):
        train, held = folds != fold, folds == fold
        known = np.unique(labels[train])
        if len(known) < 2:
            outputs[np.ix_(held, known)] = 1.0
            continue
        model = models.setdefault(fold, LogisticRegression(max_iter=200, warm_start=True)).set_params(C=strength)
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x[train], labels[train])
        outputs[np.ix_(held, known)] = model.predict_proba(x[held])
    return outputs
