"""What an evaluation holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tlkeras.evaluation.evidence import Calibration, Fairness, Forgetting, Privacy, Rejection, Robustness, Slice
from tlkeras.evaluation.intervals import bootstrap, wilson
from tlkeras.evaluation.measure import Measure
from tlkeras.files import plain

__all__ = ["Evaluation", "Measure", "bootstrap", "wilson"]

MEASURED = ("thresholds", "calibration", "rejection", "slices", "fairness", "robustness", "forgetting", "privacy")
"""The fields of an evaluation that are in `metrics.json` only where they were measured."""


def normalised(confusion: np.ndarray) -> np.ndarray:
    """Return a confusion matrix as shares of the true classes, float64: rows sum up to 1, those of classes that lack to 0."""
    return confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)


@dataclass(frozen=True)
class Evaluation:
    """How a model does on the test split.

    Attributes:
        task: The task's name.
        measures: The measures by name, the headline first; see the module of the task in `tlkeras.evaluation`.
        classes: The names of the outputs.
        ids: The identities of the test examples.
        targets: What was to be predicted: classes, int32, shape `(n,)`; labels, uint8, shape `(n, classes)`; values, float32,
            shape `(n,)`.
        outputs: What the model gave, float32, shape `(n, classes)`, or `(n, 1)` for values.
        per_class: For each class its precision, recall, f1 (as values) and `support`; empty for values.
        confusion: Counts, int, shape `(classes, classes)`; rows are the true classes; None where an example has not one class.
        nulls: The headline measure of what needs no transfer, by name.
        gain: What the model is better by than the best null, paired on the same examples.
        verdict: What that means, in words.
        where: The file, or file and row, of each test example, str, shape `(n,)`; empty if not known.
        columns: What is known of each test example, by name: the data's own columns and derived ones (see `Slice`), str.
        thresholds: The probability from which on a class is taken, by class, chosen on validation; empty where 0.5 or the most
            probable class is meant.
        calibration: See `Calibration`.
        rejection: See `Rejection`.
        slices: The slices, the worst first.
        fairness: The columns asked for, a class each.
        robustness: The curves of all corruptions, one after the other.
        forgetting: See `Forgetting`.
        privacy: See `Privacy`.
    """

    task: str
    measures: Mapping[str, Measure]
    classes: tuple[str, ...]
    ids: np.ndarray
    targets: np.ndarray
    outputs: np.ndarray
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: np.ndarray | None = None
    nulls: Mapping[str, Measure] = field(default_factory=dict)
    gain: Measure | None = None
    verdict: str = ""
    where: np.ndarray = field(default_factory=lambda: np.empty(0, str))
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    calibration: Calibration | None = None
    rejection: Rejection | None = None
    slices: tuple[Slice, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    robustness: tuple[Robustness, ...] = ()
    forgetting: Forgetting | None = None
    privacy: Privacy | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `metrics.json` holds: everything but the predictions; what was not measured is left out."""
        measured = {name: plain(value) for name in MEASURED if (value := getattr(self, name))}
        return {
            "task": self.task,
            "test": {name: asdict(measure) for name, measure in self.measures.items()},
            "nulls": {name: asdict(measure) for name, measure in self.nulls.items()},
            "gain": asdict(self.gain) if self.gain else None,
            "verdict": self.verdict,
            "per_class": {name: dict(values) for name, values in self.per_class.items()},
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "confusion_normalised": None if self.confusion is None else normalised(self.confusion).round(6).tolist(),
            "classes": list(self.classes),
            **measured,
        }
