"""Run a network over rows, outside `fit`: a compiled function instead of `predict`'s loop."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.features.rows import Rows, ordered_batches

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 64


def run_network(
    network: "keras.Model",
    rows: Sequence[Rows],
    *,
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Rows, ...]:
    """Compute the outputs of a network for all rows, in inference mode.

    Args:
        network: Any model whose inputs are, in order, what the rows hold; uint8 pixels are cast to its input's dtype.
        rows: One `Rows` for each input of the network.
        batch_size: Rows in a step.
        on_progress: Called with the rows done and their number, after each step.

    Returns:
        One `Rows` for each output, in the order of the input rows; of varying length where the output's second dimension is
        free and the input rows are of varying length.
    """
    step = _compiled(network, rows)
    lengths = rows[0].lengths
    free = [lengths is not None and len(out.shape) > 1 and out.shape[1] is None for out in network.outputs]
    results: list[list] = [[None] * len(rows[0]) for _ in network.outputs]
    done = 0
    for indices in ordered_batches(rows[0], batch_size):
        outputs = step(*[row.batch(indices) for row in rows])
        for output, result, varies in zip(outputs, results, free, strict=True):
            values = output.numpy()
            for position, index in enumerate(indices):
                result[index] = values[position, : lengths[index]] if varies and lengths is not None else values[position]
        done += len(indices)
        if on_progress:
            on_progress(done, len(rows[0]))
    return tuple(_collect(result, varies) for result, varies in zip(results, free, strict=True))


def _compiled(network: "keras.Model", rows: Sequence[Rows]) -> Callable:
    import tensorflow as tf

    signature = []
    for tensor, row in zip(network.inputs, rows, strict=True):
        shape = [None, *tensor.shape[1:]]
        signature.append(tf.TensorSpec(shape, row.values.dtype))

    @tf.function(input_signature=signature)
    def step(*arrays: tf.Tensor) -> list[tf.Tensor]:
        inputs = [tf.cast(array, tensor.dtype) for array, tensor in zip(arrays, network.inputs, strict=True)]
        return tf.nest.flatten(network(inputs if len(inputs) > 1 else inputs[0], training=False))

    return step


def _collect(values: list[np.ndarray], varies: bool) -> Rows:
    if not varies:
        return Rows(np.stack(values))
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in values])]).astype(np.int64)
    fill = False if values[0].dtype == bool else 0
    return Rows(np.concatenate(values), offsets, fill)
