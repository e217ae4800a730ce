"""What training did, epoch by epoch."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("phase", "epoch", "loss", "val_loss", "learning_rate", "seconds", "best")


@dataclass
class History:
    """The rows of the training table; a row is an epoch, with the columns of `COLUMNS` and those of the metric.

    `start` holds the weights that the training began with, where `fit` was asked to keep them.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    start: list[np.ndarray] | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Append an epoch."""
        self.rows.append(dict(row))

    def last_best(self) -> dict[str, float]:
        """Return the validation scores of the weights that are there now: those of the last epoch that was marked best."""
        best = [row for row in self.rows if row.get("best")]
        return {name: value for name, value in best[-1].items() if name.startswith("val_")} if best else {}

    def save(self, path: Path) -> None:
        """Write the rows as CSV; numbers keep full precision."""
        metrics = sorted({name for row in self.rows for name in row} - set(COLUMNS))
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*COLUMNS[:4], *metrics, *COLUMNS[4:]], restval="")
            writer.writeheader()
            writer.writerows(self.rows)
