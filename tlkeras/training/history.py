"""What training did, epoch by epoch."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = ("phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "best")


@dataclass
class History:
    """The rows of the training table; a row is an epoch, with at least the columns of `COLUMNS`."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append an epoch."""
        self.rows.append(dict(row))

    def last_best(self) -> dict[str, float]:
        """Return `val_accuracy` and `val_loss` of the weights that are there now: the last epoch that was marked best."""
        best = [row for row in self.rows if row.get("best")]
        return {name: best[-1][name] for name in ("val_accuracy", "val_loss") if name in best[-1]} if best else {}

    def save(self, path: Path) -> None:
        """Write the rows as CSV; numbers keep full precision."""
        extra = sorted({name for row in self.rows for name in row} - set(COLUMNS))
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*COLUMNS, *extra], restval="")
            writer.writeheader()
            writer.writerows(self.rows)
