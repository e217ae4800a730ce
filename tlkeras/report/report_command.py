"""What `tlkeras report` does; it yields what is to be shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tlkeras.files import write_json, write_text
from tlkeras.report.html import write_report
from tlkeras.report.page import render_page
from tlkeras.report.report_settings import ReportSettings
from tlkeras.report.runs_compared import RunsCompared, compare_runs

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]


def report_parts(runs: Sequence[Path], settings: ReportSettings) -> Iterator[Part]:
    """Write the report of a run anew, or compare several, and yield what a person wants to know.

    Raises:
        ValueError: No run is given, one is no run folder, or they cannot be compared.
    """
    if not runs:
        raise ValueError("Which run? Give one to write its report anew, or several to compare: tlkeras report RUN [RUN …]")
    if len(runs) == 1:
        if settings.output:
            raise ValueError(f"One run's report lies in its own folder. Received: --output {settings.output}. Leave it out.")
        page = write_report(runs[0])
        yield f"Wrote {page} and {page.with_name('README.md')}, the model card."
        return
    found = compare_runs(runs)
    header = ("run", "source", "differs in", found.measure, "against the first", "better on", "worse on", "p")
    yield header, list(_rows(found))
    yield found.verdict
    if found.left_out:
        yield f"{found.left_out:,} test examples are not in all of them and were left out."
    if settings.output:
        write_json(settings.output / "runs.json", found)
        write_text(settings.output / "runs.html", render_runs(found))
        yield f"Wrote {settings.output / 'runs.html'} and runs.json."


def render_runs(found: RunsCompared) -> str:
    """Return a comparison of runs as a page of HTML."""
    return render_page(
        "runs.html.j2",
        found=found,
        header=("run", "source", "differs in", found.measure, "against the first", "better on", "worse on", "p"),
        rows=list(_rows(found)),
    )


def _rows(found: RunsCompared) -> Iterator[tuple[str, ...]]:
    factor, digits, unit = (1, 3, "") if found.task == "regression" else (100, 1, " %")
    for run in found.runs:
        settings = ", ".join(f"{name} {value}" for name, value in run.settings.items() if name != "source") or "–"
        start = (run.path, run.source, settings if run.difference else "", f"{factor * run.value:.{digits}f}{unit}")
        if run.difference is None or run.p_value is None:
            yield (*start, "the first", "", "", "")
            continue
        value, low, high = (factor * end for end in (run.difference.value, run.difference.low, run.difference.high))
        size = f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
        yield (*start, size, str(run.wins), str(run.losses), f"{run.p_value:.2g}")
