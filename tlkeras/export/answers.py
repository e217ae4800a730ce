"""What an artefact's output means: one row of numbers in, labels or a value out, as the contract's task says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NONE_OF_THESE = "none of these"
"""The label of an input that is unlike anything the model was trained on."""
THRESHOLD = 0.5
"""The probability from which on a label of a multi-label model applies."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one input.

    Attributes:
        source: The file, or the text.
        label: Classification: the most probable class, or "none of these". None in other tasks, and where the input could not
            be read.
        probability: Its probability, in `[0, 1]`; None for "none of these".
        probabilities: Of all classes, float32, shape `(classes,)`; shape `(0,)` in regression, and where the input could not
            be read.
        problem: Why there is no answer; empty if there is one.
        labels: Every class that applies, in the order of the outputs: one in classification; with several labels, those of a
            probability of 0.5 or more, which may be none.
        value: Regression: the value, in the units of the data.
    """

    source: str
    label: str | None = None
    probability: float | None = None
    probabilities: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32), compare=False)
    problem: str = ""
    labels: tuple[str, ...] = ()
    value: float | None = None

    @property
    def refused(self) -> bool:
        """Whether the input is unlike anything the model was trained on; a class may be called "none of these", too."""
        return self.label == NONE_OF_THESE and self.probability is None


def read_output(task: str, labels: Sequence[str], source: str, output: np.ndarray, *, refused: bool = False) -> Prediction:
    """Turn one row of an artefact's output into an answer.

    Args:
        task: `"classification"`, `"multi_label"` or `"regression"`.
        labels: The names of the outputs.
        source: The file, or the text.
        output: float32, shape `(classes,)`, or `(1,)` for a value.
        refused: The input is unlike anything the model was trained on, so that the answer is "none of these".
    """
    if refused:
        return Prediction(source, NONE_OF_THESE, probabilities=output)
    if task == "regression":
        return Prediction(source, value=float(output[0]))
    if task == "multi_label":
        chosen = tuple(labels[index] for index in np.flatnonzero(output >= THRESHOLD).tolist())
        return Prediction(source, probabilities=output, labels=chosen)
    best = int(np.argmax(output))
    return Prediction(source, labels[best], float(output[best]), output, labels=(labels[best],))


def output_terms(task: str, name: str, width: int) -> dict[str, Any]:
    """Return what a contract says about the output.

    Args:
        task: The task.
        name: The output's name.
        width: How many numbers it gives for each input.
    """
    terms: dict[str, Any] = {"name": name, "dtype": "float32", "shape": [None, width]}
    kinds: Mapping[str, dict[str, Any]] = {
        "classification": {"score": "softmax"},
        "multi_label": {"score": "sigmoid", "threshold": THRESHOLD},
        "regression": {"score": "value"},
    }
    return {**terms, **kinds[task]}


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
        chosen = [prediction.probabilities[labels.index(label)] for label in prediction.labels]
        return "|".join(prediction.labels), "|".join(f"{value:.6f}" for value in chosen)
    return prediction.label, prediction.probability
