"""Compute the statistics of BatchNormalization anew, on training examples."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.sources.blocks import nested_layers

if TYPE_CHECKING:
    import keras


def recalibrate(network: "keras.Model", layers: "Sequence[keras.layers.BatchNormalization]", batches: "Iterable[Any]") -> None:
    """Set moving mean and variance of some layers to those of what reaches them; no weight is trained.

    The variance is that of all examples together: the mean of the variances of the batches and the variance of their means.

    Args:
        network: Holds the layers.
        layers: Whose statistics are computed.
        batches: `(inputs, targets, ...)`, one pass over the training examples.
    """
    if not layers:
        return
    count = 0
    first = [np.zeros(layer.moving_mean.shape) for layer in layers]
    second = [np.zeros(layer.moving_mean.shape) for layer in layers]
    with _statistics_of_the_batch(network, layers):
        for x, y, *_ in batches:
            network(x, training=True)
            count += len(y)
            for place, layer in enumerate(layers):
                mean = np.asarray(layer.moving_mean, np.float64)
                first[place] += len(y) * mean
                second[place] += len(y) * (np.asarray(layer.moving_variance, np.float64) + mean**2)
    for layer, total, squares in zip(layers, first, second, strict=True):
        layer.moving_mean.assign(total / count)
        layer.moving_variance.assign(squares / count - (total / count) ** 2)


@contextmanager
def _statistics_of_the_batch(network: "keras.Model", layers: "Sequence[keras.layers.BatchNormalization]") -> Iterator[None]:
    """Let these layers take over the statistics of each batch, and dropout drop nothing."""
    import keras

    dropouts = [layer for layer in nested_layers(network) if isinstance(layer, keras.layers.Dropout)]
    before = [(layer, layer.trainable, layer.momentum) for layer in layers], [(layer, layer.rate) for layer in dropouts]
    try:
        for layer in layers:
            layer.trainable, layer.momentum = True, 0.0
        for layer in dropouts:
            layer.rate = 0.0
        yield
    finally:
        for layer, trainable, momentum in before[0]:
            layer.trainable, layer.momentum = trainable, momentum
        for layer, rate in before[1]:
            layer.rate = rate
