"""What a person wants to see at the end of a run, as plain text."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlkeras.evaluation.metrics import Evaluation, Measure
    from tlkeras.export.artifact import Artifact, Parity


ALSO = {
    "balanced_accuracy",
    "f1_macro",
    "roc_auc",
    "average_precision",
    "top_5_accuracy",
    "exact_match",
    "root_mean_square_error",
    "r_squared",
    "correlation",
}
"""The measures that are said beside the headline; the others are in `metrics.json`."""


def summary_lines(
    folder: Path, evaluation: "Evaluation", artifacts: "Sequence[Artifact]", parity: "Sequence[Parity]"
) -> Iterator[str]:
    """Yield the result beside what no transfer would have given, the files with sizes and parity, and the next command.

    Args:
        folder: The run folder.
        evaluation: The result on the test split; its first measure is the headline.
        artifacts: The exported files.
        parity: Their comparisons with Keras, matched by target.
    """
    measures = {**evaluation.measures}
    headline = next(iter(measures), "")
    compared = [("this model", measures.pop(headline))] if headline else []
    rows = [_measure_row(name, measure) for name, measure in [*compared, *evaluation.nulls.items()]]
    yield "\n" + format_table((headline, "value", "95 % interval", "n"), rows)
    yield "Also: " + ", ".join(f"{name} {measure.value:.3f}" for name, measure in measures.items() if name in ALSO)
    yield evaluation.verdict
    agreement = {result.target: result for result in parity}
    files = [
        (str(artifact.path.relative_to(folder)), format_size(artifact.size_bytes), _agreement(agreement.get(artifact.target)))
        for artifact in artifacts
        if artifact.path.is_relative_to(folder)
    ]
    if (folder / "model.keras").exists():
        files.insert(0, ("model.keras", format_size((folder / "model.keras").stat().st_size), "the reference"))
    values = any(result.measure == "mean_absolute_error" for result in parity)
    heading = "same value as Keras" if values else "same label as Keras"
    yield "\n" + format_table(("file", "size", heading), files)
    yield f"\nEverything is in {folder}"
    if (folder / "report.html").exists():
        yield f"Read: {folder / 'report.html'}"
    phone = [artifact.path for artifact in artifacts if artifact.path.suffix == ".tflite"]
    if phone:
        yield f"Next: tlkeras predict {phone[0]} INPUT"


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows in columns that are aligned by spaces, for terminals, logs and notebooks alike."""
    table = [tuple(header), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines)


def format_size(size: float) -> str:
    """Say a number of bytes as a person would: `6.9 MB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _measure_row(name: str, measure: "Measure") -> tuple[str, str, str, str]:
    interval = f"{measure.low:.3f} to {measure.high:.3f}" if measure.low is not None and measure.high is not None else ""
    return name, f"{measure.value:.3f}", interval, str(measure.n)


def _agreement(result: "Parity | None") -> str:
    if result is None:
        return "not verified"
    if not result.n:
        return "not compared: runs on Apple's systems"
    if result.mean_difference is None:
        return "could not be compared  FAILED"
    if result.label_agreement is None:
        equal = f"within {result.max_difference:.2g} deviations, {result.n} values"
    else:
        equal = f"{result.label_agreement:.1%} of {result.n}"
    return equal + ("" if result.passed else "  FAILED")
