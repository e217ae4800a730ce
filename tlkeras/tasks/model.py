"""What is trained, evaluated and exported: a source model with a head on top."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.sources.model import Block, SourceModel

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Familiar:
    """What an input is compared with, to say whether it is like anything the model was trained on.

    Attributes:
        bank: Features of training examples, of unit length, float16, shape `(examples, width)`.
        smallest: The cosine similarity to the nearest of them below which the answer is "none of these".
        n: The number of validation examples that it was chosen on.
    """

    bank: np.ndarray
    smallest: float
    n: int = 0

    def similarity(self, features: np.ndarray) -> np.ndarray:
        """Return the cosine similarity of features `(n, width)` to the nearest of the bank, float32, shape `(n,)`."""
        length = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        return ((features / length).astype(np.float32) @ self.bank.astype(np.float32).T).max(axis=1)


@dataclass(frozen=True)
class TransferModel:
    """A source model, pooled, with a new head; `network` is a plain `keras.Model` and can be taken away as such.

    Attributes:
        network: The source model's input (see `SourceModel.network`) to probabilities, float32, shape `(batch, classes)`; in
            regression, to the value, shape `(batch, 1)`.
        source: The source model; its blocks are the lower part of `network`.
        pool: The segment without weights that turns the source's output into one feature vector for each example.
        head: The last block: dropout and the dense layer named `"logits"`; features to logits, `(batch, classes)`.
        classes: The names of the outputs, in their order: the classes, or the name of the value.
        task: The task's name, a key of `tlkeras.tasks.table.TASKS`.
        scale: Mean and deviation of the training values, which the head's logits are standardised by; regression only.
        temperature: What the head's logits were divided by after training, see `tlkeras.calibrate`; 1 where they were not.
        familiar: What an input is compared with to answer "none of these", see `tlkeras.calibrate`; None where it is not.
        thresholds: The probability from which on a class is taken, by class, see `tlkeras.calibrate`; 0.5 where it has none.
    """

    network: "keras.Model"
    source: SourceModel
    pool: Block
    head: Block
    classes: tuple[str, ...]
    task: str = "classification"
    scale: tuple[float, float] = (0.0, 1.0)
    temperature: float = 1.0
    familiar: Familiar | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks that hold weights, from the input up, the head last: what `Phase.trainable` chooses from."""
        return (*self.source.blocks, self.head)

    @property
    def segments(self) -> tuple[Block, ...]:
        """All segments from the input to the logits; the network can be cut between any two."""
        return (*self.source.blocks, self.pool, self.head)

    @property
    def modality(self) -> str:
        """`"image"` or `"text"`."""
        return self.source.modality
