"""Which weights a phase trains: the only place that writes `trainable`."""

import math
from typing import TYPE_CHECKING

from tlkeras.sources.blocks import batch_normalizations, select_blocks
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel

if TYPE_CHECKING:
    import keras

FROM_SCRATCH_MOMENTUM = 0.9


def set_trainable(model: TransferModel, phase: Phase) -> int:
    """Freeze and unfreeze the blocks as the phase says, and return the lowest segment that trains.

    In Keras 3 only `layer.trainable = False` keeps BatchNormalization in inference mode inside `fit`; `training=False` in the
    graph is overridden. So the policy for BatchNormalization in trainable blocks is written into its layers.
    """
    chosen = set(select_blocks(model.blocks, phase.trainable))
    lowest = len(model.segments) - 1
    for index, segment in enumerate(model.segments):
        train = segment.name in chosen
        _switch(segment.network, train)
        if train:
            lowest = min(lowest, index)
            for layer in batch_normalizations(segment.network):
                _apply_policy(layer, phase)
            if segment.name != "head":
                _keep(segment.network, phase.weights)
    return lowest


def _switch(layer: "keras.layers.Layer", trainable: bool) -> None:
    # Keras ignores an assignment of the value that a layer has already, also for the layers and weights below it.
    layer.trainable = not trainable
    layer.trainable = trainable


def _keep(network: "keras.Model", weights: str) -> None:
    """Of the weights that train, freeze those of other kinds than asked for."""
    if weights == "all":
        return
    names = {"bias": ("bias", "beta"), "norm": ("gamma", "beta")}[weights]
    for variable in network.weights:
        if variable.trainable and variable.name not in names:
            variable.trainable = False


def _apply_policy(layer: "keras.layers.BatchNormalization", phase: Phase) -> None:
    _switch(layer, phase.batch_norm == "train")
    if phase.batch_norm == "affine_only":
        for variable in (layer.gamma, layer.beta):
            if variable is not None:
                variable.trainable = True
    if phase.initialise == "random":
        # MobileNet's 0.999 needs thousands of steps before its statistics mean anything: validation stays at chance.
        layer.momentum = min(layer.momentum, FROM_SCRATCH_MOMENTUM)


def count_trainable(model: TransferModel) -> int:
    """Return the number of parameters that the next `compile` would train."""
    return sum(math.prod(weight.shape) for block in model.blocks for weight in block.network.trainable_weights)
