"""Run a network over rows, outside `fit`: a compiled function instead of `predict`'s loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.features.rows import Rows, ordered_batches

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 64

Allocate = Callable[[int, tuple[int, ...], Any], np.ndarray]
"""From the number of an output, a shape and a dtype to an array to be filled."""


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
    allocate: Allocate | None = None,
) -> tuple[Rows, ...]:
    """Compute as `run_network` does, with a network that is compiled already.

    Args:
        step: What `compiled` returned.
        rows: One `Rows` for each input of the network.
        batch_size: Rows in a step.
        on_progress: Called with the rows done and their number, after each step.
        allocate: Makes the array that output number `n` goes to, from `n`, a shape and a dtype; in memory if not given.
    """
    results: list[Rows] = []
    done = 0
    for indices in ordered_batches(rows[0], batch_size):
        outputs = [output.numpy() for output in step.function(*[row.batch(indices) for row in rows])]
        if not results:
            makers = enumerate(zip(outputs, step.varies, strict=True))
            results = [empty_rows(rows[0], values, varies, number, allocate) for number, (values, varies) in makers]
        for values, result in zip(outputs, results, strict=True):
            put(result, indices, values)
        done += len(indices)
        if on_progress:
            on_progress(done, len(rows[0]))
    return tuple(results)


def empty_rows(inputs: Rows, values: np.ndarray, varies: bool, number: int, allocate: Allocate | None) -> Rows:
    """Return room for an output of all rows.

    Args:
        inputs: The rows that a network reads.
        values: Its output for some of them, shape `(m, ...)`.
        varies: Whether the output is as long as the row.
        number: The number of the output.
        allocate: See `run_step`.
    """
    make = allocate or (lambda _, shape, dtype: np.empty(shape, dtype))
    if not varies or inputs.offsets is None:
        return Rows(make(number, (len(inputs), *values.shape[1:]), values.dtype))
    fill = False if values.dtype == bool else 0
    return Rows(make(number, (int(inputs.offsets[-1]), *values.shape[2:]), values.dtype), inputs.offsets, fill)


def put(rows: Rows, indices: np.ndarray, values: np.ndarray) -> None:
    """Write an output for some rows, shape `(m, ...)`, to its place."""
    if rows.offsets is None:
        rows.values[indices] = values
        return
    for index, value in zip(indices, values, strict=True):
        start, stop = rows.offsets[index], rows.offsets[index + 1]
        rows.values[start:stop] = value[: stop - start]
