"""Mixed precision: a phase computes in 16 bits; its weights, what is saved and what is exported stay float32."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tlkeras.sources.blocks import nested_layers
from tlkeras.tasks.model import TransferModel

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")


def chosen_precision(asked: str) -> str:
    """Return what a phase computes in: `"float32"`, `"bfloat16"` or `"float16"`.

    `"auto"` takes bfloat16 on GPUs whose tensor cores have it (compute capability 8 and above, since Ampere), float16 on those
    that have only this (7, Volta and Turing), and float32 on anything else, CPUs among it.

    Args:
        asked: A value of `Phase.precision`.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if asked == "auto":
        capable = [tf.config.experimental.get_device_details(gpu).get("compute_capability") or (0, 0) for gpu in gpus]
        lowest = min(capable, default=(0, 0))[0]
        return "bfloat16" if lowest >= 8 else "float16" if lowest >= 7 else "float32"
    if asked != "float32" and not gpus:
        log.warning(
            "There is no GPU: %s on a CPU is slower than float32 wherever it was measured; --precision auto avoids it", asked
        )
    return asked


@contextmanager
def computing_in(model: TransferModel, cut: int, precision: str) -> Iterator[None]:
    """Within the block, let the blocks of the source above a cut compute in 16 bits; their weights stay float32.

    The head stays in float32, and so does BatchNormalization within its layer, as Keras has it. What was traced before or is
    traced after computes as ever, so nothing of it reaches the model that is saved and exported.
    """
    layers = [layer for block in model.source.blocks[cut:] for layer in nested_layers(block.network)]
    before = [layer.dtype_policy for layer in layers]
    try:
        if precision != "float32":
            for layer in layers:
                layer.dtype_policy = f"mixed_{precision}"
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


def with_loss_scale(optimizer: "keras.optimizers.Optimizer", precision: str) -> "keras.optimizers.Optimizer":
    """Return the optimizer; for float16 one that scales the loss, so that small gradients are not lost (Micikevicius 2018).

    A step whose gradients overflow is left out, and the scale halved.
    """
    import keras

    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer
