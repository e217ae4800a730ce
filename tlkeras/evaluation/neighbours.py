"""The nearest training examples in the space of features that a head reads, by cosine similarity."""

import numpy as np

from tlkeras.data.examples import Examples

SEARCHED = 2000
"""Training examples that are searched, at most; a seeded sample of more."""


def sample(examples: Examples) -> Examples:
    """Return the examples that are searched: all, or a seeded sample of SEARCHED in their order."""
    if len(examples) <= SEARCHED:
        return examples
    return examples.take(np.sort(np.random.default_rng(0).choice(len(examples), SEARCHED, replace=False)))


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Return features scaled to unit length, row by row."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def nearest_rows(features: np.ndarray, row: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the rows nearest to one, the nearest first, and their cosine similarities.

    Args:
        features: Of unit length, float, shape `(n, channels)`.
        row: Of unit length, float, shape `(channels,)`.
        count: How many, at most.
    """
    similarities = features @ row
    order = np.argsort(-similarities, kind="stable")[:count]
    return order, similarities[order]
