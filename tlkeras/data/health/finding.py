"""A finding: one thing that is wrong with data, where, and the way out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""An error must be mended or set aside before a result can be trusted; a warning may cost accuracy; a note is good to know."""

MANY = 0.01
"""What is wrong with a larger share of all examples than this is an error, even if the single ones are left out."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Offender:
    """One example, file or class that a finding is about.

    Attributes:
        where: The file, or the file and row, or the class.
        detail: What is wrong with this one, or what it is like.
        row: Its place in the inventory; -1 where it is no example.
        id: Its identity, by which a quarantine list names it; empty where it is no example.
        thumbnail: A small picture of it, as a `data:` address; filled for the first ones when a report is made.
    """

    where: str
    detail: str = ""
    row: int = -1
    id: str = ""
    thumbnail: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that was found.

    Attributes:
        key: A short name that stays the same from version to version, as in `"unreadable"`.
        severity: `"error"`, `"warning"` or `"note"`.
        title: What it is, in plain words, as in `Pictures that cannot be read`.
        count: How many examples, files or classes it concerns; 0 where the title says it all.
        remedy: What to do.
        offenders: All of them, the worst first where there is an order.
        quarantine: Whether setting the offenders aside is a way out; then they are listed in `quarantine.csv`.
        explanation: Why it matters, where that is not plain.
    """

    key: str
    severity: Severity
    title: str
    count: int
    remedy: str
    offenders: tuple[Offender, ...] = ()
    quarantine: bool = False
    explanation: str = ""

    @property
    def headline(self) -> str:
        """The title with its count."""
        return f"{self.title}: {self.count:,}" if self.count else self.title


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by severity, in their order within it."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names in quotes, the first few of them."""
    return ", ".join(ascii(name) if not name.isprintable() else repr(name) for name in names[:most]) + (
        " …" if len(names) > most else ""
    )
