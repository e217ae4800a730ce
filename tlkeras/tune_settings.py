"""The flags of `tlkeras tune` beside those of the recipe; apart from the rest, because every help text needs them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TuneSettings:
    """How to search."""

    trials: int = 20
    """Trainings in all, those of an earlier call with the same output included."""
    minutes: float | None = None
    """Begin no further training after so many minutes."""
    search: tuple[str, ...] = ()
    """What to vary: `learning_rate=1e-4..1e-2` (a range) or `strategy=fine_tune,lora` (choices), separated by spaces; the
    learning rate, the batch size and three strategies if not given."""
