"""A check as lines of text, for a terminal, a log and a person in a hurry."""

from collections.abc import Iterator
from pathlib import Path

from tlkeras.data.health.finding import Finding
from tlkeras.report.check import CheckReport
from tlkeras.report.check_files import quarantine_lines

SHOWN = 3
"""Offenders of a finding that are named."""

_MARKS = {"error": "ERROR", "warning": "WARNING", "note": "note"}


def check_lines(report: CheckReport, folder: Path) -> Iterator[str]:
    """Yield what a check has found, what to do, and where the rest lies; of notes the headline alone.

    Args:
        report: The check.
        folder: Where its files were written.
    """
    if report.modality:
        kind = "pictures" if report.modality == "image" else "texts"
        usable = f", {report.usable:,} of them usable" if report.usable < report.examples else ""
        classes = f", {len(report.classes)} class{'' if len(report.classes) == 1 else 'es'}" if report.classes else ""
        pace = "" if report.deep else f", {report.examples / max(report.seconds, 1e-9):,.0f} a second"
        yield _plain(f"{report.origin}: {report.examples:,} {kind}{usable}{classes}; {report.seconds:.1f} s{pace}")
    for note in report.notes:
        yield _plain(note)
    for finding in report.findings:
        if finding.severity != "note":
            yield ""
            yield from map(_plain, _finding_lines(finding))
    if report.count("note"):
        yield ""
    for finding in report.findings:
        if finding.severity == "note":
            yield _plain(f"{_MARKS['note']:8} {finding.headline}")
    yield ""
    yield report.verdict
    yield (
        f"The whole report, with pictures: {folder / 'check.html'}"
        if report.modality == "image"
        else (f"The whole report: {folder / 'check.html'}")
    )
    yield from _next(report, folder)


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield f"{_MARKS[finding.severity]:8} {finding.headline}"
    for one in finding.offenders[:SHOWN]:
        yield f"{'':8}   {one.where}" + (f": {one.detail}" if one.detail else "")
    if len(finding.offenders) > SHOWN:
        yield f"{'':8}   … and {len(finding.offenders) - SHOWN:,} more"
    if finding.explanation:
        yield f"{'':8} {finding.explanation}"
    yield f"{'':8} -> {finding.remedy}"


def _next(report: CheckReport, folder: Path) -> Iterator[str]:
    rows = quarantine_lines(report)
    recipe = {"image": "image_classification", "text": "text_classification"}.get(report.modality, "")
    if rows:
        yield f"Examples to set aside: {folder / 'quarantine.csv'} ({len(rows):,}). Nothing was moved or deleted."
    quarantine = f" --quarantine {folder / 'quarantine.csv'}" if rows else ""
    if recipe and report.passed:
        yield _plain(f"Next: tlkeras run {recipe} --data {report.origin}{quarantine}")
    elif recipe:
        yield _plain(f"Next: mend what is an error, and look again: tlkeras check {report.origin}{quarantine}")
    if recipe and report.passed and not report.deep:
        yield _plain(f"Likely label errors: tlkeras check {report.origin} --deep")


def _plain(text: str) -> str:
    """Escape what could move a terminal's cursor or cannot be encoded; file names may hold anything."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
