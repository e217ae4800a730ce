"""Verify that an artefact is the model that was evaluated: its own runtime against Keras, on the same raw inputs."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Examples, ImageFiles
from tlkeras.data.image_files import modification_times
from tlkeras.data.vanished import read_still_there, without_vanished
from tlkeras.errors import DataError, ParityError, TlkerasError
from tlkeras.export import compare, metadata
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.beneath import Yardstick, problem_with_numbers, problem_with_reader
from tlkeras.export.bounds import BOUNDS, DECODED, FEWEST, Bounds, beyond
from tlkeras.export.carried import problem_with_carried
from tlkeras.export.judging import find, judge
from tlkeras.export.predict import IMAGE_BATCH, load_artifact, predict_images, predict_texts
from tlkeras.export.reference import Reference, raw_inputs, read_reference
from tlkeras.export.runtimes import Run, open_encoded
from tlkeras.files import write_json

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel

_log = logging.getLogger("tlkeras")
_ROUNDS = 3
"""So often are artefacts compared anew because pictures were written meanwhile."""
_SERVED = (b"\xff\xd8\xff", b"\x89PNG")
"""How files begin that a SavedModel decodes itself: JPEG and PNG."""


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
    the bound on the difference implies. Beneath the outputs, the constants of a quantised LiteRT file must be those of the
    float32 file, rounded (`tlkeras.export.constants`), and pictures that readers get wrong (turned by EXIF, transparent, of
    16 bits …) must be read as in training (`tlkeras.export.readings`).

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
        DataError: Pictures are gone, or are written again and again while they are compared.
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
    outputs_only: bool = False,
) -> tuple[Parity, ...]:
    """Compare as `verify` does, and return what was found whether it is good or bad.

    With `outputs_only` neither constants nor readers are looked at, and nothing is logged. Pictures that are gone are left out.
    Where one vanishes or changes while the artefacts are asked, all is compared anew.
    """
    examples = without_vanished(examples)
    if sample is not None and sample < len(examples):
        examples = examples.take(np.sort(np.random.default_rng(0).choice(len(examples), sample, replace=False)))
    if len(examples) < FEWEST:
        _log.warning("%d examples cannot show how much is lost to a point: that is not judged. Give %d.", len(examples), FEWEST)
    for _ in range(_ROUNDS):
        examples, (written, reference) = read_still_there(examples, lambda there: (_times(there), read_reference(model, there)))
        results = _compare_all(artifacts, model, examples, reference, max_drop, outputs_only)
        moved = np.flatnonzero(_times(examples) != written)
        if not len(moved) or all(result.passed for result in results):
            return results
        _log.warning("%d pictures were written or went while they were compared: all is compared anew.", len(moved))
    raise DataError(
        f"Pictures change while artefacts are compared on them, the first: {examples.store.where(int(moved[0]))}. Compare "
        "again when nothing writes there any more."
    )


def _times(examples: Examples) -> np.ndarray:
    """When the picture files of examples were written; nothing for others, which cannot change."""
    store = examples.store
    return modification_times(store.paths) if isinstance(store, ImageFiles) else np.zeros(0, np.int64)


def _compare_all(
    artifacts: Sequence[Artifact],
    model: "TransferModel",
    examples: Examples,
    reference: Reference,
    max_drop: float | None,
    outputs_only: bool,
) -> tuple[Parity, ...]:
    inputs = raw_inputs(examples)
    yardstick = None if outputs_only else Yardstick(model, examples)
    results = []
    for artifact in artifacts:
        if artifact.target == "coreml":
            result = _not_run(artifact, model)
        else:
            result = _compare(artifact, _bounds(artifact.target, max_drop), model, reference, examples, inputs, yardstick)
            if yardstick and result.passed and artifact.target == "tflite_float32":
                yardstick.float32 = artifact.path.read_bytes()
            if not outputs_only:
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


def _compare(
    artifact: Artifact,
    bounds: Bounds,
    model: "TransferModel",
    reference: Reference,
    examples: Examples,
    inputs: Sequence,
    yardstick: Yardstick | None,
) -> Parity:
    result = Parity(artifact.target, len(examples), measure=compare.MEASURES[model.task])
    try:
        predictor = load_artifact(artifact.path)
        if predictor.labels != model.classes:
            raise TlkerasError(f"its labels are {list(predictor.labels)[:10]}, the model's {list(model.classes)[:10]}")
        if predictor.task != model.task:
            raise TlkerasError(f"its task is {predictor.task}, the model's {model.task}")
        answers = (predict_texts if model.modality == "text" else predict_images)(predictor, inputs)
        result = judge(result, bounds, reference, answers, examples)
        if result.passed:
            opened = open_encoded(artifact.path)
            problem = problem_with_carried(artifact.path, model) or _problem_with_files(opened, reference, inputs)
            if yardstick and not problem:
                problem = problem_with_numbers(artifact.path, artifact.target, yardstick)
                problem = problem or problem_with_reader(predictor, opened, yardstick, mean=result.mean_difference or 0.0)
            result = replace(result, passed=not problem, problem=problem)
    # Whatever a damaged artefact does, the others are still to be checked.
    except Exception as error:
        result = replace(result, problem=str(error) or type(error).__name__)
    return result


def _problem_with_files(opened: tuple[metadata.Embedded, Run] | None, reference: Reference, inputs: Sequence) -> str:
    """Say what is wrong where a SavedModel decodes picture files itself; empty where nothing is, or it does not."""
    if opened is None:
        return ""
    contents = [item if isinstance(item, bytes) else Path(item).read_bytes() for item in inputs]
    rows = [i for i, content in enumerate(contents) if content.startswith(_SERVED)]
    if not rows:
        return ""
    batches = [rows[start : start + IMAGE_BATCH] for start in range(0, len(rows), IMAGE_BATCH)]
    name = opened[0].contract["output"]["name"]
    outputs = np.concatenate([opened[1](np.array([contents[i] for i in batch], object))[name] for batch in batches])
    chosen = replace(reference, outputs=reference.outputs[rows], targets=reference.targets[rows])
    problems = beyond(DECODED, find(chosen, outputs), measure=compare.MEASURES[reference.task])
    return "; ".join(f"from {len(rows)} picture files as they are: {problem}" for problem in problems)


def _line(result: Parity) -> str:
    problem = f": {result.problem}" if result.problem else ""
    start = f"{result.target:<15} {'equal' if result.passed else 'DIFFERS'}"
    if result.measure_keras is None:
        return f"{start}, n {result.n}{problem}"
    agreement = "" if result.label_agreement is None else f"same label {100 * result.label_agreement:6.2f} %, "
    if result.refusal_agreement is not None:
        agreement += f"same refusals {100 * result.refusal_agreement:.2f} %, "
    return (
        f"{start}: {agreement}{result.measure} {result.measure_artifact:.4f} (Keras {result.measure_keras:.4f}), "
        f"largest difference {result.max_difference:.1e}, mean {result.mean_difference:.1e}, n {result.n}{problem}"
    )


def complaint(artifact: Artifact, result: Parity) -> str:
    """Say that an artefact is refused, why, and on which examples it is worst."""
    worst = "".join(f"\n  {line}" for line in result.disagreements[:5])
    return f"{artifact.path} does not behave as the Keras model that was evaluated: {result.problem.rstrip('.')}.{worst}"
