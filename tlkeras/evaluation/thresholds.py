"""Thresholds chosen on validation: for several labels where F1 is highest, for two classes where the balanced accuracy is.

The highest point of a curve over few examples is partly chance, so 0.5 stays unless the best threshold is better by more than
two standard errors of the paired difference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 10
HALF = 0.5
ERRORS = 2.0


def choose_thresholds(task: str, classes: Sequence[str], targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return the probability from which on to take a class, by class: each label's, or the second of two classes'.

    Classes for which 0.5 is as good get none, and classes that fewer than 10 of the examples have, or lack.

    Args:
        task: `"classification"` or `"multi_label"`.
        classes: The class names.
        targets: Of the validation examples, see `Evaluation.targets`.
        outputs: Of the validation examples: probabilities, shape `(n, classes)`.

    Returns:
        Nothing for more than two classes of which one applies, and for values.
    """
    if task == "multi_label":
        columns = [(name, targets[:, place] == 1, outputs[:, place]) for place, name in enumerate(classes)]
    elif task == "classification" and len(classes) == 2:
        columns = [(classes[1], targets == 1, outputs[:, 1])]
    else:
        return {}
    worth = f1 if task == "multi_label" else balanced
    enough = [one for one in columns if FEWEST <= one[1].sum() <= len(targets) - FEWEST]
    chosen = {name: best_threshold(truth, scores, worth) for name, truth, scores in enough}
    return {name: threshold for name, threshold in chosen.items() if threshold != HALF}


def at_thresholds(task: str, thresholds: Mapping[str, float], classes: Sequence[str], outputs: np.ndarray) -> np.ndarray:
    """Return predictions at thresholds, as `tlkeras.evaluation.nulls.predictions` gives them; 0.5 where a class has none."""
    taken = (outputs >= np.array([thresholds.get(name, 0.5) for name in classes])).astype(np.uint8)
    return taken if task == "multi_label" else taken[:, 1].astype(np.int64)


@dataclass(frozen=True)
class Worth:
    """What a threshold is worth, and by how much one more positive or negative example that is taken changes it."""

    value: np.ndarray
    positive: np.ndarray | float
    negative: np.ndarray | float


def f1(hits: np.ndarray, taken: np.ndarray, positive: int, n: int) -> Worth:
    """Return F1 where `taken` of `n` examples are taken, `hits` of them rightly, of `positive` in all."""
    value = 2 * hits / (taken + positive)
    return Worth(value, (2 - value) / (taken + positive), value / (taken + positive))


def balanced(hits: np.ndarray, taken: np.ndarray, positive: int, n: int) -> Worth:
    """Return the mean of the shares of positive examples taken and of the others left."""
    value = (hits / positive + 1 - (taken - hits) / (n - positive)) / 2
    return Worth(value, 0.5 / positive, 0.5 / (n - positive))


def best_threshold(truth: np.ndarray, scores: np.ndarray, worth: Callable[[np.ndarray, np.ndarray, int, int], Worth]) -> float:
    """Return the threshold at which a worth is highest, of several the one nearest to 0.5; 0.5 unless it is surely worse.

    Args:
        truth: bool, shape `(n,)`, some true and some not.
        scores: Probabilities, float, shape `(n,)`; taken from the threshold on.
        worth: `f1` or `balanced`.
    """
    values = np.unique(scores.astype(np.float64))
    edges = np.concatenate([[HALF, values[0] / 2], (values[1:] + values[:-1]) / 2])
    hits, taken = _counts(scores[truth], edges), _counts(scores, edges)
    found = worth(hits, taken, int(truth.sum()), len(truth))
    highest = np.flatnonzero(found.value >= found.value.max() - 1e-12)
    best = int(highest[np.argmin(np.abs(edges[highest] - HALF))])
    between, wrong = abs(hits[best] - hits[0]), abs((taken - hits)[best] - (taken - hits)[0])
    up, down = (float(np.broadcast_to(one, found.value.shape)[best]) for one in (found.positive, found.negative))
    sure = found.value[best] - found.value[0] > ERRORS * np.sqrt(between * up**2 + wrong * down**2)
    return float(edges[best]) if sure else HALF


def _counts(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many scores reach each edge."""
    return len(scores) - np.searchsorted(np.sort(scores), edges, side="left")
