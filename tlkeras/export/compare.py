"""What tells two models apart, by task: their outputs and their decisions on the same examples."""

from collections.abc import Sequence

import numpy as np

from tlkeras.export.answers import THRESHOLD

MEASURES = {"classification": "accuracy", "multi_label": "jaccard", "regression": "mean_absolute_error"}
"""The measure of each task whose loss is judged."""


def spread(task: str, outputs: np.ndarray) -> float:
    """Say how much outputs vary over the examples: the widest range of a probability, or the deviation of the values."""
    if not len(outputs):
        return 0.0
    return float(outputs.std() if task == "regression" else np.ptp(outputs, axis=0).max())


def differences(task: str, reference: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return how far each example's output is from the reference's, float, shape `(n,)`.

    That is the largest difference of a probability; for values, the difference in deviations of the reference's values. What is
    not finite counts as 1, or as infinite for values.
    """
    difference = np.abs(outputs.astype(np.float64) - reference).max(axis=1)
    if task == "regression":
        return np.where(np.isfinite(difference), difference / reference.std(dtype=np.float64), np.inf)
    return np.where(np.isfinite(difference), difference, 1.0)


def shifts(task: str, reference: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each output's signed difference over the examples, and its standard error.

    Rounding pushes single answers either way; what pushes all of them the same way is more than rounding.

    Returns:
        Two arrays, float64, shape `(outputs,)`; for values in their deviations. What is not finite counts as 1.
    """
    signed = outputs.astype(np.float64) - reference
    signed = np.where(np.isfinite(signed), signed, 1.0)
    if task == "regression":
        signed = signed / reference.std(dtype=np.float64)
    return signed.mean(axis=0), signed.std(axis=0) / np.sqrt(len(signed))


def decisions(task: str, outputs: np.ndarray) -> np.ndarray:
    """Return what outputs decide, a row for each example: class indices, label flags, or nothing for values."""
    if task == "regression":
        return np.zeros((len(outputs), 0), np.int64)
    return (outputs >= THRESHOLD).astype(np.int64) if task == "multi_label" else outputs.argmax(axis=1)[:, None]


def margins(task: str, reference: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Return how sure the reference was of the decisions that changed, float in `[0, 1]`, shape `(n,)`.

    That is how far apart its two best probabilities are; with several labels, how far apart a label and its absence are, for
    the surest label that changed.

    Args:
        task: The task.
        reference: Outputs, shape `(n, classes)`.
        changed: Which decisions changed, as `decisions` gives them, boolean.
    """
    if task == "multi_label":
        return (np.abs(2 * reference - 1) * changed).max(axis=1)
    if task == "regression":
        return np.zeros(len(reference))
    return np.ptp(np.sort(reference, axis=1)[:, -2:], axis=1)


def in_words(task: str, labels: Sequence[str], output: np.ndarray) -> str:
    """Say what one row of outputs means, for messages: `'cat'`, `'cat|dog'`, `3.25`."""
    if task == "regression":
        return f"{output[0]:.6g}"
    if task == "multi_label":
        return repr("|".join(labels[index] for index in np.flatnonzero(output >= THRESHOLD).tolist()))
    return repr(labels[int(output.argmax())])
