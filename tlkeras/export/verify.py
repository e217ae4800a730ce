"""Verify that an artefact is the model that was evaluated: its own runtime against Keras, on the same raw inputs."""

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Texts
from tlkeras.errors import ParityError, TlkerasError
from tlkeras.evaluation.evaluate import paired_gain
from tlkeras.evaluation.metrics import Measure, wilson
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.predict import Prediction, load_artifact, predict_images, predict_texts
from tlkeras.files import write_json

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel

_log = logging.getLogger("tlkeras")
_SHOWN = 20


@dataclass(frozen=True)
class Bounds:
    """How far an artefact's probabilities may be from Keras's.

    A model whose outputs hardly vary is held to less, in proportion: a fixed bound would let it hide any defect.

    Attributes:
        largest: The largest difference of one probability.
        mean: The mean over the examples of each one's largest difference.
        share: `largest` as a share of the range that the reference outputs span over the examples, if that is less; `mean`
            shrinks with it.
        changed: The share of examples whose label may change, ties apart; refused where the 95 % interval lies above it.
        tie: A label may change freely where Keras's two best classes are closer than this.
        drop: How much accuracy may be lost; refused where the loss is larger and its 95 % interval lies above 0.
    """

    largest: float
    mean: float
    share: float
    changed: float = 0.0
    tie: float = 0.0
    drop: float = 0.0


# The same arithmetic in another order: 4e-5 was the most seen on trained networks of 3 to 24 million weights. A label changes
# only at a tie then.
_EXACT = Bounds(largest=1e-4, mean=1e-4, share=0.01, tie=2e-4)
BOUNDS = {
    "saved_model": _EXACT,
    "tflite_float32": _EXACT,
    # Weights of 11 bits. A confident network multiplies their rounding: on EfficientNet-Lite0, fine-tuned, 1,000 pictures moved
    # by 0.0007 in the mean and by 0.027 at most, and two labels changed, both at margins below 0.01.
    "tflite_float16": Bounds(largest=0.1, mean=0.003, share=0.5, changed=0.005, tie=0.02, drop=0.002),
}


@dataclass(frozen=True)
class _Reference:
    probabilities: np.ndarray
    spread: float
    labels: list[str]
    truth: list[str]


def verify(
    artifacts: Sequence[Artifact],
    model: "TransferModel",
    examples: Examples,
    *,
    sample: int | None = None,
    output: str | Path | None = None,
) -> tuple[Parity, ...]:
    """Run each artefact on raw inputs, through `predict`'s own path, and compare it with the Keras network.

    The reference reads the same inputs as in training. Pictures reach the artefact as encoded files (those in memory as PNG),
    texts as strings. A label may change only where the two best classes are closer than the bound allows to tell apart, which
    the bound on the difference implies.

    Args:
        artifacts: What `export_model` returned.
        model: The model they were exported from.
        examples: What to compare on, usually the test split.
        sample: At most so many examples, drawn with a fixed seed; all if not given.
        output: A file for the results, JSON; written before a failure is raised.

    Raises:
        ParityError: An artefact differs, or the reference's outputs are not finite or do not vary, which would prove nothing.
    """
    if sample is not None and sample < len(examples):
        examples = examples.take(np.sort(np.random.default_rng(0).choice(len(examples), sample, replace=False)))
    reference = _reference(model, examples)
    inputs = _raw_inputs(examples)
    parity = tuple(_compare(artifact, model, reference, examples, inputs) for artifact in artifacts)
    if output is not None:
        save_parity(parity, output)
    failed = [(artifact, result) for artifact, result in zip(artifacts, parity, strict=True) if not result.passed]
    if failed:
        raise ParityError("\n".join(_complaint(artifact, result) for artifact, result in failed))
    return parity


def save_parity(parity: Sequence[Parity], path: str | Path) -> None:
    """Write the comparisons as JSON, by target."""
    write_json(Path(path), {result.target: result for result in parity})


def _reference(model: "TransferModel", examples: Examples) -> _Reference:
    from tlkeras.features.engine import run_network
    from tlkeras.features.inputs import read_inputs

    (rows,) = run_network(model.network, [read_inputs(examples, model.source)])
    probabilities = rows.values
    if not np.isfinite(probabilities).all():
        raise ParityError(
            "The Keras model gives outputs that are not finite, so there is nothing to compare with: train it again."
        )
    spread = float(np.ptp(probabilities, axis=0).max()) if len(probabilities) else 0.0
    if spread < 1e-4:
        raise ParityError(
            f"The Keras model answers the same for all {len(examples)} examples (its probabilities differ by {spread:.1g}), "
            "so a comparison would prove nothing. Train it longer, or verify on examples that differ."
        )
    return _Reference(
        probabilities=probabilities,
        spread=spread,
        labels=[model.classes[index] for index in probabilities.argmax(axis=1)],
        truth=[model.classes[index] for index in examples.labels],
    )


def _raw_inputs(examples: Examples) -> Sequence[str] | Sequence[bytes]:
    store = examples.store
    if isinstance(store, (ImageFiles, Texts)):
        return store.paths if isinstance(store, ImageFiles) else store.texts
    if isinstance(store, EncodedImages):
        return store.pictures  # type: ignore[return-value]  # read in slices
    if isinstance(store, ImageArrays):
        return [_as_png(pixels) for pixels in store.pixels]
    raise TypeError(
        f"Examples are verified from ImageFiles, EncodedImages, ImageArrays or Texts. Received: {type(store).__name__}"
    )


def _as_png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="png", compress_level=1)
    return stream.getvalue()


def _compare(artifact: Artifact, model: "TransferModel", reference: _Reference, examples: Examples, inputs: Sequence) -> Parity:
    result = Parity(
        target=artifact.target,
        n=len(examples),
        label_agreement=0.0,
        accuracy_keras=_share(reference.labels, reference.truth),
        accuracy_artifact=0.0,
        max_difference=1.0,
        passed=False,
    )
    try:
        predictor = load_artifact(artifact.path)
        if predictor.labels != model.classes:
            raise TlkerasError(f"its labels are {list(predictor.labels)[:10]}, the model's {list(model.classes)[:10]}")
        answers = (predict_texts if model.modality == "text" else predict_images)(predictor, inputs)
        result = _judge(result, reference, answers, examples)
    # Whatever a damaged artefact does, the others are still to be checked.
    except Exception as error:
        result = replace(result, problem=str(error) or type(error).__name__)
    _log.info(
        "%-15s %s: same label %6.2f %%, accuracy %.4f (Keras %.4f), largest difference %.1e, n %d%s",
        result.target,
        "equal" if result.passed else "DIFFERS",
        100 * result.label_agreement,
        result.accuracy_artifact,
        result.accuracy_keras,
        result.max_difference,
        result.n,
        f": {result.problem}" if result.problem else "",
    )
    return result


def _judge(result: Parity, reference: _Reference, answers: Sequence[Prediction], examples: Examples) -> Parity:
    unread = [f"{examples.store.where(i)} ({answer.problem})" for i, answer in enumerate(answers) if answer.problem]
    if unread:
        return replace(result, problem="inputs that Keras reads cannot be read", disagreements=tuple(unread[:_SHOWN]))
    difference = np.abs(np.stack([answer.probabilities for answer in answers]) - reference.probabilities).max(axis=1)
    difference = np.where(np.isfinite(difference), difference, 1.0)
    labels = np.array([str(answer.label) for answer in answers])
    changed = labels != np.array(reference.labels)
    truth = np.array(reference.truth)
    drop = paired_gain(np.array(reference.labels) == truth, labels == truth)
    problems = list(_problems(BOUNDS[result.target], reference, difference, changed, drop))
    suspects = changed | (difference > np.quantile(difference, 0.9)) if problems else changed
    worst = [i for i in np.argsort(-difference, kind="stable") if suspects[i]]
    return replace(
        result,
        label_agreement=float(1 - changed.mean()),
        accuracy_artifact=_share(labels, reference.truth),
        drop=drop,
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        passed=not problems,
        disagreements=tuple(
            f"{examples.store.where(int(i))}: {str(labels[i])!r} instead of {reference.labels[i]!r}, "
            f"differs by {difference[i]:.1e}"
            for i in worst[:_SHOWN]
        ),
        problem="; ".join(problems),
    )


def _problems(
    bounds: Bounds, reference: _Reference, difference: np.ndarray, changed: np.ndarray, drop: Measure
) -> Iterator[str]:
    """Yield what lies beyond the bounds, in words."""
    largest = min(bounds.largest, bounds.share * reference.spread)
    mean = bounds.mean * largest / bounds.largest
    if difference.max() > largest:
        yield f"probabilities differ by up to {difference.max():.1e}, allowed is {largest:.1e}"
    if difference.mean() > mean:
        yield f"probabilities differ by {difference.mean():.1e} in the mean, allowed is {mean:.1e}"
    two_best = np.sort(reference.probabilities, axis=1)[:, -2:]
    beyond_ties = int((changed & (np.ptp(two_best, axis=1) >= bounds.tie)).sum())
    if beyond_ties and wilson(beyond_ties, len(changed)).low > bounds.changed:
        yield f"{beyond_ties} of {len(changed)} labels differ beyond ties, allowed is {bounds.changed:.1%}"
    if drop.value > bounds.drop and drop.low > 0:
        yield (
            f"accuracy is lower by {100 * drop.value:.2f} points [{100 * drop.low:.2f}, {100 * drop.high:.2f}], "
            f"allowed is {100 * bounds.drop:.2f}"
        )


def _share(labels: Sequence[str] | np.ndarray, truth: Sequence[str]) -> float:
    return float(np.mean([label == true for label, true in zip(labels, truth, strict=True)]))


def _complaint(artifact: Artifact, result: Parity) -> str:
    worst = "".join(f"\n  {line}" for line in result.disagreements[:5])
    return f"{artifact.path} does not behave as the Keras model that was evaluated: {result.problem.rstrip('.')}.{worst}"
