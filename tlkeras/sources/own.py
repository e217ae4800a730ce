"""A user's own network as a source model."""

from collections import Counter
from typing import TYPE_CHECKING

from tlkeras.sources.blocks import chain
from tlkeras.sources.cutting import cut_into_blocks
from tlkeras.sources.encoders import MASK, cut_encoder, hidden_states
from tlkeras.sources.model import Block, SourceModel

if TYPE_CHECKING:
    import keras
    import tokenizers

_TEXT_INPUTS = {"token_ids", MASK, "segment_ids"}


def source_from_keras(
    network: "keras.Model",
    *,
    name: str = "own",
    modality: str = "image",
    tokenizer: "tokenizers.Tokenizer | None" = None,
    pad_id: int = 0,
) -> SourceModel:
    """Take a user's network to start from; its blocks are found in its graph, and its layers are shared, not copied.

    Args:
        network: A functional `keras.Model`. Images: one input of raw pixels in `[0, 255]`, shape `(batch, size, size, 3)` with
            a fixed size, and one output, a feature map `(batch, h, w, channels)` or features `(batch, channels)`. Texts: an
            input `token_ids`, shape `(batch, length)`, or KerasHub's inputs (`token_ids`, `padding_mask`, `segment_ids`), and
            one output of shape `(batch, length, channels)`.
        name: Its name in reports.
        modality: `"image"` or `"text"`.
        tokenizer: Texts: what makes the ids; it adds the special tokens.
        pad_id: Texts: the id that means padding.

    Raises:
        ValueError: The network has other inputs or outputs, or is not functional.

    Example:
        >>> base = keras.applications.DenseNet121(input_shape=(97, 97, 3), include_top=False, weights="densenet.weights.h5")
        >>> image = keras.Input((97, 97, 3))
        >>> scaled = keras.layers.Rescaling(1 / 127.5, -1)(image)
        >>> source = source_from_keras(keras.Model(image, base(scaled)), name="densenet")
    """
    if modality not in ("image", "text"):
        raise ValueError(f"The modality must be 'image' or 'text'. Received: {modality!r}")
    if not getattr(network, "inputs", None):
        raise ValueError(
            f"The network must be a functional keras.Model (or a built Sequential). Received: {type(network).__name__}. "
            "Wrap it as keras.Model(inputs, outputs)."
        )
    if modality == "image":
        size = _image_size(network)
        blocks = cut_into_blocks(network, input_name="image")
    else:
        size = _sequence_length(network, tokenizer)
        blocks = cut_encoder(hidden_states(network), pad_id=pad_id)
    _check_partition(blocks)
    return SourceModel(
        name=name,
        modality=modality,
        network=chain(blocks, name=name),
        blocks=blocks,
        input_size=size,
        pretrained=True,
        tokenizer=tokenizer,
        pad_id=pad_id,
        facts={"parameters": sum(block.parameters for block in blocks), "origin": "the user's own network"},
    )


def _image_size(network: "keras.Model") -> int:
    shapes = [tuple(tensor.shape) for tensor in network.inputs]
    square = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == shapes[0][2] and isinstance(shapes[0][1], int)
    if not square or shapes[0][3] != 3:
        raise ValueError(
            f"An image network must have one input of shape (batch, size, size, 3) with a fixed size: raw pixels. "
            f"Received: inputs of shape {shapes}"
        )
    outputs = [tuple(tensor.shape) for tensor in network.outputs]
    if len(outputs) != 1 or len(outputs[0]) not in (2, 4):
        raise ValueError(
            f"An image network must have one output, a feature map (batch, h, w, channels) or features (batch, channels). "
            f"Received: outputs of shape {outputs}"
        )
    return int(shapes[0][1])


def _sequence_length(network: "keras.Model", tokenizer: "tokenizers.Tokenizer | None") -> int:
    names = [tensor.name for tensor in network.inputs]
    if "token_ids" not in names or not set(names) <= _TEXT_INPUTS:
        raise ValueError(
            f"A text network must have an input named token_ids and, where it needs them, {MASK} and segment_ids. "
            f"Received: inputs named {', '.join(names)}"
        )
    if tokenizer is None:
        raise ValueError("A text network needs its tokenizer. Received: None. Give a tokenizers.Tokenizer as tokenizer=...")
    return int(getattr(network, "max_sequence_length", 0) or network.inputs[0].shape[1] or 512)


def _check_partition(blocks: tuple[Block, ...]) -> None:
    owners = Counter(id(weight) for block in blocks for weight in block.network.weights)
    if any(count > 1 for count in owners.values()):
        raise ValueError("Two blocks of the network share a weight. Received: a network that calls one variable in two layers.")
