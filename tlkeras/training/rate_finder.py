"""Find a learning rate: a short sweep over rising rates, and what the loss does."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from tlkeras.data.examples import Splits
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.batches import train_batches
from tlkeras.training.callbacks import each_optimizer
from tlkeras.training.examples import read_training_data
from tlkeras.training.fit import fit
from tlkeras.training.freezing import set_trainable
from tlkeras.training.frozen import FrozenPart, Need
from tlkeras.training.part import compile_part, keep_reference

log = logging.getLogger("tlkeras")
SMOOTHING = 0.9
TOO_HIGH = 4.0
"""The sweep ends where the loss is that many times its lowest."""


@dataclass(frozen=True)
class RateSweep:
    """What the loss did as the rate rose.

    Attributes:
        phase: The phase that was tried.
        rates: The rate of each step (of the head, where rates fall with depth), float64, shape `(steps,)`.
        losses: The training loss of each step, smoothed, float64, shape `(steps,)`.
        suggestion: A rate to take as the phase's peak.
        reason: Why, in words.
    """

    phase: Phase
    rates: np.ndarray
    losses: np.ndarray
    suggestion: float
    reason: str


def lr_find(
    model: TransferModel,
    splits: Splits,
    phases: Sequence[Phase],
    *,
    batch_size: int = 32,
    seed: int = 0,
    balance: str = "auto",
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
) -> RateSweep:
    """Raise the learning rate of the first phase that trains by gradient from step to step (Smith 2017).

    The model stays as it is. Phases before this one, which solve the head, are done first. The suggestion lies half way down
    the longest fall of the loss (fastai's "valley"). Where the loss hardly falls, because the head was solved already, it is a
    tenth of the rate at which the loss begins to rise.

    Args:
        model: As for `fit`; its weights are put back.
        splits: As for `fit`; only training examples are looked at, and validation examples where a head is solved.
        phases: As for `fit`.
        batch_size: Examples in a step.
        seed: As for `fit`.
        balance: As for `fit`.
        low: The first rate.
        high: The last rate.
        steps: The number of steps.

    Raises:
        ValueError: No phase trains by gradient.
    """
    index = next((number for number, phase in enumerate(phases) if phase.solver == "gradient"), None)
    if index is None:
        raise ValueError("No phase trains by gradient: the head is solved in closed form and has no learning rate.")
    before = model.network.get_weights()
    phase = replace(phases[index], schedule="constant", augment="none", learning_rate=low)
    reference = keep_reference(model, [phase])
    try:
        if index:
            fit(model, splits, phases[:index], batch_size=batch_size, seed=seed, balance=balance)
        rates, losses = _sweep(model, splits, phase, reference, batch_size, seed, balance, high, steps)
    finally:
        model.network.set_weights(before)
    suggestion, reason = suggest(rates, losses)
    return RateSweep(phases[index], rates, losses, suggestion, reason)


def _sweep(
    model: TransferModel,
    splits: Splits,
    phase: Phase,
    reference: list,
    batch_size: int,
    seed: int,
    balance: str,
    high: float,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    from tlkeras.training.adapters import with_adapters

    cut = set_trainable(model, phase)
    adapted = with_adapters(model, phase, seed=seed)
    plain = [replace(phase, augment="none")]
    data = read_training_data(model, splits, plain, balance=balance, flip=False, views=1, seed=seed)
    frozen = FrozenPart(model.segments, data.views, data.val)
    rows, lower = frozen.rows(Need(cut)), frozen.lower(Need(cut))
    part = compile_part(adapted, phase, cut, data, steps, reference=reference, seed=seed)
    epochs = math.ceil(steps / math.ceil(len(data.targets[0]) / batch_size))
    weights = data.balance.weights if data.balance.mode == "weights" else None
    batches = train_batches(
        rows.views,
        data.targets,
        part.inputs,
        batch_size=batch_size,
        seed=seed,
        epochs=epochs,
        weights=weights,
        lower=lower,
    )
    sweep = _Sweep(phase.learning_rate, high, steps)
    part.fit(batches, epochs=1, steps_per_epoch=steps, callbacks=[sweep], shuffle=False, verbose=0)
    return np.array(sweep.rates), np.array(sweep.losses)


class _Sweep(keras.callbacks.Callback):
    """Multiply the rate by the same number after each step, and keep the smoothed loss."""

    def __init__(self, low: float, high: float, steps: int) -> None:
        super().__init__()
        self.low, self.factor = low, (high / low) ** (1 / max(1, steps - 1))
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.mean = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Keep this step's loss and go on to the next rate."""
        loss = (logs or {}).get("loss", math.nan)
        self.model.reset_metrics()  # Keras logs the mean over the epoch so far
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self.mean = SMOOTHING * self.mean + (1 - SMOOTHING) * loss
        self.losses.append(self.mean / (1 - SMOOTHING ** (batch + 1)))
        self.rates.append(self.low * self.factor**batch)
        if self.losses[-1] > TOO_HIGH * min(self.losses):
            self.model.stop_training = True
        for one in each_optimizer(self.model):
            one.learning_rate = float(keras.ops.convert_to_numpy(one.learning_rate)) * self.factor


def suggest(rates: np.ndarray, losses: np.ndarray) -> tuple[float, str]:
    """Return a rate, and why it was taken; see `lr_find`."""
    lowest = int(np.argmin(losses))
    start = float(np.median(losses[: max(1, len(losses) // 5)]))
    if losses[lowest] < 0.95 * start:
        return float(rates[_valley(losses[: lowest + 1])]), "half way down the longest fall of the loss"
    rising = np.flatnonzero(losses > 1.1 * start)
    where = rates[rising[0]] if len(rising) else rates[-1]
    return float(where) / 10, "the loss hardly falls from where it begins; a tenth of the rate at which it rises"


def _valley(losses: np.ndarray) -> int:
    """The middle of the longest falling subsequence (fastai's `valley`)."""
    longest = np.ones(len(losses), int)
    for i in range(1, len(losses)):
        longer = losses[:i] > losses[i]
        if longer.any():
            longest[i] = longest[:i][longer].max() + 1
    end = int(np.argmax(longest))
    return end - int(longest[end]) // 2
