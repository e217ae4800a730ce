"""A training that no longer goes on says so: where its input hangs, TensorFlow waits for ever and in silence."""

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

log = logging.getLogger("tlkeras")

LEAST_SECONDS = 300.0
TIMES_A_STEP = 10.0
"""A step is late after that many times the median of the steps before, or after `LEAST_SECONDS`, whichever is longer."""


class Watch(keras.callbacks.Callback):
    """Warn once when there was no step for long, and write where all threads are, so that one sees what hangs.

    It ends nothing: a network file system may come back, and a first step on a GPU may take minutes to compile.
    """

    def __init__(self, folder: Path | None) -> None:
        """Take the folder that `stacks.txt` goes to; without one the stacks are not written."""
        super().__init__()
        self.folder = folder
        self.last, self.steps = time.monotonic(), [0.0]
        self.done = threading.Event()

    def limit(self) -> float:
        """Return the seconds after which a step is late."""
        return max(LEAST_SECONDS, TIMES_A_STEP * float(np.median(self.steps[-100:])))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Note a step."""
        now = time.monotonic()
        self.steps.append(now - self.last)
        del self.steps[:-100]
        self.last = now

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Note a step of validation."""
        self.last = time.monotonic()

    def wait(self) -> None:
        """Watch until `done` is set or a step is late."""
        while not self.done.wait(min(1.0, LEAST_SECONDS / 4)):
            waited = time.monotonic() - self.last
            if waited > self.limit():
                self._tell(waited)
                return

    def _tell(self, waited: float) -> None:
        where = ""
        if self.folder is not None:
            path = self.folder / "stacks.txt"
            with path.open("w", encoding="utf-8") as stream:
                faulthandler.dump_traceback(stream, all_threads=True)
            where = f" {path} says where each thread is."
        log.warning(
            "There was no training step for %.0f seconds: most likely reading the data hangs (a network drive, say)."
            "%s If nothing moves any more, end it with kill -9 %d, and go on with the same command and --resume.",
            *(waited, where, os.getpid()),
        )


@contextmanager
def watching(folder: Path | None) -> Iterator[Watch]:
    """Within the block, watch from a thread; give its callback to `keras.Model.fit`."""
    watch = Watch(folder)
    threading.Thread(target=watch.wait, daemon=True, name="tlkeras watch").start()
    try:
        yield watch
    finally:
        watch.done.set()
