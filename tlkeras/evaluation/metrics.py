"""Measures with their intervals, on predictions that are there."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Measure:
    """A number, the ends of its 95 % confidence interval, and the number of examples behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Evaluation:
    """How a model does on the test split.

    Attributes:
        measures: `accuracy`, `precision_macro`, `recall_macro`, `f1_macro`, `roc_auc` (one against the rest, macro).
        per_class: For each class its precision, recall, f1 (as values) and `support`.
        confusion: Counts, int, shape `(classes, classes)`; rows are the true classes.
        classes: The class names.
        nulls: The accuracy of what needs no transfer, by name.
        gain: Accuracy above the best null, paired on the same examples.
        verdict: What that means, in words.
        ids: The identities of the test examples.
        labels: Their classes, int32, shape `(n,)`.
        probabilities: What the model gave, float32, shape `(n, classes)`.
    """

    measures: Mapping[str, Measure]
    per_class: Mapping[str, Mapping[str, float]]
    confusion: np.ndarray
    classes: tuple[str, ...]
    ids: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    nulls: Mapping[str, Measure] = field(default_factory=dict)
    gain: Measure | None = None
    verdict: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what `metrics.json` holds: everything but the predictions."""
        return {
            "test": {name: asdict(measure) for name, measure in self.measures.items()},
            "nulls": {name: asdict(measure) for name, measure in self.nulls.items()},
            "gain": asdict(self.gain) if self.gain else None,
            "verdict": self.verdict,
            "per_class": {name: dict(values) for name, values in self.per_class.items()},
            "confusion": self.confusion.tolist(),
            "classes": list(self.classes),
        }


def wilson(successes: int, n: int) -> Measure:
    """Return a proportion with its Wilson score interval (Wilson 1927), which holds its level at small n and near 0 and 1."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return Measure(successes / n, float(interval.low), float(interval.high), n)


def bootstrap(statistic: Callable[[np.ndarray], float], n: int, *, seed: int = 0) -> Measure:
    """Return a statistic of examples with its BCa bootstrap interval (Efron 1987).

    Args:
        statistic: Takes indices of examples, int, shape `(n,)`, and returns a number.
        n: The number of examples.
        seed: Seed of the resampling.

    Where the interval is not defined (all resamples alike), it is the value itself.
    """
    import warnings

    from scipy.stats import bootstrap as scipy_bootstrap

    value = statistic(np.arange(n))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        result = scipy_bootstrap(
            (np.arange(n),),
            statistic,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            vectorized=False,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    low, high = (float(end) for end in result.confidence_interval)
    if not (np.isfinite(low) and np.isfinite(high)):
        low = high = value
    return Measure(float(value), low, high, n)


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


def measure_all(labels: np.ndarray, probabilities: np.ndarray, *, seed: int = 0) -> dict[str, Measure]:
    """Return the measures of a classification with their intervals.

    Args:
        labels: int, shape `(n,)`.
        probabilities: float, shape `(n, classes)`.
        seed: Seed of the bootstrap.
    """
    predicted, n, classes = probabilities.argmax(axis=1), len(labels), probabilities.shape[1]
    present = np.bincount(labels, minlength=classes) > 0

    def macro(which: int) -> Callable[[np.ndarray], float]:
        def statistic(rows: np.ndarray) -> float:
            confusion = confusion_matrix(labels[rows], predicted[rows], classes)
            return float(precision_recall_f1(confusion)[which][present].mean())

        return statistic

    measures = {"accuracy": wilson(int((predicted == labels).sum()), n)}
    for which, name in enumerate(("precision_macro", "recall_macro", "f1_macro")):
        measures[name] = bootstrap(macro(which), n, seed=seed)
    measures["roc_auc"] = bootstrap(lambda rows: roc_auc(labels[rows], probabilities[rows]), n, seed=seed)
    return measures
