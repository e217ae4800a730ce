"""Pooling: what a block gives at each position becomes one vector for each example."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras


def pool_block(tensors: "Sequence[keras.KerasTensor]", *, name: str = "pool") -> Block:
    """Return a block without weights that takes feature maps, states or features to one vector, `(batch, width)`.

    The vector is the mean over positions; of texts, of the first tensor over the tokens that are not padding (what layers share
    besides, as DeBERTa's relative positions, is no part of a text). Those of several feature maps stand side by side.

    Args:
        tensors: What the block below gives; of a text one of them is the mask of its tokens (bool).
        name: The name of the block.
    """
    import keras

    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in tensors]
    mask = next((tensor for tensor in inputs if tensor.dtype == "bool"), None)
    pooled_ones = inputs if mask is None else inputs[:1]
    vectors = [_mean(tensor, mask, f"mean_{number}") for number, tensor in enumerate(pooled_ones)]
    pooled = vectors[0] if len(vectors) == 1 else keras.layers.Concatenate()(vectors)
    return Block(name, keras.Model(inputs if len(inputs) > 1 else inputs[0], pooled, name=name))


def _mean(tensor: "keras.KerasTensor", mask: "keras.KerasTensor | None", name: str) -> "keras.KerasTensor":
    import keras

    rank = len(tensor.shape)
    if rank == 4:
        return keras.layers.GlobalAveragePooling2D(name=name)(tensor)
    if rank == 3:
        return keras.layers.GlobalAveragePooling1D(name=name)(tensor, mask=mask)
    return keras.layers.Identity(name=name)(tensor)
