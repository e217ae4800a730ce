"""Thresholds chosen on validation: for several labels where F1 is highest, for two classes where the balanced accuracy is."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np


def choose_thresholds(task: str, classes: Sequence[str], targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return the probability from which on to take a class, by class: each label's, or the second of two classes'.

    Classes that do not occur among the examples, or do so always, get none. The threshold lies midway between two examples.

    Args:
        task: `"classification"` or `"multi_label"`.
        classes: The class names.
        targets: Of the validation examples, see `Evaluation.targets`.
        outputs: Of the validation examples: probabilities, shape `(n, classes)`.

    Returns:
        Nothing for more than two classes of which one applies, and for values.
    """
    if task == "multi_label":
        chosen = ((name, targets[:, place] == 1, outputs[:, place]) for place, name in enumerate(classes))
        return {name: best_threshold(truth, scores, f1) for name, truth, scores in chosen if 0 < truth.sum() < len(truth)}
    if task == "classification" and len(classes) == 2 and 0 < targets.sum() < len(targets):
        return {classes[1]: best_threshold(targets == 1, outputs[:, 1], balanced)}
    return {}


def at_thresholds(task: str, thresholds: Mapping[str, float], classes: Sequence[str], outputs: np.ndarray) -> np.ndarray:
    """Return predictions at thresholds, as `tlkeras.evaluation.nulls.predictions` gives them; 0.5 where a class has none."""
    taken = (outputs >= np.array([thresholds.get(name, 0.5) for name in classes])).astype(np.uint8)
    return taken if task == "multi_label" else taken[:, 1].astype(np.int64)


def f1(hits: np.ndarray, taken: np.ndarray, positive: int, n: int) -> np.ndarray:
    """Return F1 where `taken` of `n` examples are taken, `hits` of them rightly, of `positive` in all."""
    return 2 * hits / (taken + positive)


def balanced(hits: np.ndarray, taken: np.ndarray, positive: int, n: int) -> np.ndarray:
    """Return the mean of the shares of positive examples taken and of the others left."""
    return (hits / positive + 1 - (taken - hits) / (n - positive)) / 2


def best_threshold(
    truth: np.ndarray, scores: np.ndarray, worth: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]
) -> float:
    """Return the threshold at which a worth is highest; of several the one nearest to 0.5.

    Args:
        truth: bool, shape `(n,)`, some true and some not.
        scores: Probabilities, float, shape `(n,)`; taken from the threshold on.
        worth: `f1` or `balanced`.
    """
    values = np.unique(scores.astype(np.float64))
    edges = np.concatenate([[values[0] / 2], (values[1:] + values[:-1]) / 2])
    worths = worth(_counts(scores[truth], edges), _counts(scores, edges), int(truth.sum()), len(truth))
    best = np.flatnonzero(worths >= worths.max() - 1e-12)
    return float(edges[best[np.argmin(np.abs(edges[best] - 0.5))]])


def _counts(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many scores reach each edge."""
    return len(scores) - np.searchsorted(np.sort(scores), edges, side="left")
