"""Columns of a table that test examples are to be sliced by: whatever they hold, as a few values or as numbers."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

MOST_VALUES = 20
"""A column of more values is not sliced by as it is: numbers are put in thirds, of other values the rare ones together."""
MISSING, OTHER = "missing", "other values"


def slice_values(cells: Sequence[str]) -> np.ndarray:
    """Return a column as it is sliced by, shape `(n,)`.

    Up to 20 values stay as they are, str; an empty cell is "missing". More are float64 where all are numbers (NaN where there
    is none), and else the 19 most frequent ones and "other values".
    """
    plain = [cell.strip() for cell in cells]
    counts = Counter(plain)
    if len(counts) > MOST_VALUES:
        numbers = [_number(cell) for cell in plain]
        if all(number is not None for number in numbers):
            return np.array(numbers, np.float64)
        kept = {value for value, _ in counts.most_common(MOST_VALUES - 1)}
        plain = [cell if cell in kept else OTHER for cell in plain]
    return np.array([cell or MISSING for cell in plain])


def _number(cell: str) -> float | None:
    try:
        number = float(cell) if cell else float("nan")
    except ValueError:
        return None
    return number if np.isfinite(number) or not cell else None
