"""Blocks of a network: join them, choose some of them, give them random weights."""

import fnmatch
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tlkeras.errors import unknown
from tlkeras.sources.model import Block, SourceModel

if TYPE_CHECKING:
    import keras


def chain(blocks: Sequence[Block], *, name: str) -> "keras.Model":
    """Join consecutive blocks into one network; it shares their layers.

    Every boundary between blocks is a cut: `chain(blocks[:i])` followed by `chain(blocks[i:])` computes exactly what
    `chain(blocks)` computes.

    Args:
        blocks: One block or more, each taking what the one before it gives; the last may be a task's head.
        name: The name of the network.
    """
    import keras

    if not blocks:
        raise ValueError("Cannot join blocks. Received: no blocks. Give at least one.")
    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in blocks[0].network.inputs]
    tensors: Any = inputs if len(inputs) > 1 else inputs[0]
    outputs = tensors
    for block in blocks:
        outputs = block.network(outputs)
    return keras.Model(tensors, outputs, name=name)


def select_blocks(blocks: Sequence[Block], trainable: str) -> tuple[str, ...]:
    """Return the names of the chosen blocks, in their order.

    Args:
        blocks: All blocks from the input up; a head, where there is one, comes last and is named `head`.
        trainable: Items separated by commas: `head`; `top:2` (the head and the top two blocks of the source); `top:50%` (the
            head and the upper half of the blocks, rounded up); a block's name; a pattern such as `block_1*`; `all`.

    Raises:
        ValueError: An item chooses no block, or `top:` asks for more blocks than there are.
    """
    names = [block.name for block in blocks]
    chosen: set[str] = set()
    for item in (part.strip() for part in trainable.split(",")):
        chosen.update(_chosen_by(item, names))
    return tuple(name for name in names if name in chosen)


def _chosen_by(item: str, names: list[str]) -> list[str]:
    """Return the names that one item of `select_blocks` chooses."""
    if item == "all":
        return names
    if item.startswith("top:"):
        return _top(item, names)
    matching = fnmatch.filter(names, item) if item else []
    if not matching:
        raise unknown("block", item, names, see=f"{', '.join(names)}; or head, top:N, all, a pattern such as '{names[0][:4]}*'")
    return matching


def _top(item: str, names: list[str]) -> list[str]:
    below_head = [name for name in names if name != "head"]
    count = item.removeprefix("top:")
    if count.endswith("%") and count[:-1].isdecimal() and 1 <= int(count[:-1]) <= 100:
        count = str(math.ceil(len(below_head) * int(count[:-1]) / 100))
    if not count.isdecimal() or not 1 <= int(count) <= len(below_head):
        raise ValueError(
            f"The number of blocks in 'top:N' must be between 1 and {len(below_head)}, or a share such as 'top:50%'. "
            f"Received: {item!r}. The blocks, from the input up: {', '.join(names)}"
        )
    return [*below_head[-int(count) :], *(name for name in names if name == "head")]


def with_random_weights(source: SourceModel, *, seed: int) -> SourceModel:
    """Return the same architecture with freshly initialised weights of its own; the original stays as it is.

    BatchNormalization starts from mean 0 and variance 1, and forgets faster than in some `keras.applications` (momentum at
    most 0.9): with MobileNet's 0.999 the statistics of a short training from scratch lag so far behind that validation stays at
    chance. Layers that hold statistics of the data and not weights (`keras.layers.Normalization`) keep them.

    Args:
        source: The network to imitate.
        seed: The weights are a function of the architecture and this number.
    """
    with seeded(seed):
        blocks = tuple(Block(block.name, _fresh_copy(block.network)) for block in source.blocks)
    copy = replace(source, network=chain(blocks, name=source.network.name), blocks=blocks)
    return call_random(copy, seed=seed)


def call_random(source: SourceModel, *, seed: int) -> SourceModel:
    """Say of a source whose weights were just drawn that they are random, and let its statistics forget fast."""
    for layer in batch_normalizations(source.network):
        layer.momentum = min(layer.momentum, 0.9)
    facts = {**source.facts, "accuracy": None, "source_data": None, "weights": f"random, seed {seed}"}
    return replace(source, pretrained=False, head=None, facts=facts)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, layers without a seed of their own initialise as a function of `seed`; nothing changes outside.

    Keras draws the seeds of initialisers and dropout from Python's generator when a layer is made.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def batch_normalizations(layer: "keras.layers.Layer") -> "Iterator[keras.layers.BatchNormalization]":
    """Yield the BatchNormalization layers within a layer or network, those inside composite layers (HGNetV2) included."""
    import keras

    return (item for item in nested_layers(layer) if isinstance(item, keras.layers.BatchNormalization))


def nested_layers(layer: "keras.layers.Layer") -> "Iterator[keras.layers.Layer]":
    """Yield a layer or network and all layers within it, those inside composite layers included, in a fixed order."""
    import keras

    seen: set[int] = set()
    waiting: list[Any] = [layer]
    while waiting:
        item = waiting.pop()
        if isinstance(item, keras.layers.Layer) and id(item) not in seen:
            seen.add(id(item))
            yield item
            waiting += [*getattr(item, "layers", ()), *vars(item).values()]
        elif isinstance(item, list | tuple):
            waiting += item


def copy_block(block: Block) -> Block:
    """Return a block of the same layers with weights of their own, of the same values; all of them train."""
    network = _fresh_copy(block.network)
    network.set_weights(block.network.get_weights())
    return Block(block.name, network)


def _fresh_copy(network: "keras.Model") -> "keras.Model":
    import keras

    copy = keras.models.clone_model(
        network, clone_function=lambda layer: type(layer).from_config(layer.get_config()), recursive=True
    )
    # Setting `trainable` to what it already is does nothing on TensorFlow, not even for the layers below.
    copy.trainable = False
    copy.trainable = True
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights(network.get_layer(layer.name).get_weights())
            layer.finalize_state()
    return copy
