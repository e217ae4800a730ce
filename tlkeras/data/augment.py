"""Augmented views of training examples: a function of the examples, the level and a seed, and of nothing else."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.errors import unknown

if TYPE_CHECKING:
    import keras

LEVELS = ("none", "light", "standard", "strong")
_DROP = {"light": 0.05, "standard": 0.1, "strong": 0.15}
_BATCH = 64


def require_level(level: str) -> None:
    """Raise an error that names the levels unless `level` is one of them."""
    if level not in LEVELS:
        raise unknown("augmentation level", level, LEVELS, ", ".join(LEVELS))


def augment_pixels(pixels: np.ndarray, level: str, *, seed: int, flip: bool = False) -> np.ndarray:
    """Return one augmented view of each picture.

    `light` shifts, zooms and changes brightness and contrast a little; `standard` does so more, and rotates and changes
    colours; `strong` is RandAugment (Cubuk et al. 2020) and random erasing (Zhong et al. 2020). None of them turns left into
    right: that is `flip`, because text, arrows and hands do not survive it.

    Args:
        pixels: uint8, shape `(n, size, size, 3)`.
        level: One of `LEVELS`.
        seed: Another seed gives another view.
        flip: Mirror half of the pictures horizontally.

    Returns:
        uint8, shape `(n, size, size, 3)`.
    """
    import keras

    require_level(level)
    layers = _layers(level, seed) + ([keras.layers.RandomFlip("horizontal", seed=seed + 9)] if flip else [])
    views = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _BATCH):
        batch: Any = keras.ops.convert_to_tensor(pixels[start : start + _BATCH].astype(np.float32))
        for layer in layers:
            batch = layer(batch, training=True)
        views[start : start + _BATCH] = np.clip(np.rint(keras.ops.convert_to_numpy(batch)), 0, 255)
    return views


def _layers(level: str, seed: int) -> "list[keras.layers.Layer]":
    """New layers for each call: their seed generators then start at the same place, whatever was augmented before."""
    from keras import layers

    span = (0, 255)
    if level == "light":
        return [
            layers.RandomTranslation(0.06, 0.06, fill_mode="nearest", seed=seed),
            layers.RandomZoom(0.1, fill_mode="nearest", seed=seed + 1),
            layers.RandomBrightness(0.1, value_range=span, seed=seed + 2),
            layers.RandomContrast(0.1, value_range=span, seed=seed + 3),
        ]
    if level == "standard":
        return [
            layers.RandomRotation(0.04, fill_mode="nearest", seed=seed),
            layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", seed=seed + 1),
            layers.RandomZoom(0.2, fill_mode="nearest", seed=seed + 2),
            # Of saturation, 0.5 changes nothing and 0 is grey; of the others, 0 changes nothing.
            layers.RandomColorJitter(span, 0.2, 0.2, (0.4, 0.6), 0.05, seed=seed + 3),
        ]
    if level == "strong":
        return [layers.RandAugment(span, num_ops=2, factor=0.4, seed=seed), layers.RandomErasing(0.3, seed=seed + 1)]
    return []


def augment_tokens(rows: Sequence[np.ndarray], level: str, *, mask_id: int | None, seed: int) -> list[np.ndarray]:
    """Return one augmented view of each text: some tokens are masked, or left out where there is no mask token.

    The first and the last token, which are special, stay.

    Args:
        rows: Token ids, int, each of shape `(length,)`.
        level: One of `LEVELS`: 5, 10 or 15 % of the tokens.
        mask_id: The id of the mask token; None leaves tokens out (word dropout, Iyyer et al. 2015).
        seed: Another seed gives another view.
    """
    require_level(level)
    generator, share = np.random.default_rng(seed), _DROP.get(level, 0.0)
    views = []
    for row in rows:
        hit = generator.random(len(row)) < share
        hit[[0, -1]] = False
        views.append(np.where(hit, mask_id, row).astype(row.dtype) if mask_id is not None else row[~hit])
    return views


def mix_pixels(pixels: np.ndarray, targets: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mix each picture and its targets with those of another: MixUp (Zhang et al. 2018) or CutMix (Yun et al. 2019), by halves.

    Args:
        pixels: uint8, shape `(n, size, size, 3)`.
        targets: float, shape `(n, classes)`, shares that sum to 1.
        seed: Who is mixed with whom, how and how much.

    Returns:
        Mixed pixels and targets, of the same shapes and dtypes.
    """
    generator = np.random.default_rng(seed)
    count, size = len(pixels), pixels.shape[1]
    partners, shares = generator.permutation(count), generator.beta(0.4, 0.4, count).astype(np.float32)
    mixed = np.empty_like(pixels)
    for index, (partner, share) in enumerate(zip(partners, shares, strict=True)):
        if index % 2:
            side = round(size * np.sqrt(1 - share))
            top, left = generator.integers(0, size - side + 1, 2)
            mixed[index] = pixels[index]
            mixed[index, top : top + side, left : left + side] = pixels[partner, top : top + side, left : left + side]
            shares[index] = 1 - (side / size) ** 2
        else:
            mixed[index] = np.rint(share * pixels[index] + (1 - share) * pixels[partner])
    weights = shares[:, None].astype(targets.dtype)
    return mixed, weights * targets + (1 - weights) * targets[partners]
