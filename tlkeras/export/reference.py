"""What an artefact is compared with: the Keras model's own answers, the raw inputs, and what is true."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Texts
from tlkeras.errors import ParityError
from tlkeras.evaluation.evaluate import target_array
from tlkeras.evaluation.responses import respond
from tlkeras.export import compare
from tlkeras.export.answers import threshold_list

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel


@dataclass(frozen=True)
class Reference:
    """What Keras answers, and what is true.

    Attributes:
        task: The task.
        labels: The names of the outputs.
        outputs: float32, shape `(n, classes)`, or `(n, 1)` for values.
        targets: See `Evaluation.targets`.
        similar: The similarity to the nearest training example, shape `(n,)`; None where the model does not say it.
        smallest: Below which the answer is "none of these".
        thresholds: See `tlkeras.export.answers.decide`.
    """

    task: str
    labels: tuple[str, ...]
    outputs: np.ndarray
    targets: np.ndarray
    similar: np.ndarray | None = None
    smallest: float = 0.0
    thresholds: Sequence[float] = ()


def read_reference(model: "TransferModel", examples: Examples) -> Reference:
    """Run the Keras model on examples, read as in training.

    Raises:
        ParityError: Its outputs are not finite or do not vary, so that a comparison would prove nothing.
    """
    from tlkeras.features.inputs import read_inputs

    # One pass, where features are needed as well.
    found = respond(model, examples) if model.familiar else None
    outputs = found.outputs if found else run_keras(model, read_inputs(examples, model.source))
    if not np.isfinite(outputs).all():
        raise ParityError(
            "The Keras model gives outputs that are not finite, so there is nothing to compare with: train it again."
        )
    varies = compare.spread(model.task, outputs) / (np.abs(outputs).max() if model.task == "regression" else 1.0)
    if not varies >= 1e-4:
        raise ParityError(
            f"The Keras model answers the same for all {len(examples)} examples (its outputs differ by {varies:.1g}), "
            "so a comparison would prove nothing. Train it longer, or verify on examples that differ."
        )
    similar = model.familiar.similarity(found.features) if model.familiar and found else None
    smallest = model.familiar.smallest if model.familiar else 0.0
    thresholds = threshold_list(model.task, model.classes, model.thresholds)
    return Reference(model.task, model.classes, outputs, target_array(examples), similar, smallest, thresholds)


def run_keras(model: "TransferModel", rows: object) -> np.ndarray:
    """Return the Keras network's outputs for rows as `read_inputs` gives them, float32, shape `(n, outputs)`."""
    from tlkeras.features.engine import run_network

    (found,) = run_network(model.network, [rows])  # type: ignore[list-item]
    return found.values


def raw_inputs(examples: Examples) -> Sequence[str] | Sequence[bytes]:
    """Return what an app would be given: paths or contents of picture files (those in memory as PNG), or strings."""
    store = examples.store
    if isinstance(store, (ImageFiles, Texts)):
        return store.paths if isinstance(store, ImageFiles) else store.texts
    if isinstance(store, EncodedImages):
        return store.pictures  # type: ignore[return-value]  # read in slices
    if isinstance(store, ImageArrays):
        return [as_png(pixels) for pixels in store.pixels]
    raise TypeError(
        f"Examples are verified from ImageFiles, EncodedImages, ImageArrays or Texts. Received: {type(store).__name__}"
    )


def as_png(pixels: np.ndarray) -> bytes:
    """Return a picture in memory as the content of a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="png", compress_level=1)
    return stream.getvalue()
