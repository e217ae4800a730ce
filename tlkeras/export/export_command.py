"""What `tlkeras export` and `tlkeras benchmark` do, step by step; they yield what is to be shown."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tlkeras.evaluation.limits import Limits, parse_size, parse_time
from tlkeras.export.apart import rejected, require_parity
from tlkeras.export.artifact import Parity
from tlkeras.export.benchmark import benchmark_artifact, keep_benchmark
from tlkeras.export.budget import BudgetError, Variant, advise, pick, save_tradeoff
from tlkeras.export.export_lines import Part, measured_parts, variant_parts
from tlkeras.export.export_settings import ExportSettings
from tlkeras.export.exporting import FOLDER, QUANTIZED, export_run, target_name
from tlkeras.export.finished import FinishedRun, load_run
from tlkeras.files import write_file

TRADEOFF = "tradeoff.png"


def export_parts(path: Path, settings: ExportSettings, *, for_mediapipe: bool = False) -> Iterator[Part]:
    """Export the model of a run, verify it and yield what a person wants to know.

    With a budget all forms for phones are written and measured.

    Args:
        path: The run folder.
        settings: The flags.
        for_mediapipe: Texts: with the inputs that MediaPipe takes.

    Raises:
        ParityError: An export differs from the Keras model, or loses more than is allowed.
        BudgetError: No form fits the budget; the message says what to change.
    """
    limits = Limits(
        megabytes=parse_size(settings.max_size) if settings.max_size else None,
        milliseconds=parse_time(settings.max_latency) if settings.max_latency else None,
    )
    max_drop = None if settings.max_drop is None else settings.max_drop / 100
    if max_drop is not None and max_drop < 0:
        raise ValueError(f"--max-drop is a number of points, 0 or more. Received: {settings.max_drop}")
    if limits != Limits():
        if settings.format != "tflite" or for_mediapipe:
            raise ValueError("A budget is for tflite. Leave --format and --for out, or --max-size and --max-latency.")
        yield from _within(load_run(path), limits, max_drop)
        return
    target = target_name(settings.format, settings.quantize, for_mediapipe=for_mediapipe)
    run = load_run(path)
    artifacts, parity = export_run(run, [target], max_drop=max_drop)
    require_parity(artifacts, parity)
    if not parity[0].n:
        yield f"\n{artifacts[0].path} was written and its structure checked; it runs on Apple's systems only: not verified."
        return
    yield f"\n{artifacts[0].path} is the model that was evaluated: {_proof(parity[0])}"
    yield f"Next: tlkeras predict {artifacts[0].path} INPUT"


def benchmark_parts(path: Path) -> Iterator[Part]:
    """Measure an artefact, keep the numbers for the run's report, and yield what a person wants to know."""
    measured = benchmark_artifact(path)
    keep_benchmark(measured)
    yield from measured_parts(measured)


def _proof(result: Parity) -> str:
    same = "" if result.label_agreement is None else f"same label {result.label_agreement:.1%}, "
    found = f"{same}{result.measure.replace('_', ' ')} {result.measure_artifact:.4f} (Keras {result.measure_keras:.4f})"
    if result.drop is not None and result.label_agreement is not None:
        value, low, high = (100 * number for number in (result.drop.value, result.drop.low, result.drop.high))
        found += f", {value:+.2f} points lost [{low:+.2f}, {high:+.2f}]"
    return f"{found}, {result.n} test examples."


def _within(run: FinishedRun, limits: Limits, max_drop: float | None) -> Iterator[Part]:
    artifacts, parity = export_run(run, list(QUANTIZED.values()), max_drop=max_drop)
    variants = []
    for artifact, result in zip(artifacts, parity, strict=True):
        there = artifact if result.passed else replace(artifact, path=rejected(artifact.path))
        variants.append(Variant(there, result, benchmark_artifact(there.path)))
    picked = pick(variants, limits)
    picture = run.path / FOLDER / TRADEOFF
    write_file(picture, lambda temporary: save_tradeoff(variants, limits, picked, temporary))
    yield from variant_parts(variants, limits)
    if picked is None:
        raise BudgetError("\n".join(["No form of this model fits.", *advise(variants, limits, run.model), f"See {picture}"]))
    yield f"\nTake {picked.artifact.path}: of those that fit, it answers most like the Keras model. See {picture}"
