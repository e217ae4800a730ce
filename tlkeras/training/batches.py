"""Rows to `tf.data`: what a step sees is a function of seed and step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.features.rows import Rows, ordered_batches, shuffled_batches

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def train_batches(
    rows: Sequence[Rows],
    labels: np.ndarray,
    inputs: "Sequence[keras.KerasTensor]",
    *,
    batch_size: int,
    seed: int,
    epochs: int,
    lower: "keras.Model | None" = None,
) -> "tf.data.Dataset":
    """Return the batches of all epochs, one after the other: `(inputs, labels)` for `fit(steps_per_epoch=...)`.

    Args:
        rows: One `Rows` for each input.
        labels: What the task's `encode` gives, a row for each example.
        inputs: The network's inputs; batches are cast to their dtypes.
        batch_size: Rows in a step.
        seed: Which order; each epoch has its own.
        epochs: How many epochs to return.
        lower: A frozen network to run on each batch first; the rows are then its inputs.
    """
    plan: list[np.ndarray] = []
    for epoch in range(epochs):
        plan += shuffled_batches(rows[0], batch_size, seed=seed, epoch=epoch)
    return _dataset(rows, labels, inputs, plan, lower)


def eval_batches(
    rows: Sequence[Rows],
    labels: np.ndarray,
    inputs: "Sequence[keras.KerasTensor]",
    *,
    batch_size: int,
    lower: "keras.Model | None" = None,
) -> "tf.data.Dataset":
    """Return the batches of one pass over all rows, those of like length together."""
    return _dataset(rows, labels, inputs, ordered_batches(rows[0], batch_size), lower)


def _dataset(
    rows: Sequence[Rows],
    labels: np.ndarray,
    inputs: "Sequence[keras.KerasTensor]",
    plan: list[np.ndarray],
    lower: "keras.Model | None",
) -> "tf.data.Dataset":
    import tensorflow as tf

    reads = inputs if lower is None else lower.inputs

    def read(step: np.int64) -> tuple[np.ndarray, ...]:
        indices = plan[step]
        return (*(row.batch(indices) for row in rows), labels[indices])

    def load(step: tf.Tensor) -> tuple:
        dtypes = [*(tf.as_dtype(row.values.dtype) for row in rows), tf.as_dtype(labels.dtype)]
        *arrays, y = tf.numpy_function(read, [step], dtypes)
        for array, tensor in zip(arrays, reads, strict=True):
            array.set_shape([None, *tensor.shape[1:]])
        y.set_shape([None, *labels.shape[1:]])
        tensors = [tf.cast(array, tensor.dtype) for array, tensor in zip(arrays, reads, strict=True)]
        if lower is not None:
            tensors = tf.nest.flatten(lower(tensors if len(tensors) > 1 else tensors[0], training=False))
        return (tuple(tensors) if len(tensors) > 1 else tensors[0]), y

    return tf.data.Dataset.range(len(plan)).map(load).prefetch(2)
