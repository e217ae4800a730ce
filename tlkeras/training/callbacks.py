"""Keras callbacks: keep the best weights, stop on a loss that is not finite, show the table."""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tlkeras.errors import TrainingError
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.task import Task
from tlkeras.training.history import History

log = logging.getLogger("tlkeras")


def is_better(logs: Mapping[str, float], best: Mapping[str, float], task: Task) -> bool:
    """Say whether an epoch is better than the best so far: by the task's metric on validation, by the loss where that ties.

    The loss alone would end fine-tuning too soon: it rises with the confidence of the few wrong answers while accuracy still
    improves. An epoch whose validation loss is not a number is never better.
    """
    if math.isnan(logs.get("val_loss", 0.0)):
        return False
    name, sign = f"val_{task.metric_name}", 1 if task.higher_is_better else -1
    metric, best_metric = sign * logs.get(name, -sign * math.inf), sign * best.get(name, -sign * math.inf)
    if metric != best_metric:
        return metric > best_metric
    return logs.get("val_loss", math.inf) < best.get("val_loss", math.inf)


class BestWeights(keras.callbacks.Callback):
    """Keep the weights of the best epoch, stop when there was none better for `patience` epochs.

    Keras's EarlyStopping forgets its best at every call of `fit`, and restores only when it stopped early.
    """

    def __init__(self, patience: int, task: Task, start: Mapping[str, float] | None = None) -> None:
        """Begin with the scores that the weights have already, from the phase before; none where they are random."""
        super().__init__()
        self.patience, self.task = patience, task
        self.best: dict[str, float] = dict(start or {})
        self.best_epoch = -1
        self.weights: list[Any] | None = None
        self.read: Callable[[], list[Any]] = lambda: self.model.get_weights()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keep the weights of the start, if they count: a phase must not make the model worse."""
        if self.best and self.weights is None:
            self.weights = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compare this epoch with the best so far."""
        if is_better(logs or {}, self.best, self.task):
            self.best, self.best_epoch, self.weights = dict(logs or {}), epoch, self.read()
        elif epoch - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def restore_best(self) -> None:
        """Give the model the best weights; not at the end of `fit`, because a resumed phase takes two calls of it."""
        if self.weights is not None:
            self.model.set_weights(self.weights)

    def get_state(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Return the best so far."""
        return {"best": self.best, "best_epoch": self.best_epoch, "kept": self.weights is not None}, self.weights or []

    def set_state(self, facts: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
        """Go on from the best so far."""
        self.best, self.best_epoch = dict(facts["best"]), facts["best_epoch"]
        self.weights = list(arrays) if facts["kept"] else None


class Plateau(keras.callbacks.Callback):
    """Halve the learning rate when the validation loss has not improved, by 1e-4 or more, for two epochs.

    As Keras's ReduceLROnPlateau does, which forgets what it has seen at every call of `fit`.
    """

    def __init__(self, *, factor: float = 0.5, patience: int = 2, least: float = 1e-4) -> None:
        super().__init__()
        self.factor, self.patience, self.least = factor, patience, least
        self.best, self.waited = math.inf, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the validation loss."""
        loss = (logs or {}).get("val_loss", math.inf)
        if loss < self.best - self.least:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.waited = 0
            for optimizer in each_optimizer(self.model):
                optimizer.learning_rate = keras.ops.convert_to_numpy(optimizer.learning_rate) * self.factor

    def get_state(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Return what was seen; the rate itself is one of the optimizer's variables."""
        return {"best": self.best, "waited": self.waited}, []

    def set_state(self, facts: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
        """Go on from what was seen."""
        self.best, self.waited = facts["best"], facts["waited"]


def each_optimizer(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the optimizers of a model: one, or one for each block."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # within one that scales the loss
    return list(optimizer.optimizers) if isinstance(optimizer, keras.optimizers.MultiOptimizer) else [optimizer]


class StopOnNaN(keras.callbacks.Callback):
    """End training with an explanation as soon as the loss is not a finite number."""

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self.phase = phase
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remember where we are."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the running loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            asked = self.phase.precision
            computed = (
                f" It was computed in {asked}: try --precision bfloat16 or float32." if asked in ("float16", "auto") else ""
            )
            raise TrainingError(
                f"The loss became {loss} in phase {self.phase.name!r}, epoch {self.epoch + 1}, step {batch + 1}: the weights "
                f"are of no use from there on. The learning rate was {self.phase.learning_rate:g}: try --learning-rate "
                f"{self.phase.learning_rate / 3:.1g} or lower; if it stays, look for broken inputs in the data.{computed}"
            )


class Table(keras.callbacks.Callback):
    """One line for each epoch: losses, accuracies, learning rate, seconds, time left; a new best is marked."""

    def __init__(self, phase: Phase, task: Task, history: History, steps: int, best: BestWeights) -> None:
        """Mark what `best`, which sees each epoch before this callback does, has found better."""
        super().__init__()
        self.phase, self.task, self.history, self.steps, self.best = phase, task, history, steps, best
        self.started = self.epoch_started = 0.0
        self.first_epoch: int | None = None
        self.on_terminal = sys.stderr.isatty()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clocks; before the first epoch write the header."""
        self.epoch_started = time.monotonic()
        if self.first_epoch is None:
            self.first_epoch, self.started = epoch, self.epoch_started
            metric = self.task.metric_name
            names = f"{'epoch':>7} {'loss':>8} {metric:>9} {'val loss':>9} {'val ' + metric:>12}"
            log.info(f"{names} {'rate':>9} {'seconds':>8} {'left':>6}")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar, on a terminal only."""
        if self.on_terminal:
            filled = round(24 * (batch + 1) / self.steps)
            loss = (logs or {}).get("loss", math.nan)
            sys.stderr.write(f"\r{'━' * filled}{'╌' * (24 - filled)} step {batch + 1}/{self.steps}  loss {loss:.4f} ")
            sys.stderr.flush()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the line and keep the row."""
        logs = logs or {}
        now = time.monotonic()
        better = self.best.best_epoch == epoch
        rate = max(float(keras.ops.convert_to_numpy(one.learning_rate)) for one in each_optimizer(self.model))  # the head's
        left = (now - self.started) / (epoch + 1 - (self.first_epoch or 0)) * (self.phase.epochs - epoch - 1)
        row = {"phase": self.phase.name, "epoch": epoch + 1, **logs, "learning_rate": rate, "best": int(better)}
        self.history.add({**row, "seconds": round(now - self.epoch_started, 3)})
        if self.on_terminal:
            sys.stderr.write("\r\033[K")
        metric = self.task.metric_name
        columns = (logs.get(name, math.nan) for name in ("loss", metric, "val_loss", f"val_{metric}"))
        loss, score, val_loss, val_score = columns
        log.info(
            f"{epoch + 1:>4}/{self.phase.epochs:<2} {loss:>8.4f} {score:>9.3f} {val_loss:>9.4f} {val_score:>12.3f} "
            f"{rate:>9.2e} {now - self.epoch_started:>8.1f} {_duration(left):>6}{' *' if better else ''}"
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
