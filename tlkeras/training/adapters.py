"""Low-rank adapters (LoRA; Hu et al. 2021): a phase trains them on a copy, and they are merged back when it ends.

The model itself never holds an adapter, so what is saved and exported is plain; see `Phase.adapters`.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tlkeras.sources.blocks import batch_normalizations, chain, copy_block, nested_layers, seeded, select_blocks
from tlkeras.sources.model import Block
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel

if TYPE_CHECKING:
    import keras


def with_adapters(model: TransferModel, phase: Phase, *, seed: int) -> TransferModel:
    """Return the model itself, or for a phase with adapters a model whose chosen blocks are copies that train adapters alone.

    A kernel `W` becomes `W + A @ B`, with `A` drawn at random and `B` zero, so that nothing changes at first. Dense, einsum and
    convolutional layers get one, through Keras's own `enable_lora`, where it is smaller than the kernel.

    Args:
        model: Its blocks are frozen and unfrozen already; the head, which trains whole, and all other blocks are shared.
        phase: Its `adapters` is the rank.
        seed: Seed of `A`.

    Raises:
        ValueError: No layer of the chosen blocks takes an adapter.
    """
    if not phase.adapters:
        return model
    chosen = set(select_blocks(model.blocks, phase.trainable))
    with seeded(seed):
        blocks = tuple(_adapted(block, phase.adapters) if block.name in chosen else block for block in model.source.blocks)
    if not any(_has_adapters(layer) for block in blocks for layer in nested_layers(block.network)):
        raise ValueError(
            f"No layer of {', '.join(sorted(chosen))} takes adapters of rank {phase.adapters}: they go to dense, einsum and "
            "convolutional layers with larger kernels. Choose other blocks, or a smaller rank."
        )
    source = replace(model.source, blocks=blocks, network=chain(blocks, name="adapted_source"))
    return replace(model, source=source, network=chain((*blocks, model.pool, model.head), name="adapted"))


def merge_adapters(adapted: TransferModel, model: TransferModel) -> None:
    """Write the kernels with what the adapters learnt into the model that `with_adapters` copied; nothing where it did not."""
    for copy, block in zip(adapted.source.blocks, model.source.blocks, strict=True):
        if copy is block:
            continue
        for trained, layer in zip(nested_layers(copy.network), nested_layers(block.network), strict=True):
            if _has_adapters(trained):
                layer.kernel.assign(trained.kernel)


def _adapted(block: Block, rank: int) -> Block:
    copy = copy_block(block)
    for layer in batch_normalizations(copy.network):
        layer.trainable = False
    for weight in copy.network.weights:
        weight.trainable = False
    for layer in _layers_for_adapters(copy.network, rank):
        layer.enable_lora(rank)
    return copy


def _layers_for_adapters(network: "keras.Model", rank: int) -> Iterator[Any]:
    import keras

    kinds = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    for layer in list(nested_layers(network)):
        if isinstance(layer, kinds):
            shape = layer.kernel.shape
            if rank * (math.prod(shape[:-1]) + shape[-1]) < math.prod(shape):
                yield layer


def _has_adapters(layer: "keras.layers.Layer") -> bool:
    return bool(getattr(layer, "lora_enabled", False))
