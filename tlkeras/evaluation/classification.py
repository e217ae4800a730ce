"""Measures of a classification: accuracy, precision, recall, F1, ROC AUC, confusion."""

from collections.abc import Callable, Sequence

import numpy as np

from tlkeras.evaluation.metrics import Measure, bootstrap, wilson


def score(targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Say how good each prediction is: 1 where it is right, 0 where it is not; float, shape `(n,)`."""
    return (targets == predicted).astype(float)


def headline(scores: np.ndarray, *, seed: int = 0) -> Measure:
    """Return accuracy with its Wilson interval."""
    return wilson(int(scores.sum()), len(scores))


def per_class(targets: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return precision, recall, f1 and support of each class."""
    confusion = confusion_matrix(targets, predicted, len(classes))
    columns = zip(classes, *precision_recall_f1(confusion), confusion.sum(axis=1), strict=True)
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)} for name, p, r, f, n in columns
    }


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count the pairs of true and predicted class: int, shape `(classes, classes)`, rows are the true ones."""
    return np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each class's precision, recall and F1 from a confusion matrix; 0 where a denominator is 0, as in scikit-learn."""
    hits = np.diag(confusion).astype(float)
    predicted, true = confusion.sum(axis=0), confusion.sum(axis=1)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(predicted + true, 1)
    return precision, recall, f1


def roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the area under the ROC curve, one class against the rest, averaged over the classes that can be ranked.

    The Mann-Whitney form: the chance that an example of the class gets a higher score than one of the rest, ties half.
    """
    from scipy.stats import rankdata

    columns = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = []
    for column in columns:
        positive = labels == column
        p, n = int(positive.sum()), int((~positive).sum())
        if p and n:
            ranks = rankdata(probabilities[:, column])
            areas.append((ranks[positive].sum() - p * (p + 1) / 2) / (p * n))
    return float(np.mean(areas)) if areas else float("nan")


def measures(targets: np.ndarray, outputs: np.ndarray, *, seed: int = 0) -> dict[str, Measure]:
    """Return the measures with their 95 % intervals: Wilson's for accuracy, BCa bootstrap for the others.

    Args:
        targets: Classes, int, shape `(n,)`.
        outputs: Probabilities, float, shape `(n, classes)`.
        seed: Seed of the bootstrap.
    """
    predicted, n, classes = outputs.argmax(axis=1), len(targets), outputs.shape[1]
    present = np.bincount(targets, minlength=classes) > 0

    def macro(which: int) -> Callable[[np.ndarray], float]:
        def statistic(rows: np.ndarray) -> float:
            confusion = confusion_matrix(targets[rows], predicted[rows], classes)
            return float(precision_recall_f1(confusion)[which][present].mean())

        return statistic

    found = {"accuracy": headline(score(targets, predicted))}
    for which, name in enumerate(("precision_macro", "recall_macro", "f1_macro")):
        found[name] = bootstrap(macro(which), n, seed=seed)
    found["roc_auc"] = bootstrap(lambda rows: roc_auc(targets[rows], outputs[rows]), n, seed=seed)
    return found
