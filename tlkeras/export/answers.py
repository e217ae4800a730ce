"""What an artefact's output means: one row of numbers in, labels or a value out, as the contract's task says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NONE_OF_THESE = "none of these"
"""The label of an input that is unlike anything the model was trained on."""
SIMILARITY = "similarity"
"""The second output of a model that can say so: the cosine similarity to the nearest training example that it carries."""
THRESHOLD = 0.5
"""The probability from which on a label of a multi-label model applies."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one input.

    Attributes:
        source: The file, or the text.
        label: Classification: the class, or "none of these"; the latter with several labels too. None in other
            tasks, and where the input could not be read.
        probability: Its probability, in `[0, 1]`; None for "none of these".
        probabilities: Of all classes, float32, shape `(classes,)`; shape `(0,)` in regression, and where the input could not
            be read.
        problem: Why there is no answer; empty if there is one.
        labels: Every class that applies, in the order of the outputs: one in classification; with several labels, those that
            reach their threshold (0.5 where none was chosen), which may be none.
        value: Regression: the value, in the units of the data.
        similarity: The cosine similarity to the nearest training example, in `[-1, 1]`; None where the model does not say.
    """

    source: str
    label: str | None = None
    probability: float | None = None
    probabilities: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32), compare=False)
    problem: str = ""
    labels: tuple[str, ...] = ()
    value: float | None = None
    similarity: float | None = field(default=None, compare=False)

    @property
    def refused(self) -> bool:
        """Whether the input is unlike anything the model was trained on; a class may be called "none of these", too."""
        return self.label == NONE_OF_THESE and self.probability is None


def read_output(
    task: str,
    labels: Sequence[str],
    source: str,
    output: np.ndarray,
    *,
    similarity: float | None = None,
    smallest: float | None = None,
    thresholds: Sequence[float] = (),
) -> Prediction:
    """Turn one row of an artefact's output into an answer.

    Args:
        task: `"classification"`, `"multi_label"` or `"regression"`.
        labels: The names of the outputs.
        source: The file, or the text.
        output: float32, shape `(classes,)`, or `(1,)` for a value.
        similarity: To the nearest training example; None where the artefact does not say.
        smallest: Below this similarity the answer is "none of these"; None where every input gets an answer.
        thresholds: See `decide`.
    """
    if task == "regression":
        return Prediction(source, value=float(output[0]))
    if similarity is not None and smallest is not None and similarity < smallest:
        return Prediction(source, NONE_OF_THESE, probabilities=output, similarity=similarity)
    if task == "multi_label":
        chosen = tuple(labels[index] for index in np.flatnonzero(decide(task, output[None], thresholds)[0]).tolist())
        return Prediction(source, probabilities=output, labels=chosen, similarity=similarity)
    best = int(decide(task, output[None], thresholds)[0, 0])
    return Prediction(source, labels[best], float(output[best]), output, labels=(labels[best],), similarity=similarity)


def decide(task: str, outputs: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray:
    """Return what outputs decide, a row for each: class indices, label flags, or nothing for values.

    Args:
        task: The task.
        outputs: float32, shape `(n, classes)`.
        thresholds: A number for each class. A label applies from its own on; of two classes the second one does, and else the
            first. Without them, 0.5 and the most probable class.
    """
    if task == "regression":
        return np.zeros((len(outputs), 0), np.int64)
    if task == "multi_label":
        return (outputs >= (np.array(thresholds) if len(thresholds) else THRESHOLD)).astype(np.int64)
    if len(thresholds):
        return (outputs[:, 1:] >= thresholds[1]).astype(np.int64)
    return outputs.argmax(axis=1)[:, None]


def threshold_list(task: str, labels: Sequence[str], thresholds: Mapping[str, float]) -> list[float]:
    """Return thresholds by label as a list in the order of the outputs, as contracts hold them; empty where there are none."""
    if not thresholds:
        return []
    if task == "classification":
        second = thresholds[labels[1]]
        return [1 - second, second]
    return [thresholds.get(label, THRESHOLD) for label in labels]


def output_terms(task: str, name: str, width: int, thresholds: Sequence[float] = ()) -> dict[str, Any]:
    """Return what a contract says about the output.

    Args:
        task: The task.
        name: The output's name.
        width: How many numbers it gives for each input.
        thresholds: See `decide`.
    """
    terms: dict[str, Any] = {"name": name, "dtype": "float32", "shape": [None, width]}
    kinds: Mapping[str, dict[str, Any]] = {
        "classification": {"score": "softmax"},
        "multi_label": {"score": "sigmoid", "threshold": THRESHOLD},
        "regression": {"score": "value"},
    }
    return {**terms, **kinds[task], **({"thresholds": list(thresholds)} if len(thresholds) else {})}


def columns(task: str) -> tuple[str, ...]:
    """Return the columns that hold answers in a table."""
    kinds = {"multi_label": ("labels", "probabilities"), "regression": ("value",)}
    return kinds.get(task, ("label", "probability"))


def cells(task: str, labels: Sequence[str], prediction: Prediction) -> tuple[str | float | None, ...]:
    """Return an answer as the cells of its columns; None where the input could not be read.

    Several labels, and their probabilities, are joined by bars, as tables of such data have them.

    Args:
        task: The task.
        labels: The names of the outputs.
        prediction: The answer.
    """
    if prediction.problem:
        return (None,) * len(columns(task))
    if task == "regression":
        return (prediction.value,)
    if task == "multi_label":
        if prediction.refused:
            return NONE_OF_THESE, None
        chosen = [prediction.probabilities[labels.index(label)] for label in prediction.labels]
        return "|".join(prediction.labels), "|".join(f"{value:.6f}" for value in chosen)
    return prediction.label, prediction.probability
