"""Run a network over rows, outside `fit`: a compiled function instead of `predict`'s loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.features.rows import Rows, ordered_batches

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 64


@dataclass(frozen=True)
class Step:
    """A network compiled for batches of any size.

    `function` takes arrays and returns tensors; `varies` says which of those have a free second dimension.
    """

    function: Callable
    varies: tuple[bool, ...]


def compiled(network: "keras.Model", rows: Sequence[Rows]) -> Step:
    """Compile a network, in inference mode, for inputs of the dtypes of `rows`; uint8 pixels are cast inside."""
    import tensorflow as tf

    signature = [
        tf.TensorSpec([None, *tensor.shape[1:]], row.values.dtype) for tensor, row in zip(network.inputs, rows, strict=True)
    ]

    @tf.function(input_signature=signature)
    def function(*arrays: tf.Tensor) -> list[tf.Tensor]:
        inputs = [tf.cast(array, tensor.dtype) for array, tensor in zip(arrays, network.inputs, strict=True)]
        return tf.nest.flatten(network(inputs if len(inputs) > 1 else inputs[0], training=False))

    # Called as a concrete function: TensorFlow warns of every fifth one that is traced in calling it.
    concrete = function.get_concrete_function()
    return Step(
        lambda *arrays: concrete(*map(tf.constant, arrays)),
        tuple(len(output.shape) > 1 and output.shape[1] is None for output in network.outputs),
    )


def run_network(network: "keras.Model", rows: Sequence[Rows], *, batch_size: int = BATCH_SIZE) -> tuple[Rows, ...]:
    """Compute the outputs of a network for all rows, in inference mode.

    Args:
        network: Any model whose inputs are, in order, what the rows hold.
        rows: One `Rows` for each input of the network.
        batch_size: Rows in a step.

    Returns:
        One `Rows` for each output, in the order of the input rows; of varying length where the output's second dimension is
        free and the input rows are of varying length.
    """
    return run_step(compiled(network, rows), rows, batch_size=batch_size)


def run_step(
    step: Step,
    rows: Sequence[Rows],
    *,
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Rows, ...]:
    """Compute as `run_network` does, with a network that is compiled already.

    Args:
        step: What `compiled` returned.
        rows: One `Rows` for each input of the network.
        batch_size: Rows in a step.
        on_progress: Called with the rows done and their number, after each step.
    """
    lengths = rows[0].lengths
    varies = [lengths is not None and free for free in step.varies]
    results: list[list] = [[None] * len(rows[0]) for _ in varies]
    done = 0
    for indices in ordered_batches(rows[0], batch_size):
        outputs = step.function(*[row.batch(indices) for row in rows])
        for output, result, ragged in zip(outputs, results, varies, strict=True):
            values = output.numpy()
            for position, index in enumerate(indices):
                result[index] = values[position, : lengths[index]] if ragged and lengths is not None else values[position]
        done += len(indices)
        if on_progress:
            on_progress(done, len(rows[0]))
    return tuple(_collect(result, ragged) for result, ragged in zip(results, varies, strict=True))


def _collect(values: list[np.ndarray], varies: bool) -> Rows:
    if not varies:
        return Rows(np.stack(values))
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in values])]).astype(np.int64)
    fill = False if values[0].dtype == bool else 0
    return Rows(np.concatenate(values), offsets, fill)
