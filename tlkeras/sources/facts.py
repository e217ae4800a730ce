"""What a person chooses a source model by."""

from dataclasses import asdict, dataclass
from typing import Any

IMAGENET_1K = "ImageNet-1k, 1.28 million photographs in 1,000 classes"
IMAGENET_21K = "ImageNet-21k, 14 million photographs in 21,841 classes"
IMAGENET_21K_1K = f"{IMAGENET_21K}, then ImageNet-1k"
CLASSES_1K = "classification, 1,000 classes"

BYTES = 4
"""Of a weight: float32."""


@dataclass(frozen=True)
class Facts:
    """The facts of a row of the tables; "not stated" where the authors do not say.

    Attributes:
        constructor: The class or function that builds the network, or the preset.
        parameters: The number of weights, without a classifier.
        macs: Multiply-accumulate operations of a forward pass at the default size, in millions: see `count_macs`.
        source_data: What it was trained on; None for random weights.
        source_task: What it was trained to do.
        regularization: What it was trained with; label smoothing and strong dropout are known to transfer worse (Kornblith
            et al. 2019, 2021).
        accuracy: On the source task, with where the number comes from; None where no source is known.
        licence: As the authors state it.
        origin: Whose weights they are.
        litert: The operations that LiteRT lacks for it; empty where it runs with the built-in ones.
        note: What else one should know.
    """

    constructor: str
    parameters: int
    macs: float
    source_data: str | None
    source_task: str | None
    regularization: str
    accuracy: str | None
    licence: str
    origin: str
    litert: str = ""
    note: str = ""

    @property
    def megabytes(self) -> float:
        """The weights' size as float32, in 10^6 bytes."""
        return self.parameters * BYTES / 1e6

    def as_dict(self) -> dict[str, Any]:
        """Return the facts with `megabytes`, as `SourceModel.facts` holds them."""
        return {**asdict(self), "megabytes": round(self.megabytes, 2)}
