"""Limits that a person sets on source models: size, latency, licence."""

import re
from dataclasses import dataclass

_SIZES = {"kb": 1e-3, "mb": 1.0, "gb": 1e3}
_TIMES = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Limits:
    """What a source model may be; None sets no limit.

    Attributes:
        megabytes: Its size as float32, at most, in 10^6 bytes.
        milliseconds: Its time for one example in LiteRT on this machine, at most.
        licence: What its licence must contain, whatever the case of the letters, as in `"apache"`.
    """

    megabytes: float | None = None
    milliseconds: float | None = None
    licence: str | None = None

    def objection(self, *, megabytes: float, licence: str) -> str | None:
        """Say what is against a source, as far as that can be told without running it; None where nothing is."""
        if self.megabytes is not None and megabytes > self.megabytes:
            return f"{megabytes:.1f} MB is more than {self.megabytes:g} MB"
        if self.licence is not None and self.licence.lower() not in licence.lower():
            return f"its licence is {licence!r}, not {self.licence!r}"
        return None

    def too_slow(self, milliseconds: float | None) -> str | None:
        """Say what is against the latency of a source; None where nothing is."""
        if self.milliseconds is None:
            return None
        if milliseconds is None:
            return "LiteRT cannot run it, so it has no latency"
        return f"{milliseconds:.1f} ms is more than {self.milliseconds:g} ms" if milliseconds > self.milliseconds else None


def parse_size(text: str) -> float:
    """Return a size in megabytes: `10MB`, `800 kB`, `1.5GB`, or a plain number of megabytes."""
    return _parse(text, _SIZES, "mb", "a size such as 10MB or 800kB")


def parse_time(text: str) -> float:
    """Return a time in milliseconds: `30ms`, `0.1s`, or a plain number of milliseconds."""
    return _parse(text, _TIMES, "ms", "a time such as 30ms or 0.1s")


def _parse(text: str, units: dict[str, float], plain: str, expected: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)\s*", text.lower())
    unit = (found[2] or plain) if found else ""
    if not found or unit not in units or float(found[1]) == 0:
        raise ValueError(f"Expected {expected}. Received: {text!r}")
    return float(found[1]) * units[unit]
