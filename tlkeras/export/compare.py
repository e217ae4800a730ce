"""What tells two models apart, by task: their outputs and their decisions on the same examples."""

from collections.abc import Sequence

import numpy as np

from tlkeras.export.answers import THRESHOLD, decide

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


def margins(task: str, reference: np.ndarray, changed: np.ndarray, thresholds: Sequence[float] = ()) -> np.ndarray:
    """Return how sure the reference was of the decisions that changed, float, shape `(n,)`.

    That is how far apart its two best probabilities are; with several labels, or two classes and a threshold, twice how far
    the probability is from the threshold, for the surest label that changed.

    Args:
        task: The task.
        reference: Outputs, shape `(n, classes)`.
        changed: Which decisions changed, as `decide` gives them, boolean.
        thresholds: See `tlkeras.export.answers.decide`.
    """
    if task == "regression":
        return np.zeros(len(reference))
    if task == "multi_label" or len(thresholds):
        far = 2 * np.abs(reference - (np.array(thresholds) if len(thresholds) else THRESHOLD))
        return (far * changed).max(axis=1)
    return np.ptp(np.sort(reference, axis=1)[:, -2:], axis=1)


def in_words(task: str, labels: Sequence[str], output: np.ndarray, thresholds: Sequence[float] = ()) -> str:
    """Say what one row of outputs means, for messages: `'cat'`, `'cat|dog'`, `3.25`."""
    if task == "regression":
        return f"{output[0]:.6g}"
    (decided,) = decide(task, output[None], thresholds)
    return repr("|".join(labels[index] for index in (np.flatnonzero(decided) if task == "multi_label" else decided).tolist()))
