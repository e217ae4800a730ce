"""Quantisation-aware fine-tuning: the top of a network learns to answer in 8 bits as it did in 32."""

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.export.simulated import kernels, round_kernel, simulate
from tlkeras.sources.blocks import select_blocks

if TYPE_CHECKING:
    import keras

    from tlkeras.data.examples import Examples
    from tlkeras.tasks.model import TransferModel

_log = logging.getLogger("tlkeras")
TUNED = "top:2"
"""The blocks that are fine-tuned."""


def fine_tune_for_int8(
    model: "TransferModel",
    examples: "Examples",
    *,
    trainable: str = TUNED,
    epochs: int = 6,
    learning_rate: float = 1e-4,
    batch_size: int = 32,
    most: int = 4000,
    seed: int = 0,
) -> "TransferModel":
    """Fine-tune a copy of a model with the rounding of full int8 simulated; the model itself stays as it is.

    The copy learns to give the outputs of the model in 32 bits, so it needs no labels and stays the model that was evaluated
    (distillation, Hinton et al. 2015; for quantisation, Mishra and Marr 2018). BatchNormalization keeps its statistics.

    Args:
        model: A trained model of pictures.
        examples: Training examples.
        trainable: The blocks that learn, see `select_blocks`; all of the network is rounded.
        epochs: Passes over the examples; fewer, but at least one, where they would read more pictures than `most`.
        learning_rate: The peak; a cosine takes it to zero. With 1e-3 MobileNetV2 became worse, with 1e-4 better.
        batch_size: Pictures in a step; ranges of activations are those of a batch.
        most: The most pictures that all epochs together read.
        seed: Seed of the order.
    """
    import keras

    from tlkeras.features.engine import run_network
    from tlkeras.features.inputs import read_inputs

    started = time.monotonic()
    random = np.random.default_rng(seed)
    examples = examples.take(np.sort(random.permutation(len(examples))[:most]))
    rows = read_inputs(examples, model.source)
    (answers,) = run_network(model.network, [rows])
    copy = keras.models.clone_model(model.network)
    copy.set_weights(model.network.get_weights())
    chosen = _places(model, trainable)
    tuned = [weight for place, weight in enumerate(copy.weights) if place in chosen]
    epochs = max(1, min(epochs, most // len(rows)))
    steps = epochs * -(-len(rows) // batch_size)
    step = _step(copy, tuned, model, keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)))
    for _ in range(epochs):
        order = random.permutation(len(rows))
        losses = [
            float(step(rows.batch(batch).astype(np.float32), answers.batch(batch)))
            for batch in np.array_split(order, -(-len(rows) // batch_size))
        ]
    _log.info(
        "Fine-tuned %s for int8 on %d pictures, %d epochs: difference %.2g, %.1f s",
        trainable, len(rows), epochs, np.mean(losses), time.monotonic() - started,
    )  # fmt: skip
    return _in_place(model, copy)


def _in_place(model: "TransferModel", copy: "keras.Model") -> "TransferModel":
    """Return the model with a copy of its network, whose layers between input and activation are the segments."""
    parts = [replace(one, network=layer) for one, layer in zip(model.segments, copy.layers[1:-1], strict=True)]
    *blocks, pool, head = parts
    return replace(model, network=copy, source=replace(model.source, blocks=tuple(blocks)), pool=pool, head=head)


def count_tuned(model: "TransferModel", trainable: str = TUNED) -> int:
    """Return behind how many kernels everything stays what it was: those of the chosen blocks, the head, and the familiar."""
    chosen, rounded = _places(model, trainable), {id(weight) for weight, _ in kernels(model.network)}
    tuned = sum(place in chosen and id(weight) in rounded for place, weight in enumerate(model.network.weights))
    return tuned + (model.familiar is not None)


def _places(model: "TransferModel", trainable: str) -> set[int]:
    """Return the places of the chosen blocks' weights in the network's list, statistics left out."""
    names = select_blocks(model.blocks, trainable)
    weights = [weight for block in model.blocks if block.name in names for weight in block.network.weights]
    chosen = {id(weight) for weight in weights if weight.name not in ("moving_mean", "moving_variance", "seed_generator_state")}
    return {place for place, weight in enumerate(model.network.weights) if id(weight) in chosen}


def _step(copy: "keras.Model", tuned: list[Any], model: "TransferModel", optimizer: "keras.optimizers.Optimizer") -> Any:
    """Return a function of pixels and wanted outputs that takes a step and returns the loss before it."""
    import tensorflow as tf

    network, rounded = simulate(copy), {id(weight): axes for weight, axes in kernels(copy)}
    optimizer.build(tuned)
    variables = [weight.value for weight in tuned]

    def value(weight: Any) -> Any:
        return round_kernel(weight.value, rounded[id(weight)]) if id(weight) in rounded else weight.value

    @tf.function(reduce_retracing=True)
    def step(pixels: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(variables)
            trained = [value(weight) for weight in network.trainable_variables]
            others = [value(weight) for weight in network.non_trainable_variables]
            outputs, _ = network.stateless_call(trained, others, pixels, training=False)
            loss = _difference(model, wanted, outputs)
        optimizer.apply(tape.gradient(loss, variables), tuned)
        return loss

    return step


def _difference(model: "TransferModel", wanted: Any, outputs: Any) -> Any:
    """Return how far outputs are from those wanted: Kullback-Leibler divergence; for values, squared deviations."""
    from keras import ops

    if model.task == "regression":
        return ops.mean(ops.square((outputs - wanted) / model.scale[1]))
    divergence = ops.sum(wanted * (ops.log(wanted + 1e-7) - ops.log(outputs + 1e-7)), axis=-1)
    if model.task == "multi_label":
        divergence += ops.sum((1 - wanted) * (ops.log(1 - wanted + 1e-7) - ops.log(1 - outputs + 1e-7)), axis=-1)
    return ops.mean(divergence)
