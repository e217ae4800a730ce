"""The nearest training examples: cosine similarity of the features that the model's head reads."""

import base64
import inspect
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from tlkeras.data.decode import iterate_pixels, read_pixels
from tlkeras.data.examples import Examples, Texts
from tlkeras.data.load import load_images, load_texts
from tlkeras.data.pipelines import tokenize
from tlkeras.evaluation.neighbours import nearest_rows, sample, unit_rows
from tlkeras.export.features import FEATURES, with_features

if TYPE_CHECKING:
    from tlkeras.export.predict import Predictor

_SHOWN_PIXELS = 96
_BATCH = 16


@dataclass(frozen=True)
class Neighbours:
    """Training examples and their features.

    Attributes:
        examples: The examples that are searched.
        labels: What each is labelled, in words.
        features: Of unit length, float32, shape `(n, channels)`.
        extract: One batch of the model's input to features, float32, shape `(batch, channels)`; for one thread at a time.
        total: How many training examples there are.
    """

    examples: Examples
    labels: Sequence[str]
    features: np.ndarray
    extract: Callable[[np.ndarray], np.ndarray]
    total: int


def training_examples(run: Path, modality: str) -> tuple[Examples, tuple[str, ...]]:
    """Return the examples that a run was trained on, and its classes: its data, read again, divided as its `splits.csv` says.

    Args:
        run: The run folder.
        modality: `"image"` or `"text"`.

    Raises:
        DataError: The data is not there any more, or is other data.
    """
    settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    load: Callable[..., Any] = load_images if modality == "image" else load_texts
    # A recipe's fields are called what the loader's options are called; near copies count only where a split is made.
    options = {name: settings[name] for name in inspect.signature(load).parameters if settings.get(name) is not None}
    splits = load(**{**options, "splits": run / "splits.csv", "near_duplicates": False})
    return splits.train, splits.classes


def find_features(predictor: "Predictor", examples: Examples, classes: tuple[str, ...]) -> Neighbours:
    """Compute the features of training examples, or of a seeded sample of 2,000 of them.

    Args:
        predictor: The model, a float32 `.tflite`.
        examples: The training examples.
        classes: The class names.
    """
    from tlkeras.features.litert import load_litert

    model = load_litert(with_features(predictor.path), threads=1)
    name = predictor.contract["input"]["name"]

    def extract(batch: np.ndarray) -> np.ndarray:
        return unit_rows(model(**{name: batch})[FEATURES])

    total, examples = len(examples), sample(examples)
    features = np.concatenate([extract(batch) for batch in _batches(predictor, examples)])
    return Neighbours(examples, examples.targets.cells(classes), features, extract, total)


def nearest(neighbours: Neighbours, row: np.ndarray, count: int) -> list[dict[str, Any]]:
    """Return the training examples nearest to an input, the nearest first, as JSON values.

    Args:
        neighbours: The training examples.
        row: The input as the model takes it, without the batch dimension.
        count: How many, at most.
    """
    order, similarities = nearest_rows(neighbours.features, neighbours.extract(row[None])[0], count)
    return [
        {
            "id": str(neighbours.examples.ids[index]),
            "label": str(neighbours.labels[index]),
            "similarity": round(float(similarity), 4),
            **_shown(neighbours.examples.take([index])),
        }
        for index, similarity in zip(order, similarities, strict=True)
    ]


def picture_uri(pixels: np.ndarray, kind: str = "png") -> str:
    """Return a picture as a `data:` address that a page can show."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _batches(predictor: "Predictor", examples: Examples) -> Iterable[np.ndarray]:
    terms: Mapping[str, Any] = predictor.contract["input"]
    if not isinstance(examples.store, Texts):
        return iterate_pixels(examples.store, terms["size"], _BATCH, resize=terms.get("resize", "crop"))
    if predictor.tokenizer is None:
        raise ValueError(f"{predictor.path} carries no tokenizer.")
    return (row[None] for row in tokenize(examples.store.texts, predictor.tokenizer, terms["sequence_length"]))


def _shown(example: Examples) -> dict[str, str]:
    """Return what a page shows of one example."""
    if isinstance(example.store, Texts):
        return {"text": example.store.texts[0]}
    return {"picture": picture_uri(read_pixels(example.store, _SHOWN_PIXELS)[0], "jpeg")}
