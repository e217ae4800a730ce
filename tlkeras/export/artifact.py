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
        label_agreement: The share of examples with the same label (or set of labels), in `[0, 1]`; None for values.
        measure: The measure whose loss is judged: `"accuracy"`, `"jaccard"` or `"mean_absolute_error"`.
        measure_keras: The measure of the Keras model on them; None where nothing was compared.
        measure_artifact: The measure of the artefact on them.
        drop: What the artefact loses of it, paired on the same examples, with its 95 % interval; a larger error is a loss.
        max_difference: The largest absolute difference between two probabilities; for values, in their deviations.
        mean_difference: The mean over the examples of each one's largest absolute difference.
        shift: The largest mean of one output's signed differences, with its sign: how far all answers are pushed one way.
        refusal_agreement: The share of examples for which both answer "none of these", or neither; None where it cannot be.
        similarity_difference: The mean absolute difference of the similarities that this is decided by.
        passed: Whether it is within the bounds of its target.
        disagreements: Where the examples with another label come from, the worst first (at most 20), for messages.
        problem: Why it did not pass, in words; empty if it did.
    """

    target: str
    n: int
    label_agreement: float | None = None
    measure: str = "accuracy"
    measure_keras: float | None = None
    measure_artifact: float | None = None
    drop: Measure | None = None
    max_difference: float | None = None
    mean_difference: float | None = None
    shift: float | None = None
    refusal_agreement: float | None = None
    similarity_difference: float | None = None
    passed: bool = False
    disagreements: tuple[str, ...] = ()
    problem: str = ""
