"""The flags of `tlkeras report`; apart from the rest, because every help text needs them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportSettings:
    """Everything that can be set; each field is a flag of `tlkeras report`."""

    output: Path | None = None
    """Several runs: folder to write runs.html and runs.json to."""
