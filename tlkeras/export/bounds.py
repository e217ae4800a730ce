"""How far an artefact may be from Keras, by target, and what lies beyond."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tlkeras.evaluation.metrics import Measure, wilson

FEWEST = 100
"""With fewer examples than this, lost accuracy is reported and not judged."""
_STEEPEST = 4.0
"""A value moves as a logit does, in its deviations, and a probability by at most a quarter of what its logit does.

A small text model's values, 120 snippets for training, moved by 0.0068 deviations in the mean in float16; none worse for it.
"""
_CHANCE = 0.01
_ERRORS = 3.3
"""Standard errors that chance passes once in 1,000 times; a model has several outputs."""


@dataclass(frozen=True)
class Bounds:
    """How far an artefact's outputs may be from Keras's.

    A model whose outputs hardly vary is held to less, in proportion: a fixed bound would let it hide any defect.

    Attributes:
        largest: The largest difference of one probability; of a value, in deviations of the values, four times that where
            rounding is allowed.
        mean: The mean over the examples of each one's largest difference.
        shift: The mean over the examples of one output's signed difference; refused where it is beyond this by more than
            its standard error allows. Shrinks like `mean`.
        share: `largest` as a share of the range that the reference's probabilities span over the examples, if that is less;
            `mean` shrinks with it.
        changed: The share of examples whose label may change, ties apart; refused where the 95 % interval lies above it.
        tie: A label may change freely where Keras's two best classes are closer than this.
        drop: How much of the measure may be lost: a share of 1, or for values a share of their deviation. Refused where the
            loss is larger and chance would hardly make so many more examples worse than better: less than 1 in 100 by the
            exact sign test, which for accuracy is McNemar's (1947). A bootstrap interval would not do: where six labels of 200
            are lost and none won, it leaves 0 out, and chance does that once in 64 times.
        similarity: The mean difference of similarities to the nearest training example. Whether "none of these" is answered
            may change where Keras's similarity lies within twice that of the threshold, and else as labels may.
    """

    largest: float
    mean: float
    shift: float
    share: float
    changed: float = 0.0
    tie: float = 0.0
    drop: float = 0.0
    similarity: float = 1e-4


# Similarities of EfficientNet-Lite0 to silhouettes moved by 3e-7 in float32, 0.0005 in float16, 0.009 in dynamic and 0.027 in
# full int8, in the mean over 1,000 pictures; 2, 3 and 19 of these were "none of these" in one only.
# The same arithmetic in another order: 4e-5 was the most seen on trained networks of 3 to 24 million weights. A label changes
# only at a tie then.
_EXACT = Bounds(largest=1e-4, mean=1e-4, shift=1e-4, share=0.01, tie=2e-4)
_DYNAMIC = Bounds(largest=1.0, mean=0.06, shift=0.03, share=1.0, changed=0.02, tie=0.1, drop=0.01, similarity=0.02)
BOUNDS = {
    "saved_model": _EXACT,
    "tflite_float32": _EXACT,
    "onnx": _EXACT,
    # Weights of 11 bits. A confident network multiplies their rounding: on EfficientNet-Lite0, fine-tuned, 1,000 pictures moved
    # by 0.0007 in the mean and by 0.027 at most, and two labels changed, both at margins below 0.01; on MobileNetV2 by 0.0025.
    "tflite_float16": Bounds(0.1, mean=0.006, shift=0.003, share=0.5, changed=0.005, tie=0.02, drop=0.002, similarity=0.002),
    # On the same network dynamic int8 moved by 0.014 in the mean and changed 1.0 % of the labels beyond ties, full int8 0.029
    # and 1.9 %; trained on half the pictures 0.034 and 0.076. Single probabilities go anywhere. Labels and accuracy judge, and
    # the mean only tells a network that still does its work from one that does not.
    "tflite_dynamic": _DYNAMIC,
    "mediapipe_float32": _EXACT,
    "mediapipe_dynamic": _DYNAMIC,
    "tflite_int8": Bounds(largest=1.0, mean=0.12, shift=0.06, share=1.0, changed=0.03, tie=0.1, drop=0.01, similarity=0.06),
}


# A SavedModel that decodes JPEG and PNG files with TensorFlow: some pixels differ by 1 of 255. On the same network 1,000
# pictures moved by 0.0006 in the mean and by 0.022 at most, and one label changed, at a margin of 0.001.
# Small networks at 32 to 53 pixels feel that more: 23 of them moved by 0.003 to 0.0095 in the mean (docs/gate.md).
DECODED = Bounds(largest=0.1, mean=0.006, shift=0.003, share=0.5, changed=0.005, tie=0.02, drop=0.002)


def may_lose(target: str) -> bool:
    """Say whether a target may lose a little accuracy; Core ML, which cannot be run here, is not judged."""
    return target in BOUNDS and BOUNDS[target].drop > 0


@dataclass(frozen=True)
class Findings:
    """What a comparison found.

    Attributes:
        difference: How far each example's output is from the reference's, shape `(n,)`.
        changed: Whether its label is another one, boolean, shape `(n,)`.
        margin: How sure the reference was of it, shape `(n,)`.
        drop: What is lost of the measure, paired.
        worse: The number of examples on which the artefact does worse than the reference.
        better: The number on which it does better.
        shift: The mean signed difference of each output, shape `(outputs,)`.
        shift_error: Its standard error.
        spread: How much the reference's outputs vary; 1 for values, whose differences are in deviations.
        unit: What one of the drop's units is: 1, or the deviation of the values.
    """

    difference: np.ndarray
    changed: np.ndarray
    margin: np.ndarray
    drop: Measure
    worse: int
    better: int
    shift: np.ndarray
    shift_error: np.ndarray
    spread: float
    unit: float = 1.0


def beyond(bounds: Bounds, found: Findings, *, measure: str = "accuracy") -> Iterator[str]:
    """Yield what lies beyond the bounds, in words."""
    what = "values" if measure == "mean_absolute_error" else "probabilities"
    unit = " deviations" if what == "values" else ""
    largest = min(bounds.largest, bounds.share * found.spread)
    if what == "values" and bounds.drop:
        largest *= _STEEPEST
    mean = bounds.mean * largest / bounds.largest
    if found.difference.max() > largest:
        yield f"{what} differ by up to {found.difference.max():.1e}{unit}, allowed is {largest:.1e}"
    if found.difference.mean() > mean:
        yield f"{what} differ by {found.difference.mean():.1e}{unit} in the mean, allowed is {mean:.1e}"
    shift = bounds.shift * largest / bounds.largest
    pushed = np.abs(found.shift) - _ERRORS * found.shift_error
    if pushed.max() > shift:
        yield f"{what} are all moved by {found.shift[pushed.argmax()]:+.1e}{unit} in the mean, allowed is {shift:.1e}"
    n = len(found.changed)
    decided = int((found.changed & (found.margin >= bounds.tie)).sum())
    if decided and wilson(decided, n).low > bounds.changed:
        yield f"{decided} of {n} labels differ beyond ties, allowed is {bounds.changed:.1%}"
    if n >= FEWEST and found.drop.value > bounds.drop * found.unit and _is_no_chance(found.worse, found.better):
        yield _lost(found, bounds.drop * found.unit, measure)


@dataclass(frozen=True)
class Refusals:
    """What a comparison of refusals found.

    Attributes:
        difference: How far each example's similarity is from the reference's, shape `(n,)`.
        changed: Whether one answers "none of these" and the other does not, boolean, shape `(n,)`.
        margin: How far the reference's similarity is from the threshold, shape `(n,)`.
    """

    difference: np.ndarray
    changed: np.ndarray
    margin: np.ndarray


def beyond_refusals(bounds: Bounds, found: Refusals) -> Iterator[str]:
    """Yield what lies beyond the bounds of refusals, in words."""
    n, allowed = len(found.changed), bounds.similarity
    if found.difference.mean() > allowed:
        yield f"similarities differ by {found.difference.mean():.1e} in the mean, allowed is {allowed:.1e}"
    decided = int((found.changed & (found.margin >= 2 * allowed)).sum())
    if decided and wilson(decided, n).low > bounds.changed:
        yield f'{decided} of {n} are "none of these" in one only, allowed is {bounds.changed:.1%} beyond ties'


def _is_no_chance(worse: int, better: int) -> bool:
    from scipy.stats import binomtest

    return worse > better and binomtest(worse, worse + better, alternative="greater").pvalue < _CHANCE


def _lost(found: Findings, allowed: float, measure: str) -> str:
    numbers = (found.drop.value, found.drop.low, found.drop.high, allowed)
    counts = f"{found.worse} examples worse, {found.better} better"
    if measure == "mean_absolute_error":
        value, low, high, most = (f"{number:.3g}" for number in numbers)
        return f"the error is larger by {value} [{low}, {high}] ({counts}), allowed is {most}"
    value, low, high, most = (f"{100 * number:.2f}" for number in numbers)
    return f"{measure} is lower by {value} points [{low}, {high}] ({counts}), allowed is {most}"
