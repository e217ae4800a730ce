"""Measures of a multi-label classification: Jaccard, exact match, precision, recall, F1, areas."""

from collections.abc import Sequence

import numpy as np

from tlkeras.evaluation.boundary import opened
from tlkeras.evaluation.classification import areas
from tlkeras.evaluation.intervals import bootstrap, bootstrap_weighted, wilson
from tlkeras.evaluation.measure import Measure

COUNTED = (
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "f1_micro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
)


def score(targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Say how good each prediction is: labels in common by labels in either (Jaccard), 1 where both have none.

    Args:
        targets: 0 or 1, shape `(n, classes)`.
        predicted: As `targets`.

    Returns:
        float, shape `(n,)`.
    """
    both, either = (targets & predicted).sum(axis=1), (targets | predicted).sum(axis=1)
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def headline(scores: np.ndarray, *, seed: int = 0) -> Measure:
    """Return the mean Jaccard score with its BCa interval."""
    return opened(bootstrap(lambda rows: float(scores[rows].mean()), len(scores), seed=seed))


def per_class(targets: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return precision, recall, f1 and support of each class."""
    columns = zip(classes, *_precision_recall_f1(targets, predicted), targets.sum(axis=0), strict=True)
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)} for name, p, r, f, n in columns
    }


def _precision_recall_f1(targets: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hits = (targets & predicted).sum(axis=0).astype(float)
    found, true = predicted.sum(axis=0), targets.sum(axis=0)
    return hits / np.maximum(found, 1), hits / np.maximum(true, 1), 2 * hits / np.maximum(found + true, 1)


def measures(targets: np.ndarray, outputs: np.ndarray, *, seed: int = 0) -> dict[str, Measure]:
    """Return the measures with their 95 % intervals: Wilson's for exact match, BCa bootstrap for the others.

    Args:
        targets: 0 or 1, uint8, shape `(n, classes)`.
        outputs: Probabilities, float, shape `(n, classes)`; a class is predicted from 0.5 on.
        seed: Seed of the bootstrap.
    """
    predicted = (outputs >= 0.5).astype(np.uint8)
    return {
        "jaccard": headline(score(targets, predicted), seed=seed),
        "exact_match": wilson(int((targets == predicted).all(axis=1).sum()), len(targets)),
        **counted(targets, predicted, seed=seed),
        **areas(list(targets.T == 1), list(outputs.T), seed=seed),
    }


def counted(targets: np.ndarray, predicted: np.ndarray, *, seed: int = 0) -> dict[str, Measure]:
    """Return the measures of `COUNTED`, which hang on predictions alone, with their BCa bootstrap intervals."""
    parts = [part.astype(np.float64) for part in (targets & predicted, predicted, targets)]

    def statistics(weights: np.ndarray) -> np.ndarray:
        hits, found, true = (weights @ part for part in parts)
        each = (hits / np.maximum(found, 1), hits / np.maximum(true, 1), 2 * hits / np.maximum(found + true, 1))
        micro = 2 * hits.sum(axis=1) / np.maximum(found.sum(axis=1) + true.sum(axis=1), 1)
        share = true / np.maximum(true.sum(axis=1, keepdims=True), 1)
        weighted = [(values * share).sum(axis=1) for values in each]
        return np.stack([*(values.mean(axis=1) for values in each), micro, *weighted], axis=1)

    return dict(zip(COUNTED, map(opened, bootstrap_weighted(statistics, len(targets), seed=seed)), strict=True))
