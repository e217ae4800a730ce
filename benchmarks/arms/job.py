"""What every arm of a comparison shares: its job, its clock, its limit, its peak memory. Standard library only.

An arm is a script that its own environment's Python runs, with a job as JSON; it writes what it reached as JSON lines.
"""

import csv
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def processor_seconds() -> float:
    """Return the seconds that all cores have worked for this process and for its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class OutOfTimeError(Exception):
    """The arm has used up its seconds."""


class Job:
    """One run of one arm; create it when everything is imported, because that starts the clock.

    The job's entries: `data` (a folder with `train`, `val`, `test`: folders of classes, or CSV files), `size` (pixels or
    tokens), `seed`, `limit` (seconds), `weights` (file or folder), `test` (whether the test part is to be predicted), `results`
    (file to write), and the arm's own.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Any] = json.loads(sys.argv[1])
        self.data, self.seed = Path(self.entries["data"]), int(self.entries["seed"])
        self.size, self.limit = int(self.entries["size"]), float(self.entries["limit"])
        self.results = Path(self.entries["results"])
        self.started, self.processor_started = time.monotonic(), processor_seconds()

    def reached(self, accuracy: float, what: str) -> None:
        """Write a validation accuracy and the seconds since the imports; end the arm where its time is up."""
        seconds = time.monotonic() - self.started
        processor = processor_seconds() - self.processor_started
        self._write({"seconds": seconds, "processor_seconds": processor, "val_accuracy": float(accuracy), "what": what})
        if seconds > self.limit:
            raise OutOfTimeError(f"{self.limit:.0f} s are over")  # fastai wants to read a message

    def done(self, **found: Any) -> None:
        """Write the peak memory of this process and of its largest child, in MB, and what else was found."""
        kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        self._write({"total_seconds": time.monotonic() - self.started, "peak_mb": kilobytes / 1024, **found})

    def table(self, part: str) -> tuple[list[str], list[str]]:
        """Return texts and labels of a part."""
        with (self.data / f"{part}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return [row["text"] for row in rows], [row["label"] for row in rows]

    def _write(self, row: dict[str, Any]) -> None:
        with self.results.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
