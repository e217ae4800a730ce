"""Train the part above the cut by gradient: one phase, from its beginning or from wherever it was broken off."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.adapters import merge_adapters
from tlkeras.training.batches import eval_batches, train_batches
from tlkeras.training.beginning import begin_phase
from tlkeras.training.examples import TrainingData
from tlkeras.training.frozen import FrozenPart, Need
from tlkeras.training.history import History
from tlkeras.training.part import compile_part
from tlkeras.training.precision import chosen_precision, computing_in
from tlkeras.training.resume import Place
from tlkeras.training.stopping import Stop, stop_between_steps

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from tlkeras.training.after import AfterPhase

log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class Training:
    """What all phases of a training share; see the arguments of `fit`.

    Attributes:
        phases: The plan.
        data: What is read.
        frozen: What reaches the trained part of each phase.
        history: Gets a row for each epoch.
        batch_size: Examples in a step.
        seed: The seed of the first phase; that of the next is one more.
        callbacks: Those of the caller.
        place: Where checkpoints go, if they do.
        optimizer: Taken instead of each phase's own.
        loss: Taken instead of the task's.
        reference: What `keep_reference` returned.
    """

    phases: Sequence[Phase]
    data: TrainingData
    frozen: FrozenPart
    history: History
    batch_size: int
    seed: int
    callbacks: "Sequence[keras.callbacks.Callback]"
    place: Place | None
    optimizer: "keras.optimizers.Optimizer | None" = None
    loss: "keras.losses.Loss | None" = None
    reference: Sequence[Sequence[Any]] = ()

    @property
    def steps(self) -> int:
        """Training steps in an epoch."""
        return math.ceil(len(self.data.targets[0]) / self.batch_size)


def train_by_gradient(training: Training, model: TransferModel, number: int, need: Need, part_size: int) -> None:
    """Train one phase of a model, from its beginning or from wherever it was broken off.

    Args:
        training: What all phases share.
        model: The model.
        number: The phase's number, from 0.
        need: The rows that it reads.
        part_size: Examples that go through the network at once; fewer than in a batch where the memory wants it.
    """
    from tlkeras.training.after import AfterPhase

    phase, seed = training.phases[number], training.seed + number
    adapted = begin_phase(model, phase, number, len(training.phases), seed=seed)
    precision = chosen_precision(phase.precision)
    if precision != "float32":
        log.info("It computes in %s; weights, and what is saved, are float32", precision)
    with computing_in(adapted, need.cut, precision):
        upper = compile_part(
            adapted,
            phase,
            need.cut,
            training.data,
            training.steps,
            optimizer=training.optimizer,
            loss=training.loss,
            reference=training.reference,
            seed=seed,
            part_size=part_size if part_size < training.batch_size else None,
            precision=precision,
        )
        _train(training, upper, number, need, AfterPhase(adapted, phase, training.history), part_size)
    merge_adapters(adapted, model)


def _train(training: Training, upper: "keras.Model", number: int, need: Need, after: "AfterPhase", part_size: int) -> None:
    from tlkeras.training.watching import watching

    phase, steps, seed = training.phases[number], training.steps, training.seed + number
    lower, rows = training.frozen.lower(need), training.frozen.rows(need)
    at_once = min(64, part_size) if part_size < training.batch_size else 64
    validation = eval_batches(rows.val, training.data.val_targets, upper.inputs, batch_size=at_once, lower=lower)
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
        best, callbacks, start = _callbacks(training, number, upper, validation, stop, after, part_size)
        with watching(training.place.folder.parent if training.place else None) as watch:
            for first, epochs, count in _spans(start, steps, phase.epochs):
                upper.fit(
                    batches(first),
                    validation_data=validation,
                    initial_epoch=first // steps,
                    epochs=epochs,
                    steps_per_epoch=count,
                    shuffle=False,
                    callbacks=[watch, *callbacks],
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
    number: int,
    upper: "keras.Model",
    validation: Any,
    stop: Stop,
    after: "AfterPhase",
    part_size: int,
) -> tuple[Any, list[Any], int]:
    """The callback that keeps the best weights, all callbacks, and the step to start from: that of a checkpoint, or 0."""
    from tlkeras.training.averages import MovingAverage
    from tlkeras.training.callbacks import BestWeights, Plateau, StopOnNaN, Table
    from tlkeras.training.progress import KeepPlace

    phase, steps, history, place = training.phases[number], training.steps, training.history, training.place
    task = after.task
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
    keep = KeepPlace(place, number, steps, phase.epochs, history, callbacks, stop, part_size)
    checkpoint = place.within(number)
    if checkpoint is not None:
        upper.evaluate(validation.take(1), verbose=0)  # makes the variables of the metrics, which Keras makes at first use
        upper.optimizer.build(upper.trainable_variables)
        keep.resume(checkpoint, upper)
    return best, [*callbacks, keep], keep.step
