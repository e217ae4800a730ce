"""A measure with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A number, the ends of its 95 % confidence interval, and the number of examples behind it."""

    value: float
    low: float
    high: float
    n: int
