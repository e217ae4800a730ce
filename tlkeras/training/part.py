"""The part of a network that a phase trains, as a compiled Keras model."""

from typing import TYPE_CHECKING

from tlkeras.sources.blocks import chain
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS
from tlkeras.training.examples import TrainingData
from tlkeras.training.optimizers import build_optimizer

if TYPE_CHECKING:
    import keras


def compile_part(
    model: TransferModel,
    phase: Phase,
    cut: int,
    data: TrainingData,
    steps: int,
    *,
    optimizer: "keras.optimizers.Optimizer | None" = None,
    loss: "keras.losses.Loss | None" = None,
) -> "keras.Model":
    """Return the network above a cut, compiled; Keras reads `trainable` at compile time, so once for each phase.

    Args:
        model: The blocks are frozen and unfrozen already.
        phase: The phase.
        cut: The index of the lowest segment that trains.
        data: Says which loss and metric fit the targets.
        steps: Training steps in an epoch.
        optimizer: Taken, as a fresh copy, instead of the phase's own.
        loss: Taken instead of the task's.
    """
    if optimizer is None:
        optimizer = build_optimizer(model, phase, cut, steps)
    else:
        optimizer = type(optimizer).from_config(optimizer.get_config())
    part = chain(model.segments[cut:], name="trained_part")
    own_loss, metric = loss_and_metric(model, data)
    part.compile(optimizer=optimizer, loss=loss or own_loss, metrics=[metric])
    return part


def loss_and_metric(model: TransferModel, data: TrainingData) -> "tuple[keras.losses.Loss, keras.metrics.Metric]":
    """Return the loss and the metric that fit the task, the balance of the classes, and mixed examples.

    Raises:
        ValueError: Focal loss is to be taken of mixed examples.
    """
    import keras

    from tlkeras.training.balance import SparseFocal

    task = TASKS[model.task]
    if data.balance.mode == "focal":
        if data.mixed:
            raise ValueError(
                "Focal loss needs examples of one class each, and strong augmentation mixes them. Take one of both."
            )
        return SparseFocal(), task.metric()
    if data.mixed:
        return keras.losses.CategoricalCrossentropy(from_logits=True), keras.metrics.CategoricalAccuracy(name=task.metric_name)
    return task.loss(), task.metric()
