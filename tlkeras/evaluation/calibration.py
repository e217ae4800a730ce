"""Calibration: can the probabilities be taken at their word, and the temperature that makes them more so.

Guo et al., "On Calibration of Modern Neural Networks", 2017. A finite sample of a perfectly calibrated model shows an error
too, so the error stands beside that null.
"""

import logging
from collections.abc import Callable

import numpy as np

from tlkeras.evaluation.evidence import Bin, Calibration

BINS = 15
REPEATS = 400
"""Perfectly calibrated models that are drawn for the null."""
RANGE = (0.1, 10.0)
"""Temperatures that are looked at."""
log = logging.getLogger("tlkeras")


def measure_calibration(
    task: str, targets: np.ndarray, outputs: np.ndarray, *, temperature: float = 1.0, seed: int = 0
) -> Calibration:
    """Measure the calibration of outputs, before and after scaling.

    With one class for each example, the probability of the predicted class is compared with how often it is right (top-label
    calibration); with several labels, the probability of each label with how often it applies.

    Args:
        task: `"classification"` or `"multi_label"`.
        targets: See `Evaluation.targets`.
        outputs: Probabilities, float, shape `(n, classes)`, with the temperature applied.
        temperature: What the logits behind them were divided by.
        seed: Seed of the null.
    """
    now = _measure(task, targets, outputs, 1.0 if temperature == 1 else temperature, seed)
    if temperature == 1:
        return now
    before = _measure(task, targets, rescale(task, outputs, 1 / temperature), temperature, seed)
    return Calibration(**{**vars(before), "after": now})


def rescale(task: str, probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities that the same logits, divided by a temperature, give; float64."""
    p = np.clip(probabilities.astype(np.float64), 1e-38, None)
    logits = np.log(p) - (np.log(np.clip(1 - p, 1e-38, None)) if task == "multi_label" else 0)
    return probabilities_of(task, logits / temperature)


def probabilities_of(task: str, logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits, or the sigmoid of each for several labels; float64."""
    from scipy.special import expit, softmax

    return expit(logits.astype(np.float64)) if task == "multi_label" else softmax(logits.astype(np.float64), axis=1)


def fit_temperature(task: str, targets: np.ndarray, logits: np.ndarray) -> float:
    """Return the temperature with the least cross-entropy; at it, the mean true logit is the mean expected one.

    Where every prediction is right no finite temperature is the best, and 1 is returned.

    Args:
        task: `"classification"` or `"multi_label"`.
        targets: See `Evaluation.targets`.
        logits: float, shape `(n, classes)`.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)
    right = (logits > 0) == (targets == 1) if task == "multi_label" else logits.argmax(axis=1) == targets
    if right.all():
        return 1.0
    loss = _loss(task, targets, logits)
    found = minimize_scalar(lambda power: loss(float(np.exp(power))), bounds=tuple(np.log(RANGE)), method="bounded")
    return float(np.exp(found.x))


def reliability(confidence: np.ndarray, right: np.ndarray) -> tuple[Bin, ...]:
    """Return bins of equal mass (at most `BINS`); examples of equal confidence share a bin.

    Args:
        confidence: In `[0, 1]`, float, shape `(n,)`.
        right: 0 or 1, shape `(n,)`.
    """
    edges = _edges(confidence)
    place = _places(confidence, edges)
    bins = []
    for index in range(len(edges) - 1):
        chosen = place == index
        if chosen.any():
            low, high = float(edges[index]), float(edges[index + 1])
            bins.append(Bin(low, high, int(chosen.sum()), float(confidence[chosen].mean()), float(right[chosen].mean())))
    return tuple(bins)


def expected_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error over the bins of `reliability`."""
    return float(_error(confidence, right.astype(float)[None], _places(confidence, _edges(confidence)))[0])


def _measure(task: str, targets: np.ndarray, outputs: np.ndarray, temperature: float, seed: int) -> Calibration:
    outputs = outputs.astype(np.float64)
    if task == "multi_label":
        confidence, right, truth = outputs.ravel(), targets.ravel(), targets
    else:
        confidence, right = outputs.max(axis=1), outputs.argmax(axis=1) == targets
        truth = np.eye(outputs.shape[1])[targets]
    null = null_errors(confidence, seed=seed)
    return Calibration(
        ece=expected_error(confidence, right),
        ece_null=float(null.mean()),
        ece_null_high=float(np.quantile(null, 0.95)),
        brier=float(((outputs - truth) ** 2).sum(axis=1).mean()),
        temperature=float(temperature),
        n=len(targets),
        bins=reliability(confidence, right),
    )


def null_errors(confidence: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the errors that perfectly calibrated models with these confidences show, float, shape `(REPEATS,)`."""
    generator = np.random.default_rng(seed)
    place = _places(confidence, _edges(confidence))
    batches = np.array_split(np.arange(REPEATS), max(1, REPEATS * len(confidence) // 2_000_000))
    return np.concatenate(
        [_error(confidence, generator.random((len(batch), len(confidence))) < confidence, place) for batch in batches]
    )


def _edges(confidence: np.ndarray) -> np.ndarray:
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)))
    return edges if len(edges) > 1 else np.repeat(edges, 2)


def _places(confidence: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, max(len(edges) - 2, 0))


def _error(confidence: np.ndarray, right: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The error of each row of `right`, shape `(repeats, n)`: the mean over bins of |right - confidence|, weighted by mass."""
    sums = np.zeros((len(right), int(place.max()) + 1))
    for index in range(sums.shape[1]):
        chosen = place == index
        sums[:, index] = (right[:, chosen] - confidence[chosen]).sum(axis=1)
    return np.abs(sums).sum(axis=1) / len(confidence)


def _loss(task: str, targets: np.ndarray, logits: np.ndarray) -> Callable[[float], float]:
    from scipy.special import logsumexp

    if task == "multi_label":
        return lambda t: float(np.mean(np.logaddexp(0, logits / t) - targets * logits / t))
    true = logits[np.arange(len(targets)), targets]
    return lambda t: float(np.mean(logsumexp(logits / t, axis=1) - true / t))
