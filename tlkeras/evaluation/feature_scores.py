"""All scores of one source model, from its features of labelled examples."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.targets import ClassTargets
from tlkeras.evaluation.evaluate import MEASURES, target_array
from tlkeras.evaluation.nulls import predictions
from tlkeras.evaluation.probes import Probe, knn_probe, logistic_probe, ridge_probe, standardise
from tlkeras.evaluation.transferability import h_score, leep, log_me, nce
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.table import task_of

SCORES = ("ridge", "knn", "logistic", "log_me", "h_score", "leep", "nce")
METRICS = {"classification": "accuracy", "multi_label": "Jaccard score", "regression": "minus absolute error"}


@dataclass(frozen=True)
class FeatureScores:
    """How good features are for some targets.

    Attributes:
        examples: The ridge probe's score on each example, float, shape `(n,)`: 1 where it is right, for classes.
        explained: What the same probe explains, by example, float, shape `(n,)`: 1 minus its squared error in units of the
            targets' variance. The mean is an R², for classes a Brier skill score. It changes less than the accuracy from one
            draw of examples to another, because it also counts how sure the probe is.
        values: The scores by name; higher is better.
    """

    examples: np.ndarray
    explained: np.ndarray
    values: dict[str, float]


def score_features(
    features: np.ndarray,
    examples: Examples,
    splits: Splits,
    source: SourceModel,
    *,
    below: Sequence[np.ndarray] = (),
    scores: Collection[str] = SCORES,
) -> FeatureScores:
    """Score a source model's features.

    Args:
        features: Pooled features at the top, float, shape `(n, width)`.
        examples: Whose features they are.
        splits: Says which task it is, and the classes.
        source: The source model; its own classifier is used for LEEP and NCE.
        below: Pooled features at boundaries below, which the ridge probe reads as well: what fine-tuning makes of a source does
            not begin at its top (Head2Toe; Evci et al. 2022).
        scores: Which of `SCORES`; the ridge probe always. Those that need one class for each example, or the source's
            classifier, are left out where there is none.
    """
    from threadpoolctl import threadpool_limits

    task, scale = task_of(splits)
    encoded = task.encode(examples.targets, scale)
    classes = len(splits.classes)
    targets = np.eye(classes)[encoded] if task.name == "classification" else encoded.reshape(len(encoded), -1).astype(float)

    def by_example(probe: Probe) -> np.ndarray:
        outputs = probe.outputs * scale[1] + scale[0]
        return np.asarray(MEASURES[task.name].score(target_array(examples), predictions(task.name, outputs)))

    with threadpool_limits(1):  # with another process on the machine, a second BLAS thread mostly waits
        standard = standardise(features)
        probe = ridge_probe(side_by_side([*map(standardise, below), standard]), targets)
        right, share = by_example(probe), explained(probe, targets)
        values = {"ridge": float(right.mean()), "explained": float(share.mean())}
        if "knn" in scores:
            values["knn"] = float(by_example(knn_probe(features, targets)).mean())
        if "log_me" in scores:
            values["log_me"] = log_me(features, targets)
        if isinstance(examples.targets, ClassTargets):
            values.update(_of_classes(features, standard, examples.labels, classes, source, scores))
    return FeatureScores(right, share, values)


def side_by_side(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return features of several boundaries in one array; all boundaries weigh the same, however wide they are.

    Args:
        parts: Standardised features, shape `(n, width)` each.
    """
    return np.concatenate([part / np.sqrt(part.shape[1]) for part in parts], axis=1)


def explained(probe: Probe, targets: np.ndarray) -> np.ndarray:
    """Return 1 minus the squared error of each example, in units of the targets' variance, float64, shape `(n,)`.

    Args:
        probe: What each example gets from fits without it.
        targets: float, shape `(n, outputs)`.
    """
    variance = float(np.mean(np.sum((targets - targets.mean(axis=0)) ** 2, axis=1)))
    errors = np.sum((probe.outputs - targets) ** 2, axis=1)
    return 1.0 - errors / (variance or 1.0)


def _of_classes(
    features: np.ndarray,
    standard: np.ndarray,
    labels: np.ndarray,
    classes: int,
    source: SourceModel,
    scores: Collection[str],
) -> dict[str, float]:
    values = {}
    if "logistic" in scores:
        values["logistic"] = float(np.mean(logistic_probe(standard, labels, classes).outputs.argmax(axis=1) == labels))
    if "h_score" in scores:
        values["h_score"] = h_score(features, labels)
    if source.head is not None and {"leep", "nce"} & set(scores):
        theta = source_probabilities(features, source.head)
        if "leep" in scores:
            values["leep"] = leep(theta, labels)
        if "nce" in scores:
            values["nce"] = nce(theta.argmax(axis=1), labels)
    return values


def source_probabilities(features: np.ndarray, head: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return what the source's own classifier makes of features: float64, shape `(n, source classes)`.

    Args:
        features: Pooled features, shape `(n, channels)`.
        head: Kernel `(channels, source classes)` and bias `(source classes,)`.
    """
    logits = features.astype(np.float64) @ np.asarray(head[0], np.float64) + np.asarray(head[1], np.float64)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)
