"""What one training came to: scores on each test example, cost, and the way there."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkeras.files import plain


@dataclass(frozen=True)
class Step:
    """An epoch on the way: what it had cost since the start, and how good it was.

    Attributes:
        epochs: Passes over the training examples so far; 0 for a closed form.
        seconds: Wall time so far, what was computed before the first epoch included.
        macs: Multiply-accumulate operations so far; None where they are not counted.
        loss: On the training examples.
        val_loss: On the validation examples.
        score: The task's metric on the training examples, as measured in training.
        val_score: The same on the validation examples.
    """

    epochs: int
    seconds: float
    macs: float | None
    loss: float
    val_loss: float
    score: float
    val_score: float


@dataclass(frozen=True)
class Outcome:
    """What one training came to.

    Attributes:
        scores: For each test example, float, shape `(n,)`, higher is better; see `score` of the tasks' modules.
        train_score: The mean score on (at most 1,000) training examples after training.
        val_score: The mean score on the validation examples.
        n_train: The number of training examples.
        seconds: Wall time of training.
        peak_bytes: The most memory that the process had while training, above what it had before.
        trained: The number of parameters that were trained; None where there is no network.
        steps: The way there; empty where there is no network.
    """

    scores: np.ndarray
    train_score: float
    val_score: float
    n_train: int
    seconds: float
    peak_bytes: int
    trained: int | None = None
    steps: tuple[Step, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` reads them back."""
        return dict(plain(self))

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Outcome":
        """Read back what `to_json` wrote; a number that was not finite comes back as NaN."""
        steps = tuple(Step(**{name: _number(name, value) for name, value in step.items()}) for step in values["steps"])
        return Outcome(**{**values, "scores": np.array(values["scores"], float), "steps": steps})


def _number(name: str, value: Any) -> Any:
    return float("nan") if value is None and name != "macs" else value


class Meter:
    """Measures wall time and the peak of memory between entering and leaving."""

    def __init__(self, *, every: float = 0.05) -> None:
        """Begin nothing yet; `every` is the time between two looks at the memory, in seconds."""
        self.every, self.seconds, self.peak_bytes = every, 0.0, 0

    def __enter__(self) -> "Meter":
        """Start the clock and a thread that looks at the memory."""
        import psutil

        process = psutil.Process()
        before, self._done = process.memory_info().rss, threading.Event()

        def watch() -> None:
            while not self._done.wait(self.every):
                self.peak_bytes = max(self.peak_bytes, process.memory_info().rss - before)

        self._thread = threading.Thread(target=watch, daemon=True)
        self._thread.start()
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        self.seconds = time.monotonic() - self._started
        self._done.set()
        self._thread.join()
