"""What a check leaves behind: `check.json`, `check.html`, `quarantine.csv` and `scrubbed.csv`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlkeras.data.health.finding import SEVERITIES, Finding
from tlkeras.data.quarantine import Quarantined, write_quarantine
from tlkeras.data.split_files import as_listed
from tlkeras.files import write_json, write_text
from tlkeras.report.check import CheckReport
from tlkeras.report.page import render_page
from tlkeras.report.personal import SCRUBBED, write_scrubbed
from tlkeras.report.thumbnails import SHOWN

LISTED = 100
"""Offenders of a finding that the page lists; the others are in `check.json`."""


def save_check(report: CheckReport, folder: str | Path) -> None:
    """Write `check.json` and `check.html` into a folder, and `quarantine.csv` if there is anything to set aside.

    The page needs nothing else: its pictures are in it, no script runs, and its policy forbids loading anything. All that comes
    from the data is escaped. A `quarantine.csv` of an earlier check is kept as `quarantine.earlier.csv` if it is another one.
    """
    folder = Path(folder)
    write_json(folder / "check.json", as_json(report))
    write_text(folder / "check.html", render(report))
    write_quarantine(quarantine_lines(report), folder / "quarantine.csv")
    if report.scrubbed:
        write_scrubbed(report.scrubbed, folder / SCRUBBED)


def as_json(report: CheckReport) -> dict[str, Any]:
    """Return a report as plain values, without thumbnails."""
    return {
        "data": as_listed(report.origin),
        "verdict": report.verdict,
        "passed": report.passed,
        "modality": report.modality,
        "examples": report.examples,
        "usable": report.usable,
        "classes": {as_listed(name): counts for name, counts in report.classes.items()},
        "findings": [_finding(finding) for finding in report.findings],
        "notes": list(map(as_listed, report.notes)),
        "seconds": round(report.seconds, 3),
        "deep": report.deep,
    }


def quarantine_lines(report: CheckReport) -> list[Quarantined]:
    """Return the examples that can be set aside, each once: those that were in quarantine before come first."""
    lines = {line.id: line for line in report.quarantine}
    for finding in report.findings:
        for one in finding.offenders if finding.quarantine else ():
            reason = f"{finding.key}: {one.detail}" if one.detail else finding.key
            line = Quarantined(as_listed(one.id), as_listed(reason), as_listed(one.where))
            lines.setdefault(line.id, line)
    return list(lines.values())


def render(report: CheckReport) -> str:
    """Return a report as a page of HTML."""
    return render_page(
        "check.html.j2",
        report=report,
        counts={severity: report.count(severity) for severity in SEVERITIES},
        parts=sorted({part for counts in report.classes.values() for part in counts}, key=_part_order),
        largest=max((sum(counts.values()) for counts in report.classes.values()), default=1),
        quarantined=len(quarantine_lines(report)),
        shown=SHOWN,
        listed=LISTED,
    )


def _finding(finding: Finding) -> Mapping[str, Any]:
    return {
        "key": finding.key,
        "severity": finding.severity,
        "headline": as_listed(finding.headline),
        "count": finding.count,
        "explanation": as_listed(finding.explanation),
        "remedy": as_listed(finding.remedy),
        "quarantine": finding.quarantine,
        "offenders": [
            {"where": as_listed(one.where), "detail": as_listed(one.detail), "id": as_listed(one.id)}
            for one in finding.offenders
        ],
    }


def _part_order(part: str) -> tuple[int, str]:
    known = ("train", "val", "test")
    return (known.index(part) if part in known else len(known), part)
