"""A check as lines of text, for a terminal, a log and a person in a hurry."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from tlkeras.data.health.finding import Finding
from tlkeras.files import printable
from tlkeras.report.check import CheckReport
from tlkeras.report.check_files import quarantine_lines
from tlkeras.report.check_settings import CheckSettings

SHOWN = 3
"""Offenders of a finding that are named."""

_SHARED = (
    *("image_column", "text_column", "label_column", "split_column", "group_column", "time_column"),
    *("target", "label_separator", "encoding", "splits"),
)
_MARKS = {"error": "ERROR", "warning": "WARNING", "note": "note"}


def check_lines(report: CheckReport, folder: Path, settings: CheckSettings | None = None) -> Iterator[str]:
    """Yield what a check has found, what to do, and where the rest lies; of notes the headline and an example.

    Args:
        report: The check.
        folder: Where its files were written.
        settings: What was asked for; the next commands say it again.
    """
    if report.modality:
        kind = "pictures" if report.modality == "image" else "texts"
        usable = f", {report.usable:,} of them usable" if report.usable < report.examples else ""
        classes = f", {len(report.classes)} class{'' if len(report.classes) == 1 else 'es'}" if report.classes else ""
        pace = "" if report.deep else f", {report.examples / max(report.seconds, 1e-9):,.0f} a second"
        yield printable(f"{report.origin}: {report.examples:,} {kind}{usable}{classes}; {report.seconds:.1f} s{pace}")
    for note in report.notes:
        yield printable(note)
    for finding in report.findings:
        if finding.severity != "note":
            yield ""
            yield from map(printable, _finding_lines(finding))
    if report.count("note"):
        yield ""
    for finding in report.findings:
        if finding.severity == "note":
            first = finding.offenders[0] if finding.offenders else None
            example = f" (such as {first.where}{f': {first.detail}' if first.detail else ''})" if first else ""
            yield printable(f"{_MARKS['note']:8} {finding.headline}{example}")
    yield ""
    yield report.verdict
    yield (
        f"The whole report, with pictures: {folder / 'check.html'}"
        if report.modality == "image"
        else (f"The whole report: {folder / 'check.html'}")
    )
    yield from _next(report, folder, settings or CheckSettings())


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield f"{_MARKS[finding.severity]:8} {finding.headline}"
    for one in finding.offenders[:SHOWN]:
        yield f"{'':8}   {one.where}" + (f": {one.detail}" if one.detail else "")
    if len(finding.offenders) > SHOWN:
        yield f"{'':8}   … and {len(finding.offenders) - SHOWN:,} more"
    if finding.explanation:
        yield f"{'':8} {finding.explanation}"
    yield f"{'':8} -> {finding.remedy}"


def _next(report: CheckReport, folder: Path, settings: CheckSettings) -> Iterator[str]:
    rows = quarantine_lines(report)
    recipe = {"image": "image_classification", "text": "text_classification"}.get(report.modality, "")
    if rows:
        yield f"Examples to set aside: {folder / 'quarantine.csv'} ({len(rows):,}). Nothing was moved or deleted."
    quarantine = f" --quarantine {shlex.quote(str(folder / 'quarantine.csv'))}" if rows else ""
    again = f"{shlex.quote(report.origin)}{_flags(settings)}"
    if recipe and report.passed:
        yield printable(f"Next: tlkeras run {recipe} --data {again}{quarantine}")
    elif recipe:
        yield printable(f"Next: mend what is an error, and look again: tlkeras check {again}{quarantine}")
    if recipe and report.passed and not report.deep and settings.target in (None, "class"):
        yield printable(f"Likely label errors: tlkeras check {again} --deep")


def _flags(settings: CheckSettings) -> str:
    """Return the flags that say what the columns hold, as `check` and `run` both take them."""
    given = {name: getattr(settings, name) for name in _SHARED}
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items() if value)
