"""What follows a phase: greedy soup, WiSE-FT, statistics computed anew; each is kept where it is better on validation."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tlkeras.sources.blocks import batch_normalizations
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS
from tlkeras.tasks.task import Task
from tlkeras.training.callbacks import is_better
from tlkeras.training.history import History
from tlkeras.training.recalibrate import recalibrate

log = logging.getLogger("tlkeras")

SOUP_OF = 3
"""The checkpoints that a soup is made of, at most."""

SHARES = tuple(round(0.1 * step, 1) for step in range(11))
"""The shares of the fine-tuned weights that WiSE-FT tries."""

Weights = list[np.ndarray]


class Candidates(keras.callbacks.Callback):
    """Keep the weights that a phase begins with and those of its best epochs; the state survives a stop."""

    def __init__(self, task: Task, count: int) -> None:
        super().__init__()
        self.task, self.count = task, count
        self.start: Weights = []
        self.best: list[tuple[dict[str, float], Weights]] = []
        self.read: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keep the weights of the beginning."""
        if not self.start:
            self.start = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep this epoch's weights if it is one of the best."""
        place = sum(not is_better(logs or {}, scores, self.task) for scores, _ in self.best)
        if place < self.count:
            weights = self.read() if self.read else self.model.get_weights()
            self.best.insert(place, (dict(logs or {}), weights))
            del self.best[self.count :]

    def get_state(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Return all weights, those of the beginning first."""
        arrays = [array for weights in (self.start, *(weights for _, weights in self.best)) for array in weights]
        return {"scores": [scores for scores, _ in self.best]}, arrays

    def set_state(self, facts: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
        """Go on from what `get_state` returned."""
        size = len(arrays) // (1 + len(facts["scores"]))
        parts = [list(arrays[first : first + size]) for first in range(0, len(arrays), size)] if size else [[]]
        self.start, self.best = parts[0], list(zip(map(dict, facts["scores"]), parts[1:], strict=True))


class AfterPhase:
    """The steps that follow one phase."""

    def __init__(self, model: TransferModel, phase: Phase, history: History) -> None:
        """Take the model whose blocks the phase trains, and the history that the steps add a row to."""
        self.model, self.phase, self.history, self.task = model, phase, history, TASKS[model.task]
        self.candidates = Candidates(self.task, SOUP_OF if "soup" in phase.after else 0)

    @property
    def callbacks(self) -> list[keras.callbacks.Callback]:
        """What has to watch the training."""
        return [self.candidates] if set(self.phase.after) & {"soup", "wise_ft"} else []

    def finish(self, part: keras.Model, batches: "Iterable[Any]", validation: Any) -> None:
        """Take each step on the trained part, which holds the phase's best weights."""
        for step in self.phase.after:
            started = time.monotonic()
            own = part.get_weights()
            scores = self._score(part, validation)
            if step == "soup":
                tried = self._soup(part, batches, validation)
            elif step == "wise_ft":
                tried = self._wise_ft(part, own, batches, validation)
            else:
                tried = self._recalibrated(part, batches, validation)
            found, weights, what = tried
            better = weights is not None and is_better(found, scores, self.task)
            part.set_weights(weights if better and weights is not None else own)
            row = {"phase": f"{self.phase.name}: {step}", "epoch": 1, **found, "best": int(better)}
            self.history.add({**row, "seconds": round(time.monotonic() - started, 3)})
            name = f"val_{self.task.metric_name}"
            kept = "kept" if better else "not better: left out"
            log.info("%s, %s: validation %.3f, before %.3f; %s", step, what, found[name], scores[name], kept)

    def _score(self, part: keras.Model, validation: Any) -> dict[str, float]:
        scores = part.evaluate(validation, verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in scores.items()}

    def _try(self, part: keras.Model, weights: Weights, batches: Any, validation: Any, *, mixed: bool) -> dict[str, float]:
        part.set_weights(weights)
        if mixed and self.phase.batch_norm == "train":
            self._recalibrate(part, batches)  # averaged statistics are not those of averaged weights
        return self._score(part, validation)

    def _soup(self, part: keras.Model, batches: Any, validation: Any) -> tuple[dict[str, float], Weights | None, str]:
        """Greedy soup (Wortsman et al. 2022): from the best checkpoint on, each joins the average if it does not hurt."""
        (best, first), *others = self.candidates.best
        members, kept = [first], first
        for _, weights in others:
            mixture = mean_weights([*members, weights])
            scores = self._try(part, mixture, batches, validation, mixed=True)
            if not is_better(best, scores, self.task):
                members, best, kept = [*members, weights], scores, part.get_weights()
        return self._try(part, kept, batches, validation, mixed=False), kept, f"{len(members)} checkpoints"

    def _wise_ft(
        self, part: keras.Model, own: Weights, batches: Any, validation: Any
    ) -> tuple[dict[str, float], Weights | None, str]:
        """Interpolate between the beginning of the phase and its end (WiSE-FT; Wortsman et al. 2022)."""
        best: tuple[dict[str, float], Weights | None, float] = ({}, None, 1.0)
        for share in SHARES:
            weights = interpolate(self.candidates.start, own, share)
            scores = self._try(part, weights, batches, validation, mixed=0 < share < 1)
            if best[1] is None or is_better(scores, best[0], self.task):
                best = scores, part.get_weights(), share
        return best[0], best[1], f"{best[2]:.0%} fine-tuned"

    def _recalibrated(self, part: keras.Model, batches: Any, validation: Any) -> tuple[dict[str, float], Weights | None, str]:
        self._recalibrate(part, batches)
        return self._score(part, validation), part.get_weights(), "statistics of the training examples"

    def _recalibrate(self, part: keras.Model, batches: Any) -> None:
        trained = [block.network for block in self.model.source.blocks if block.network.trainable]
        recalibrate(part, [layer for network in trained for layer in batch_normalizations(network)], batches)


def mean_weights(members: Sequence[Weights]) -> Weights:
    """Return the mean of the weights of several networks; what does not consist of real numbers is that of the first."""
    return [_mixed(arrays, [1 / len(members)] * len(members)) for arrays in zip(*members, strict=True)]


def interpolate(start: Weights, end: Weights, share: float) -> Weights:
    """Return weights at a share of the way from `start` to `end`, which are returned exactly at 0 and 1."""
    if share in (0, 1):
        return list(end if share else start)
    return [_mixed(arrays, [1 - share, share]) for arrays in zip(start, end, strict=True)]


def _mixed(arrays: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    if not np.issubdtype(arrays[0].dtype, np.floating):
        return arrays[0]  # seeds of dropout
    total = sum(share * array.astype(np.float64) for array, share in zip(arrays, shares, strict=True))
    return np.asarray(total).astype(arrays[0].dtype)
