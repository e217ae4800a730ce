"""How far apart two sets of features lie, each measure beside what halves of one set give at the same size."""

from dataclasses import dataclass

import numpy as np

MOST_COMPONENTS = 64
MOST_EXAMPLES = 300
ROUNDS = 20


@dataclass(frozen=True)
class Distance:
    """A measure between two sets, and its null.

    Attributes:
        value: The mean over random draws of equal size from both sets.
        null: The mean over random halves of the second set, of the same size.
        null_high: The null's 95th percentile; a value below it says nothing.
        n: Examples of each set in a draw.
    """

    value: float
    null: float
    null_high: float
    n: int

    @property
    def differs(self) -> bool:
        """Whether the sets are further apart than halves of the second."""
        return self.value > self.null_high


def domain_distances(source: np.ndarray, target: np.ndarray, *, seed: int = 0) -> dict[str, Distance]:
    """Measure how far a target's features lie from a source's.

    `domain_auc`: the held-out ROC AUC of a classifier that tells the sets apart, 0.5 where it cannot. `proxy_a`: the proxy
    A-distance `2 (1 - 2 error)` of the same classifier (Ben-David et al. 2007), 0 to 2. `frechet`: the Fréchet distance of two
    Gaussians, in units of the pooled variance of a direction. All on principal components of both sets, fewer than examples,
    because in-sample classifiers tell anything apart and Fréchet distances grow with the dimensions.

    Args:
        source: float, shape `(n, width)`.
        target: float, shape `(m, width)`.
        seed: Seed of the draws.

    Raises:
        ValueError: There are fewer than 10 examples of the source, or 20 of the target.
    """
    from threadpoolctl import threadpool_limits

    n = min(len(source), len(target) // 2, MOST_EXAMPLES)
    if n < 10:
        raise ValueError(
            f"A distance needs 10 examples of the source and 20 of the target. Received: {len(source)} and {len(target)}"
        )
    generator = np.random.default_rng(seed)
    apart: dict[str, list[float]] = {}
    alike: dict[str, list[float]] = {}
    with threadpool_limits(1):  # the matrices are small: a second thread would mostly wait for the first
        for _ in range(ROUNDS):
            drawn = source[generator.permutation(len(source))[:n]]
            halves = target[generator.permutation(len(target))[: 2 * n]]
            for found, first in ((apart, drawn), (alike, halves[n:])):
                for name, value in {**separability(first, halves[:n]), **_frechet(first, halves[:n])}.items():
                    found.setdefault(name, []).append(value)
    return {
        name: Distance(float(np.mean(apart[name])), float(np.mean(null)), float(np.quantile(null, 0.95)), n)
        for name, null in alike.items()
    }


def separability(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Return `domain_auc` and `proxy_a` of two sets: each example judged by a linear discriminant fitted without it.

    The discriminant is least squares on principal components, an eighth as many as examples; for Gaussians of one covariance
    it is the best one.

    Args:
        first: float, shape `(n, width)`.
        second: float, shape `(m, width)`.
    """
    from scipy.stats import rankdata

    x, y = _components(first, second, max(1, (len(first) + len(second)) // 8))
    sign = 2.0 * y - 1
    # The components are orthogonal and centred, so the hat matrix is 11'/n + XX'/n, and one fit gives all that leave one out.
    fitted = sign.mean() + x @ (x.T @ sign) / len(x)
    leverage = (1 + (x**2).sum(axis=1)) / len(x)
    scores = sign - (sign - fitted) / (1 - leverage)
    positives = int(y.sum())
    ranks = rankdata(scores)[y == 1].sum() - positives * (positives + 1) / 2
    error = float(np.mean((scores > 0) != y))
    return {"domain_auc": float(ranks / (positives * (len(y) - positives))), "proxy_a": 2 * (1 - 2 * error)}


def _frechet(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    x, y = _components(first, second, max(1, len(first) // 20))
    return {"frechet": frechet_distance(x[y == 0], x[y == 1])}


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return `‖μ₁ - μ₂‖² + tr(C₁ + C₂ - 2 (C₁C₂)^½)` (Dowson and Landau 1982) of two sets of shapes `(n, d)`, `(m, d)`."""
    covariances = [np.atleast_2d(np.cov(values, rowvar=False)) for values in (first, second)]
    # The eigenvalues of C₁C₂ are those of a positive matrix, real and not negative but for rounding.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0.0)).sum()
    shift = float(np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2))
    return shift + float(np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots)


def _components(first: np.ndarray, second: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sets on the leading principal components of their union, each of variance 1; and which set each row is of."""
    union = np.concatenate([first, second]).astype(np.float64)
    union = union - union.mean(axis=0)
    u, singular, _ = np.linalg.svd(union, full_matrices=False)
    kept = min(most, MOST_COMPONENTS, int(np.sum(singular > 1e-9 * max(float(singular[0]), 1e-300))))
    return u[:, : max(1, kept)] * np.sqrt(len(union)), np.repeat([0, 1], [len(first), len(second)])
