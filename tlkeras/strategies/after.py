"""What may follow a phase, as names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkeras.errors import unknown

if TYPE_CHECKING:
    from tlkeras.strategies.phases import Phase

AFTER = ("soup", "wise_ft", "recalibrate")
"""See `Phase.after`."""

EMA = 0.99
"""The momentum that `ema` on a command line means."""

FEW = 200
"""Validation examples below which a model is trained on them as well, once they have chosen; see `tlkeras.refit_few`."""


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


def require_steps(names: Sequence[str]) -> None:
    """Refuse names that are not in `AFTER`.

    Raises:
        ValueError: There is no such step.
    """
    for name in names:
        if name not in AFTER:
            raise unknown("step after training", name, ("ema", *AFTER), ", ".join(("ema", *AFTER)))


def require_refit(phases: "Sequence[Phase]") -> None:
    """Refuse phases that cannot do without validation, before they are trained.

    Raises:
        ValueError: A step or a schedule looks at validation, or two phases have one name.
    """
    if len({phase.name for phase in phases}) < len(phases):
        raise ValueError(f"To be refitted, phases need names of their own. Received: {[phase.name for phase in phases]}")
    for phase in phases:
        if phase.after or phase.schedule == "plateau":
            found = ", ".join([*phase.after, *(["plateau"] if phase.schedule == "plateau" else [])])
            raise ValueError(
                f"A refit has no validation examples, and {found} of phase {phase.name!r} needs them. Leave one out."
            )


def can_refit(phases: "Sequence[Phase]") -> bool:
    """Whether phases can be trained once more without validation; see `require_refit`."""
    try:
        require_refit(phases)
    except ValueError:
        return False
    return True
