"""Findings about a column of times, by which a split would put the newest last."""

from collections.abc import Iterator

import numpy as np

from tlkeras.data.health.finding import Finding
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.table_splits import parse_times


def examine_times(inventory: Inventory) -> Iterator[Finding]:
    """Yield what is wrong with the times of an inventory, if it has any."""
    if not inventory.times:
        return
    times = parse_times(inventory.times)
    bad = np.flatnonzero(np.isnan(times)).tolist()
    if bad:
        yield Finding(
            "no_time",
            "error",
            "Rows without a time that can be read",
            len(bad),
            "Write numbers in all rows, or ISO dates such as 2024-05-31 or 2024-05-31T14:30; or set the rows aside with the "
            "quarantine list.",
            tuple(inventory.offender(row, repr(inventory.times[row]) if inventory.times[row] else "empty") for row in bad),
            quarantine=True,
            explanation="A split by time needs one in every row.",
        )
    parts = np.array(inventory.parts)
    tested = times[(parts == "test") & ~np.isnan(times)]
    late = np.flatnonzero((parts == "train") & (times > tested.min())).tolist() if len(tested) else []
    if late:
        yield Finding(
            "time_leak",
            "warning",
            "Training examples that are newer than the oldest test example",
            len(late),
            "Leave the parts out and let tlkeras split by time, if the model is to work on what comes after.",
            tuple(inventory.offender(row, inventory.times[row]) for row in late),
            explanation="Testing on what is older than the training examples may flatter the result.",
        )
