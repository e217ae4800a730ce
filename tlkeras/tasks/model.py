"""What is trained, evaluated and exported: a source model with a head on top."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkeras.sources.model import Block, SourceModel

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TransferModel:
    """A source model, pooled, with a new head; `network` is a plain `keras.Model` and can be taken away as such.

    Attributes:
        network: The source model's input (see `SourceModel.network`) to probabilities, float32, shape `(batch, classes)`.
            Its tensor named `"logits"` holds the values before the softmax.
        source: The source model; its blocks are the lower part of `network`.
        head: The last block: pooling, dropout and the dense layer named `"logits"`.
        classes: The class names, in the order of the outputs.
        task: The task's name.
    """

    network: "keras.Model"
    source: SourceModel
    head: Block
    classes: tuple[str, ...]
    task: str = "classification"

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks from the input up, the head last."""
        return (*self.source.blocks, self.head)

    @property
    def modality(self) -> str:
        """`"image"` or `"text"`."""
        return self.source.modality
