"""A source model: a pre-trained network cut into named blocks, and the facts a person chooses it by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tokenizers


@dataclass(frozen=True)
class Block:
    """A segment of a network between two boundaries.

    `network` is itself a small `keras.Model`; a source model's network is the chain of its blocks, so each weight belongs to
    exactly one block, `block.network.trainable` freezes it, and the chain can be cut between any two blocks.
    """

    name: str
    network: "keras.Model"

    @property
    def parameters(self) -> int:
        """The number of its weights, those of BatchNormalization statistics included."""
        return int(self.network.count_params())


@dataclass(frozen=True)
class SourceModel:
    """A network to start from.

    Attributes:
        name: Its key in the table, as in `"efficientnet_lite0"`.
        modality: `"image"` or `"text"`.
        network: Images: float32 pixels in `[0, 255]`, shape `(batch, height, width, 3)`, to a feature map
            `(batch, h, w, channels)`; scaling happens inside. Texts: int32 `token_ids`, shape `(batch, length)` of any length,
            to hidden states `(batch, length, channels)` and a boolean mask `(batch, length)`, derived inside from `pad_id`.
        blocks: The ordered blocks that the network is a chain of.
        input_size: Images: height and width in pixels. Texts: the longest sequence it accepts, in tokens.
        resize: Images: how a picture becomes a square, one of `tlkeras.data.decode.RESIZE_MODES`; exports carry it.
        pretrained: False where the weights are random.
        tokenizer: Texts: a `tokenizers.Tokenizer` that adds the special tokens; no padding, no truncation set.
        pad_id: Texts: the id that means padding.
        head: Images: the original classifier's kernel `(channels, classes)` and bias `(classes,)`, where it is known.
        facts: Parameters, source data, accuracy, licence, origin …, for tables and model cards.
    """

    name: str
    modality: str
    network: "keras.Model"
    blocks: tuple[Block, ...]
    input_size: int
    pretrained: bool
    tokenizer: "tokenizers.Tokenizer | None" = None
    pad_id: int = 0
    head: tuple[Any, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    resize: str = "crop"
