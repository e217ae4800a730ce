"""What an export produces, and what its comparison with Keras found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkeras.errors import TlkerasError
from tlkeras.evaluation.metrics import Measure


class ArtifactError(TlkerasError):
    """A file cannot be used as an exported model: it is damaged, foreign, or of another kind."""


@dataclass(frozen=True)
class Artifact:
    """One exported file or folder.

    Attributes:
        path: The file or folder.
        target: `"saved_model"`, `"tflite_float32"`, `"tflite_float16"` …
        size_bytes: The sum over its files.
        labels: The class names, in the order of the outputs.
        signature: The contract: what goes in (dtype, shape, resize mode, tokenizer, sequence length) and what comes out.
    """

    path: Path
    target: str
    size_bytes: int
    labels: tuple[str, ...]
    signature: Mapping[str, Any]


@dataclass(frozen=True)
class Parity:
    """An artefact in its own runtime against Keras, on the same raw inputs.

    Attributes:
        target: The artefact's target.
        n: The number of examples compared.
        label_agreement: The share of examples with the same label, in `[0, 1]`.
        accuracy_keras: Accuracy of the Keras model on them.
        accuracy_artifact: Accuracy of the artefact on them.
        max_difference: The largest absolute difference between two probabilities.
        mean_difference: The mean over the examples of each one's largest absolute difference.
        drop: What accuracy loses, paired on the same examples, with its 95 % interval; None where nothing was compared.
        passed: Whether it is within the bounds of its target.
        disagreements: Where the examples with another label come from (at most 20), for messages.
        problem: Why it did not pass, in words; empty if it did.
    """

    target: str
    n: int
    label_agreement: float
    accuracy_keras: float
    accuracy_artifact: float
    max_difference: float
    passed: bool
    disagreements: tuple[str, ...] = ()
    problem: str = ""
    mean_difference: float = 1.0
    drop: Measure | None = None
