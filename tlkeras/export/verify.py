"""Verify that an artefact is the model that was evaluated: its own runtime against Keras, on the same raw inputs."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Texts
from tlkeras.data.vanished import without_vanished
from tlkeras.errors import ParityError, TlkerasError
from tlkeras.evaluation.evaluate import MEASURES, paired_gain, target_array
from tlkeras.evaluation.nulls import predictions
from tlkeras.export import compare
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.bounds import BOUNDS, DECODED, FEWEST, Bounds, Findings, beyond
from tlkeras.export.carried import problem_with_carried
from tlkeras.export.predict import IMAGE_BATCH, Prediction, load_artifact, predict_images, predict_texts
from tlkeras.export.runtimes import open_encoded
from tlkeras.files import write_json

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel

_log = logging.getLogger("tlkeras")
_SHOWN = 20
_SERVED = (b"\xff\xd8\xff", b"\x89PNG")
"""How files begin that a SavedModel decodes itself: JPEG and PNG."""


@dataclass(frozen=True)
class _Reference:
    """What Keras answers, and what is true.

    Attributes:
        task: The task.
        labels: The names of the outputs.
        outputs: float32, shape `(n, classes)`, or `(n, 1)` for values.
        targets: See `Evaluation.targets`.
    """

    task: str
    labels: tuple[str, ...]
    outputs: np.ndarray
    targets: np.ndarray


def verify(
    artifacts: Sequence[Artifact],
    model: "TransferModel",
    examples: Examples,
    *,
    sample: int | None = None,
    max_drop: float | None = None,
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
        max_drop: How much of the measure may be lost, instead of the bound of each target that may lose any: 0.01 is a point;
            for values, a share of their deviation.
        output: A file for the results, JSON; written before a failure is raised.

    Raises:
        ParityError: An artefact differs, or the reference's outputs are not finite or do not vary, which would prove nothing.
    """
    parity = compare_with_keras(artifacts, model, examples, sample=sample, max_drop=max_drop)
    if output is not None:
        save_parity(parity, output)
    failed = [(artifact, result) for artifact, result in zip(artifacts, parity, strict=True) if not result.passed]
    if failed:
        raise ParityError("\n".join(complaint(artifact, result) for artifact, result in failed))
    return parity


def compare_with_keras(
    artifacts: Sequence[Artifact],
    model: "TransferModel",
    examples: Examples,
    *,
    sample: int | None = None,
    max_drop: float | None = None,
    quiet: bool = False,
) -> tuple[Parity, ...]:
    """Compare as `verify` does, and return what was found whether it is good or bad; `quiet` logs nothing of it."""
    examples = without_vanished(examples)
    if sample is not None and sample < len(examples):
        examples = examples.take(np.sort(np.random.default_rng(0).choice(len(examples), sample, replace=False)))
    if len(examples) < FEWEST:
        _log.warning("%d examples cannot show how much is lost to a point: that is not judged. Give %d.", len(examples), FEWEST)
    reference = _reference(model, examples)
    inputs = _raw_inputs(examples)
    results = []
    for artifact in artifacts:
        if artifact.target == "coreml":
            result = _not_run(artifact, model)
        else:
            result = _compare(artifact, _bounds(artifact.target, max_drop), model, reference, examples, inputs)
            if not quiet:
                _log.info("%s", _line(result))
        results.append(result)
    return tuple(results)


def _not_run(artifact: Artifact, model: "TransferModel") -> Parity:
    """Return a comparison of no examples: the package was checked when it was written, and cannot be run here."""
    result = Parity(artifact.target, 0, measure=compare.MEASURES[model.task], passed=artifact.path.exists())
    _log.warning("%s was not compared: Core ML runs on Apple's systems only. Its structure was checked.", artifact.path)
    return result


def _bounds(target: str, max_drop: float | None) -> Bounds:
    bounds = BOUNDS[target]
    return bounds if max_drop is None or not bounds.drop else replace(bounds, drop=max_drop)


def save_parity(parity: Sequence[Parity], path: str | Path) -> None:
    """Write the comparisons as JSON, by target."""
    write_json(Path(path), {result.target: result for result in parity})


def _reference(model: "TransferModel", examples: Examples) -> _Reference:
    from tlkeras.features.engine import run_network
    from tlkeras.features.inputs import read_inputs

    (rows,) = run_network(model.network, [read_inputs(examples, model.source)])
    outputs = rows.values
    if not np.isfinite(outputs).all():
        raise ParityError(
            "The Keras model gives outputs that are not finite, so there is nothing to compare with: train it again."
        )
    varies = compare.spread(model.task, outputs) / (np.abs(outputs).max() if model.task == "regression" else 1.0)
    if not varies >= 1e-4:
        raise ParityError(
            f"The Keras model answers the same for all {len(examples)} examples (its outputs differ by {varies:.1g}), "
            "so a comparison would prove nothing. Train it longer, or verify on examples that differ."
        )
    return _Reference(model.task, model.classes, outputs, target_array(examples))


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


def _compare(
    artifact: Artifact,
    bounds: Bounds,
    model: "TransferModel",
    reference: _Reference,
    examples: Examples,
    inputs: Sequence,
) -> Parity:
    result = Parity(artifact.target, len(examples), measure=compare.MEASURES[model.task])
    try:
        predictor = load_artifact(artifact.path)
        if predictor.labels != model.classes:
            raise TlkerasError(f"its labels are {list(predictor.labels)[:10]}, the model's {list(model.classes)[:10]}")
        if predictor.task != model.task:
            raise TlkerasError(f"its task is {predictor.task}, the model's {model.task}")
        answers = (predict_texts if model.modality == "text" else predict_images)(predictor, inputs)
        result = _judge(result, bounds, reference, answers, examples)
        problem = problem_with_carried(artifact.path, model) or _problem_with_files(artifact, reference, inputs)
        if result.passed and problem:
            result = replace(result, passed=False, problem=problem)
    # Whatever a damaged artefact does, the others are still to be checked.
    except Exception as error:
        result = replace(result, problem=str(error) or type(error).__name__)
    return result


def _judge(result: Parity, bounds: Bounds, reference: _Reference, answers: Sequence[Prediction], examples: Examples) -> Parity:
    unread = [f"{examples.store.where(i)} ({answer.problem})" for i, answer in enumerate(answers) if answer.problem]
    if unread:
        return replace(result, problem="inputs that Keras reads cannot be read", disagreements=tuple(unread[:_SHOWN]))
    task = reference.task
    outputs = np.stack([[answer.value] if task == "regression" else answer.probabilities for answer in answers])
    found = _find(reference, outputs)
    problems = list(beyond(bounds, found, measure=result.measure))
    suspects = found.changed | (found.difference >= np.quantile(found.difference, 0.9)) if problems else found.changed
    worst = [i for i in np.argsort(-found.difference, kind="stable") if suspects[i]]
    return replace(
        result,
        label_agreement=None if task == "regression" else float(1 - found.changed.mean()),
        measure_keras=_measure(reference, reference.outputs),
        measure_artifact=_measure(reference, outputs),
        drop=found.drop,
        max_difference=float(found.difference.max()),
        mean_difference=float(found.difference.mean()),
        passed=not problems,
        disagreements=tuple(
            f"{examples.store.where(int(i))}: {compare.in_words(task, reference.labels, outputs[i])} instead of "
            f"{compare.in_words(task, reference.labels, reference.outputs[i])}, differs by {found.difference[i]:.1e}"
            for i in worst[:_SHOWN]
        ),
        problem="; ".join(problems),
    )


def _problem_with_files(artifact: Artifact, reference: _Reference, inputs: Sequence) -> str:
    """Say what is wrong where a SavedModel decodes picture files itself; empty where nothing is, or it does not."""
    opened = open_encoded(artifact.path)
    if opened is None:
        return ""
    contents = [item if isinstance(item, bytes) else Path(item).read_bytes() for item in inputs]
    rows = [i for i, content in enumerate(contents) if content.startswith(_SERVED)]
    if not rows:
        return ""
    batches = [rows[start : start + IMAGE_BATCH] for start in range(0, len(rows), IMAGE_BATCH)]
    outputs = np.concatenate([opened[1](np.array([contents[i] for i in batch], object)) for batch in batches])
    chosen = replace(reference, outputs=reference.outputs[rows], targets=reference.targets[rows])
    problems = beyond(DECODED, _find(chosen, outputs), measure=compare.MEASURES[reference.task])
    return "; ".join(f"from {len(rows)} picture files as they are: {problem}" for problem in problems)


def _find(reference: _Reference, outputs: np.ndarray) -> Findings:
    task = reference.task
    changed = compare.decisions(task, outputs) != compare.decisions(task, reference.outputs)
    spread = compare.spread(task, reference.outputs)
    before, after = _scores(reference, reference.outputs), _scores(reference, outputs)
    return Findings(
        difference=compare.differences(task, reference.outputs, outputs),
        changed=changed.any(axis=1),
        margin=compare.margins(task, reference.outputs, changed),
        drop=paired_gain(before, after),
        worse=int((after < before).sum()),
        better=int((after > before).sum()),
        spread=1.0 if task == "regression" else spread,
        unit=spread if task == "regression" else 1.0,
    )


def _scores(reference: _Reference, outputs: np.ndarray) -> np.ndarray:
    return MEASURES[reference.task].score(reference.targets, predictions(reference.task, outputs))


def _measure(reference: _Reference, outputs: np.ndarray) -> float:
    scores = _scores(reference, outputs)
    return float(-scores.mean() if reference.task == "regression" else scores.mean())


def _line(result: Parity) -> str:
    problem = f": {result.problem}" if result.problem else ""
    start = f"{result.target:<15} {'equal' if result.passed else 'DIFFERS'}"
    if result.measure_keras is None:
        return f"{start}, n {result.n}{problem}"
    agreement = "" if result.label_agreement is None else f"same label {100 * result.label_agreement:6.2f} %, "
    return (
        f"{start}: {agreement}{result.measure} {result.measure_artifact:.4f} (Keras {result.measure_keras:.4f}), "
        f"largest difference {result.max_difference:.1e}, mean {result.mean_difference:.1e}, n {result.n}{problem}"
    )


def complaint(artifact: Artifact, result: Parity) -> str:
    """Say that an artefact is refused, why, and on which examples it is worst."""
    worst = "".join(f"\n  {line}" for line in result.disagreements[:5])
    return f"{artifact.path} does not behave as the Keras model that was evaluated: {result.problem.rstrip('.')}.{worst}"
