"""A Keras callback that keeps a training's place: within an epoch now and then, at its end, and when asked to stop."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tlkeras.training.checkpoints import Checkpoint, Position
from tlkeras.training.history import History
from tlkeras.training.resume import Place, Resumable, arrays, assign
from tlkeras.training.stopping import Stop

SHARE = 0.02
"""The share of the time that checkpoints may take."""


class KeepPlace(keras.callbacks.Callback):
    """Write checkpoints, and set a training to one; it comes last of the callbacks, when all others have seen the epoch.

    A checkpoint within an epoch holds all that the rest of the phase follows from: weights, statistics and seeds of the trained
    part, the optimizer, the running metrics, the history, and the state of all callbacks that are `Resumable`.
    """

    def __init__(
        self,
        place: Place,
        phase: int,
        steps: int,
        epochs: int,
        history: History,
        others: Sequence[keras.callbacks.Callback],
        stop: Stop,
        part_size: int,
    ) -> None:
        super().__init__()
        self.part_size = part_size
        self.place, self.phase, self.steps, self.epochs = place, phase, steps, epochs
        self.history, self.stop = history, stop
        self.others = [callback for callback in others if isinstance(callback, Resumable)]
        self.step = 0
        self.cost, self.saved = 0.0, time.monotonic()
        self.resumed: Checkpoint | None = None

    def resume(self, checkpoint: Checkpoint, network: keras.Model) -> None:
        """Set everything but the callbacks and metrics, which `fit` itself resets first, to what it was."""
        self.resumed, self.step = checkpoint, checkpoint.position.step
        assign(network.variables, checkpoint.arrays, "variable")
        assign(network.optimizer.variables, checkpoint.arrays, "optimizer")
        self.history.rows = list(checkpoint.facts["history"])

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Set the callbacks to what they were."""
        if self.resumed is not None:
            for index, callback in enumerate(self.others):
                prefix = f"callback{index}_"
                names = sorted(name for name in self.resumed.arrays if name.startswith(prefix))
                callback.set_state(self.resumed.facts["callbacks"][index], [self.resumed.arrays[name] for name in names])

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the metrics to what they were when the epoch was broken off."""
        if self.resumed is not None and self.step % self.steps:
            assign(self.model.metrics_variables, self.resumed.arrays, "metric")
        self.resumed = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the place if it is time to; at the last step of an epoch, validation comes first."""
        self.step += 1
        if self.step % self.steps == 0:
            return
        since = time.monotonic() - self.saved
        if self.stop.signal is not None or (since >= self.place.save_every and since >= self._pause()):
            self.save()
        if self.stop.signal is not None:
            self.stop.leave()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the place, unless this was the last epoch: then the phase is about to be finished and kept."""
        last = self.model.stop_training or epoch + 1 == self.epochs
        if not last and (self.stop.signal is not None or time.monotonic() - self.saved >= self._pause()):
            self.save()
        if not last and self.stop.signal is not None:
            self.stop.leave()

    def save(self) -> None:
        """Write a checkpoint of now, if the weights are finite numbers."""
        started = time.monotonic()
        kept = {**arrays(self.model.variables, "variable"), **arrays(self.model.optimizer.variables, "optimizer")}
        kept |= arrays(self.model.metrics_variables, "metric")
        if not all(np.isfinite(value).all() for value in kept.values()):
            return
        states = [callback.get_state() for callback in self.others]
        for index, (_, values) in enumerate(states):
            kept |= {f"callback{index}_{number:04d}": value for number, value in enumerate(values)}
        facts: dict[str, Any] = {"history": self.history.rows, "callbacks": [state for state, _ in states]}
        facts["part_size"] = self.part_size
        self.place.write(Checkpoint(Position(self.phase, self.step), kept, facts))
        self.saved = time.monotonic()
        self.cost = self.saved - started

    def _pause(self) -> float:
        """How long to train before the next checkpoint, for the last one to have been cheap."""
        return self.cost / SHARE if self.place.save_every else 0.0
