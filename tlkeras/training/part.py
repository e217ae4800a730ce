"""The part of a network that a phase trains, as a compiled Keras model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block
from tlkeras.strategies.penalties import NONE
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS
from tlkeras.training.examples import TrainingData
from tlkeras.training.optimizers import build_optimizer
from tlkeras.training.precision import with_loss_scale

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
    reference: Sequence[Sequence[Any]] = (),
    seed: int = 0,
    part_size: int | None = None,
    precision: str = "float32",
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
        reference: What `keep_reference` returned.
        seed: Seed of dropout, where the phase has a dropout of its own.
        part_size: Let a step go through its batch in parts of so many examples; whole if not given.
        precision: What the network computes in now; float16 needs a scaled loss.
    """
    if optimizer is None:
        optimizer = build_optimizer(model, phase, cut, steps)
    else:
        optimizer = type(optimizer).from_config(optimizer.get_config())
    own_loss, metric = loss_and_metric(model, data)
    part = _build_part(model, phase, cut, data, reference, seed, part_size)
    # XLA, which Keras takes on a GPU, wants parts whose size it knows beforehand.
    compiler: Any = {} if part_size is None else {"jit_compile": False}
    part.compile(optimizer=with_loss_scale(optimizer, precision), loss=loss or own_loss, metrics=[metric], **compiler)
    # Else the first step makes the optimizer's variables, and TensorFlow then traces the whole step a second time.
    part.optimizer.build(part.trainable_variables)
    return part


def keep_reference(model: TransferModel, phases: Sequence[Phase]) -> list[list[Any]]:
    """Return a copy of the weights that the blocks of the source begin with, if a phase's penalties need them.

    To be called before any phase has trained: a training that is resumed begins with the same source.
    """
    if not any(phase.penalties.need_reference for phase in phases):
        return []
    return [block.network.get_weights() for block in model.source.blocks]


def _build_part(
    model: TransferModel,
    phase: Phase,
    cut: int,
    data: TrainingData,
    reference: Sequence[Sequence[Any]],
    seed: int,
    part_size: int | None,
) -> "keras.Model":
    penalties = phase.penalties
    if penalties == NONE and part_size is None:
        return chain(model.segments[cut:], name="trained_part")
    from tlkeras.training.accumulation import AccumulatedPart
    from tlkeras.training.penalized import PenalizedPart, build_penalized, smoothed_loss

    focal = data.balance.mode == "focal"
    head = model.head if penalties.dropout is None else _head_with_dropout(model.head, penalties.dropout, seed)
    part = build_penalized(model, phase, cut, head, reference, PenalizedPart if part_size is None else AccumulatedPart)
    if isinstance(part, AccumulatedPart):
        part.size = part_size or 1
    part.smoothed = smoothed_loss(model.task, penalties.label_smoothing, mixed=data.mixed, focal=focal)
    return part


def _head_with_dropout(head: Block, rate: float, seed: int) -> Block:
    """The same dense layer under another dropout; the model's own head stays as it is."""
    import keras

    features = keras.Input(head.network.input.shape[1:], name="features")
    logits = head.network.get_layer("logits")(keras.layers.Dropout(rate, seed=seed)(features))
    return Block(head.name, keras.Model(features, logits, name="head"))


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
