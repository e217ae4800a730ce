"""Rows to `tf.data`: what a step sees is a function of seed and step."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.features.rows import Rows, ordered_batches, shuffled_batches

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def train_batches(
    views: Sequence[Sequence[Rows]],
    targets: Sequence[np.ndarray],
    inputs: "Sequence[keras.KerasTensor]",
    *,
    batch_size: int,
    seed: int,
    epochs: int,
    start: int = 0,
    weights: np.ndarray | None = None,
    sampling: bool = False,
    lower: "keras.Model | None" = None,
) -> "tf.data.Dataset":
    """Return the batches of all epochs, one after the other: `(inputs, targets, weights)` for `fit(steps_per_epoch=...)`.

    Args:
        views: Views of the same examples, each with one `Rows` for each input; an epoch reads one view, in turn.
        targets: For each view, what the task's `encode` gives, a row for each example.
        inputs: The network's inputs; batches are cast to their dtypes.
        batch_size: Rows in a step.
        seed: Which order; each epoch has its own.
        epochs: How many epochs there are.
        start: The step to start from, counted over all epochs: the steps before it are left out.
        weights: What each example counts, float32, shape `(n,)`; all the same if not given.
        sampling: Draw examples in proportion to their weights instead of weighting them.
        lower: A frozen network to run on each batch first; the rows are then its inputs.
    """
    shares = weights if sampling else None
    counted = None if sampling else weights
    steps = math.ceil(len(views[0][0]) / batch_size)

    @functools.lru_cache(maxsize=1)
    def plan(epoch: int) -> list[np.ndarray]:
        return shuffled_batches(views[epoch % len(views)][0], batch_size, seed=seed, epoch=epoch, shares=shares)

    def read(step: np.int64) -> tuple[np.ndarray, ...]:
        epoch, place = divmod(int(step), steps)
        indices, view = plan(epoch)[place], epoch % len(views)
        extra = () if counted is None else (counted[indices],)
        return (*(row.batch(indices) for row in views[view]), targets[view][indices], *extra)

    return _dataset(read, (start, epochs * steps), views[0], targets[0], inputs, lower, weighted=counted is not None)


def eval_batches(
    rows: Sequence[Rows],
    targets: np.ndarray,
    inputs: "Sequence[keras.KerasTensor]",
    *,
    batch_size: int,
    lower: "keras.Model | None" = None,
) -> "tf.data.Dataset":
    """Return the batches of one pass over all rows, those of like length together: `(inputs, targets)`."""
    plan = ordered_batches(rows[0], batch_size)

    def read(step: np.int64) -> tuple[np.ndarray, ...]:
        return (*(row.batch(plan[step]) for row in rows), targets[plan[step]])

    return _dataset(read, (0, len(plan)), rows, targets, inputs, lower, weighted=False)


def _dataset(
    read: Callable[[np.int64], tuple[np.ndarray, ...]],
    span: tuple[int, int],
    rows: Sequence[Rows],
    targets: np.ndarray,
    inputs: "Sequence[keras.KerasTensor]",
    lower: "keras.Model | None",
    *,
    weighted: bool,
) -> "tf.data.Dataset":
    import tensorflow as tf

    reads = inputs if lower is None else lower.inputs
    dtypes = [tf.as_dtype(array.dtype) for array in (*(row.values for row in rows), targets)]

    def load(step: tf.Tensor) -> tuple:
        values = tf.numpy_function(read, [step], [*dtypes, *([tf.float32] if weighted else [])])
        arrays, (y, *weights) = values[: len(rows)], values[len(rows) :]
        for array, tensor in zip(arrays, reads, strict=True):
            array.set_shape([None, *tensor.shape[1:]])
        y.set_shape([None, *targets.shape[1:]])
        tensors = [tf.cast(array, tensor.dtype) for array, tensor in zip(arrays, reads, strict=True)]
        if lower is not None:
            tensors = tf.nest.flatten(lower(tensors if len(tensors) > 1 else tensors[0], training=False))
        for weight in weights:
            weight.set_shape([None])
        return (tuple(tensors) if len(tensors) > 1 else tensors[0]), y, *weights

    options = tf.data.Options()
    # Nothing here is left to tune, and ending an iterator waits for the tuner's next turn: for seconds.
    options.autotune.enabled = False
    return tf.data.Dataset.range(*span).map(load).prefetch(2).with_options(options)
