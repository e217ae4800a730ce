"""Train the part above the cut by gradient: one phase, from its beginning or from wherever it was broken off."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkeras.strategies.phases import Phase
from tlkeras.tasks.task import Task
from tlkeras.training.batches import eval_batches, train_batches
from tlkeras.training.examples import TrainingData
from tlkeras.training.frozen import FrozenPart, Need
from tlkeras.training.history import History
from tlkeras.training.resume import Place
from tlkeras.training.stopping import Stop, stop_between_steps

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from tlkeras.training.after import AfterPhase


@dataclass(frozen=True)
class Training:
    """What all phases of a training share; see the arguments of `fit`."""

    task: Task
    data: TrainingData
    frozen: FrozenPart
    history: History
    batch_size: int
    callbacks: "Sequence[keras.callbacks.Callback]"
    place: Place | None


def train_phase(
    training: Training, upper: "keras.Model", phase: Phase, number: int, need: Need, seed: int, after: "AfterPhase"
) -> None:
    """Train one phase.

    Args:
        training: What all phases share.
        upper: What `compile_part` returned.
        phase: The phase.
        number: Its number, from 0.
        need: The rows that it reads.
        seed: Seed of the order of the examples.
        after: What follows the phase.
    """
    steps = math.ceil(len(training.data.targets[0]) / training.batch_size)
    lower, rows = training.frozen.lower(need), training.frozen.rows(need)
    validation = eval_batches(rows.val, training.data.val_targets, upper.inputs, batch_size=64, lower=lower)
    balance = training.data.balance

    def batches(start: int) -> "tf.data.Dataset":
        return train_batches(
            rows.views,
            training.data.targets,
            upper.inputs,
            batch_size=training.batch_size,
            seed=seed,
            epochs=phase.epochs,
            start=start,
            weights=balance.weights if balance.mode in ("weights", "sampling") else None,
            sampling=balance.mode == "sampling",
            lower=lower,
        )

    # Without a folder nothing could be kept for later: then being asked to stop means at once, as ever.
    with stop_between_steps() if training.place else nullcontext(Stop()) as stop:
        best, callbacks, start = _callbacks(training, phase, number, steps, upper, validation, stop, after)
        for first, epochs, count in _spans(start, steps, phase.epochs):
            upper.fit(
                batches(first),
                validation_data=validation,
                initial_epoch=first // steps,
                epochs=epochs,
                steps_per_epoch=count,
                shuffle=False,
                callbacks=callbacks,
                verbose=0,
            )
            if upper.stop_training:
                break
    if stop.signal is not None:  # in the phase's last epoch, which the last checkpoint is in or before
        stop.leave()
    if phase.keep == "best":
        best.restore_best()
    else:
        upper.set_weights(best.read())
    after.finish(upper, batches(0).take(steps), validation)


def _spans(start: int, steps: int, epochs: int) -> Iterator[tuple[int, int, int]]:
    """Yield the calls of `fit` from a step on: the first step, the epoch to end with, and the steps in an epoch.

    Keras gives all epochs of a call the same number of steps, so the rest of a broken epoch is a call of its own.
    """
    within = start % steps
    if within:
        yield start, start // steps + 1, steps - within
        start += steps - within
    if start < steps * epochs:
        yield start, epochs, steps


def _callbacks(
    training: Training,
    phase: Phase,
    number: int,
    steps: int,
    upper: "keras.Model",
    validation: Any,
    stop: Stop,
    after: "AfterPhase",
) -> tuple[Any, list[Any], int]:
    """The callback that keeps the best weights, all callbacks, and the step to start from: that of a checkpoint, or 0."""
    from tlkeras.training.averages import MovingAverage
    from tlkeras.training.callbacks import BestWeights, Plateau, StopOnNaN, Table
    from tlkeras.training.progress import KeepPlace

    task, history, place = training.task, training.history, training.place
    best = BestWeights(phase.patience, task, history.last_best() if phase.initialise == "pretrained" else {})
    callbacks = [StopOnNaN(phase), best, Table(phase, task, history, steps, best)]
    if phase.schedule == "plateau":
        callbacks.append(Plateau())
    if phase.ema:
        average = MovingAverage()
        best.read = after.candidates.read = average.averaged
        callbacks.append(average)
    callbacks += [*after.callbacks, *training.callbacks]
    if place is None:
        return best, callbacks, 0
    keep = KeepPlace(place, number, steps, phase.epochs, history, callbacks, stop)
    checkpoint = place.within(number)
    if checkpoint is not None:
        upper.evaluate(validation.take(1), verbose=0)  # makes the variables of the metrics, which Keras makes at first use
        upper.optimizer.build(upper.trainable_variables)
        keep.resume(checkpoint, upper)
    return best, [*callbacks, keep], keep.step
