"""What may follow a phase, as names."""

from tlkeras.errors import unknown

AFTER = ("soup", "wise_ft", "recalibrate")
"""See `Phase.after`."""

EMA = 0.99
"""The momentum that `ema` on a command line means."""


def parse_after(text: str | None) -> tuple[float, tuple[str, ...]]:
    """Return momentum of the moving average of the weights (0 for none) and the steps after a phase from what a user gives.

    Args:
        text: Names separated by commas, `ema` or of `AFTER`, as in `"ema,wise_ft"`.

    Raises:
        ValueError: There is no such step.
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip() not in ("", "none")]
    require_steps([name for name in names if name != "ema"])
    return (EMA if "ema" in names else 0.0), tuple(name for name in names if name != "ema")


def require_steps(names: "tuple[str, ...] | list[str]") -> None:
    """Refuse names that are not in `AFTER`.

    Raises:
        ValueError: There is no such step.
    """
    for name in names:
        if name not in AFTER:
            raise unknown("step after training", name, ("ema", *AFTER), ", ".join(("ema", *AFTER)))
