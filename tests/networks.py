"""Small networks and data for tests: quick to build and to train, with everything that makes freezing hard."""

import keras
import numpy as np

from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Splits
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block, SourceModel

SIZE = 12


def tiny_source(*, seed: int = 0) -> SourceModel:
    """Three convolutional blocks with BatchNormalization and dropout; statistics and weights are not the initial ones."""
    keras.utils.set_random_seed(seed)
    blocks, channels = [], 3
    for index, width in enumerate((6, 8, 10)):
        x = keras.Input((None if index else SIZE, None if index else SIZE, channels))
        y = keras.layers.Rescaling(1 / 127.5, -1)(x) if index == 0 else x
        y = keras.layers.Conv2D(width, 3, strides=2 if index else 1, padding="same", use_bias=False)(y)
        y = keras.layers.BatchNormalization(momentum=0.9)(y)
        y = keras.layers.Dropout(0.3)(keras.layers.ReLU()(y))
        blocks.append(Block(f"block_{index}", keras.Model(x, y, name=f"block_{index}")))
        channels = width
    network = chain(blocks, name="tiny")
    generator = np.random.default_rng(seed)
    ranges = {"gamma": (0.5, 1.5), "moving_mean": (-0.1, 0.1), "moving_variance": (0.05, 0.2)}
    for weight in network.weights:
        if weight.name in ranges:
            weight.assign(generator.uniform(*ranges[weight.name], weight.shape))
    return SourceModel("tiny", "image", network, tuple(blocks), SIZE, pretrained=True)


def squares(count: int, *, seed: int) -> Examples:
    """Noisy pictures with a bright square in one of three places: the class."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % 3
    pixels = generator.integers(0, 120, (count, SIZE, SIZE, 3))
    for picture, label in zip(pixels, labels, strict=True):
        start = 4 * label
        picture[start : start + 4, start : start + 4] += 90
    ids = np.array([f"{seed}/{index}" for index in range(count)])
    return Examples(ids, ImageArrays(pixels.astype(np.uint8)), ClassTargets(labels))


def square_splits() -> Splits:
    """90 training, 30 validation and 30 test pictures."""
    return Splits(squares(90, seed=1), squares(30, seed=2), squares(30, seed=3), ("high", "low", "middle"), fingerprint="0")
