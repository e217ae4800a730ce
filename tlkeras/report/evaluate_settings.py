"""The flags of `tlkeras evaluate`; apart from the rest, because every help text needs them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluateSettings:
    """Everything that can be set; each field is a flag of `tlkeras evaluate`."""

    robustness: bool = False
    """Spoil test inputs (blur, noise, JPEG, brightness; typos, capitals) ever more and measure."""
    privacy: bool = False
    """Attack the model: can its training examples be told from others by its answers."""
    forgetting: bool = False
    """Load the source model again and measure how far its features have drifted, and its own task where that is at hand."""
    slice: str | None = None
    """Columns of the run's table (`site,camera`) on whose values the model is measured apart."""
    fairness: str | None = None
    """Columns of predictions.csv (without `column:`, as `site,age`) whose groups are compared; needs the extra `fairness`."""
    foreign: str | None = None
    """Folder of pictures or table of texts that belong to no class: how often is the answer "none of these"."""
    seed: int = 0
    """Seed of samples, corruptions and bootstrap."""
