"""Transferability scores: numbers that are meant to order source models for a data set, from one frozen pass.

They are not accuracies; each is comparable between sources on the same examples only. The probes are in `probes`.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Evidence:
    """The evidence of a Bayesian linear model, maximised over its two precisions.

    Attributes:
        values: Log evidence of each target divided by n, float64, shape `(outputs,)`.
        alpha: Precision of the weights, shape `(outputs,)`.
        beta: Precision of the noise, shape `(outputs,)`.
    """

    values: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray


def log_me(features: np.ndarray, targets: np.ndarray) -> float:
    """Return LogME: the log evidence of linear models with Gaussian weights and noise, by example, averaged over targets.

    You et al., ICML 2021. Features are divided by their root mean square first, which changes nothing but the iteration.

    Args:
        features: float, shape `(n, width)`.
        targets: float, shape `(n, outputs)`: one-hot classes, labels, or values. Columns that do not vary are left out.
    """
    varies = np.ptp(targets, axis=0) > 0
    x = features.astype(np.float64)
    x = x / (np.sqrt(np.mean(x**2)) or 1.0)
    return float(log_evidence(x, targets[:, varies]).values.mean())


def log_evidence(features: np.ndarray, targets: np.ndarray, *, tolerance: float = 1e-4, rounds: int = 100) -> Evidence:
    """Maximise the evidence for each target by MacKay's fixed point.

    `log p(y) = D/2 log α + n/2 log β - ½ log|αI + βF'F| - β/2 ‖y - Fm‖² - α/2 ‖m‖² - n/2 log 2π`. The determinant has D
    eigenvalues, of which `D - k` are α alone: leaving them out, as the `_fit_fixed_point` of github.com/thuml/LogME does, gives
    numbers far too high where there are fewer examples than features.

    Args:
        features: float, shape `(n, width)`.
        targets: float, shape `(n, outputs)`.
        tolerance: The relative change of `α/β` at which to stop.
        rounds: The most rounds.
    """
    x, y = features.astype(np.float64), targets.astype(np.float64)
    n, width = x.shape
    u, singular, _ = np.linalg.svd(x, full_matrices=False)
    squared = (singular**2)[:, None]
    projected = u.T @ y
    outside = np.maximum((y**2).sum(axis=0) - (projected**2).sum(axis=0), 0.0)
    alpha, beta = np.ones(y.shape[1]), np.ones(y.shape[1])
    for _ in range(rounds):
        ratio = alpha / beta
        size, error = _solution(squared, projected, outside, alpha, beta)
        gamma = (beta * squared / (alpha + beta * squared)).sum(axis=0)
        alpha = gamma / np.maximum(size, 1e-12)
        beta = (n - gamma) / np.maximum(error, 1e-12)
        if np.all(np.abs(alpha / beta - ratio) <= tolerance * ratio):
            break
    size, error = _solution(squared, projected, outside, alpha, beta)
    determinant = np.log(alpha + beta * squared).sum(axis=0) + (width - len(squared)) * np.log(alpha)
    evidence = width * np.log(alpha) + n * np.log(beta) - determinant - beta * error - alpha * size - n * np.log(2 * np.pi)
    return Evidence(evidence / (2 * n), alpha, beta)


def _solution(
    squared: np.ndarray, projected: np.ndarray, outside: np.ndarray, alpha: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Squared norm of the mean weights and squared error of their fit, for each target."""
    total = alpha + beta * squared
    size = (squared * (beta * projected / total) ** 2).sum(axis=0)
    return size, ((alpha * projected / total) ** 2).sum(axis=0) + outside


def leep(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return LEEP: the mean log likelihood of the labels under the source's own classifier, its classes re-read as ours.

    `mean log Σ_z P(y_i|z) θ(x_i)_z`, where `P(y|z)` is estimated on the same examples (Nguyen et al., ICML 2020). At most 0;
    at least NCE plus the mean log probability of the source's own answer; NCE itself where θ is one-hot.

    Args:
        probabilities: What the source's classifier gives, θ, float, shape `(n, source classes)`; rows add up to 1.
        labels: int, shape `(n,)`.
    """
    theta = probabilities.astype(np.float64)
    joint = _by_class(theta, labels) / len(labels)
    mass = joint.sum(axis=0)
    # A source class that no example is given at all says nothing.
    conditional = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    likelihood = np.einsum("nz,nz->n", conditional[labels], theta)
    return float(np.mean(np.log(np.maximum(likelihood, 1e-300))))


def nce(source_labels: np.ndarray, labels: np.ndarray) -> float:
    """Return NCE: minus the entropy of the labels given the source's answers (Tran et al., ICCV 2019).

    Args:
        source_labels: The class that the source's classifier gives each example, int, shape `(n,)`.
        labels: int, shape `(n,)`.
    """
    _, answers = np.unique(source_labels, return_inverse=True)
    joint = np.zeros((int(labels.max()) + 1, int(answers.max()) + 1))
    np.add.at(joint, (labels, answers.reshape(-1)), 1 / len(labels))
    conditional = joint / joint.sum(axis=0)
    return float(np.sum(joint * np.log(np.where(joint > 0, conditional, 1.0))))


def h_score(features: np.ndarray, labels: np.ndarray, *, shrink: bool = True) -> float:
    """Return the H-score: how much of the features' variance, measured by itself, lies between the classes.

    `tr(Σ⁻¹ Σ_between)` (Bao et al., ICIP 2019): the sum of the squared canonical correlations, at most the number of classes
    less one. Plain, its expectation without any signal is `(C - 1) D / (n - 1)`; so the default shrinks Σ as Ledoit and Wolf
    do, and the score with it (Ibrahim et al. 2021).

    Args:
        features: float, shape `(n, width)`.
        labels: int, shape `(n,)`.
        shrink: False for the plain score, with the pseudo-inverse.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    x = features.astype(np.float64)
    x = x - x.mean(axis=0)
    x = x / (np.sqrt(np.mean(x**2)) or 1.0)
    n, width = x.shape
    counts = np.bincount(labels)
    sums = _by_class(x, labels)[counts > 0]
    between = sums / np.sqrt(counts[counts > 0] * n)[:, None]  # its Gram matrix is Σ_between
    covariance = (x.T @ x) / n
    if not shrink:
        return float(np.trace(between @ np.linalg.pinv(covariance, hermitian=True) @ between.T))
    # The floor keeps the matrix regular where nothing has to be shrunk.
    share = max(float(ledoit_wolf_shrinkage(x, assume_centered=True)), 1e-6)
    covariance *= 1 - share
    covariance[np.diag_indices(width)] += share * np.sum(x**2) / n / width
    return float((1 - share) * np.trace(between @ np.linalg.solve(covariance, between.T)))


def _by_class(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Sum rows by class: shape `(classes, width)`."""
    sums = np.zeros((int(labels.max()) + 1, values.shape[1]))
    np.add.at(sums, labels, values)
    return sums
