"""Predict with an artefact alone: no recipe, no Keras and, for a `.tflite`, no TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.data.decode import decode_image
from tlkeras.data.image_files import read_image_file
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.metadata import TOKENIZER, Embedded, read_saved_model, read_tflite

if TYPE_CHECKING:
    import tokenizers

IMAGE_BATCH, TEXT_BATCH = 16, 32
Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Predictor:
    """A loaded artefact.

    Attributes:
        path: Where it was loaded from.
        modality: `"image"` or `"text"`.
        labels: The class names, in the order of the outputs.
        contract: What goes in and what comes out, see `tlkeras.export.metadata.contract`.
        run: One batch of the artefact's own input (uint8 pictures, int32 token ids or strings) to probabilities, float32,
            shape `(batch, classes)`.
        tokenizer: Texts: the tokenizer that the artefact carries.
    """

    path: Path
    modality: str
    labels: tuple[str, ...]
    contract: Mapping[str, Any]
    run: Run
    tokenizer: "tokenizers.Tokenizer | None" = None


@dataclass(frozen=True)
class Prediction:
    """The answer for one input.

    Attributes:
        source: The file, or the text.
        label: The most probable class; None where the input could not be read.
        probability: Its probability, in `[0, 1]`.
        probabilities: Of all classes, float32, shape `(classes,)`; shape `(0,)` where the input could not be read.
        problem: Why there is no answer; empty if there is one.
    """

    source: str
    label: str | None = None
    probability: float | None = None
    probabilities: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32), compare=False)
    problem: str = ""


def load_artifact(path: str | Path, *, threads: int | None = None) -> Predictor:
    """Load an exported model: a `.tflite` file or a SavedModel folder that tlkeras wrote.

    Models are programs, SavedModels above all: they can read and write files. The checksum that an artefact carries shows
    damage, not where it comes from, so load only artefacts you trust.

    Args:
        path: The file or folder.
        threads: Threads that compute, for `.tflite`; all cores if not given.

    Raises:
        ArtifactError: It is damaged, foreign, or not a model at all.
    """
    path = Path(path)
    if not path.exists():
        raise ArtifactError(f"There is no such artefact. Received: {path}. Give a .tflite file or a saved_model folder.")
    if path.is_dir():
        embedded = read_saved_model(path)
        run = _saved_model_runner(path, embedded)
    else:
        embedded = _read_file(path)
        run = _litert_runner(path, embedded, threads)
    content = embedded.files.get(TOKENIZER)
    return Predictor(
        path=path,
        modality=embedded.contract["modality"],
        labels=tuple(embedded.contract["labels"]),
        contract=embedded.contract,
        run=run,
        tokenizer=_load_tokenizer(content) if content else None,
    )


def predict_images(predictor: Predictor, inputs: Sequence[str | Path | bytes]) -> list[Prediction]:
    """Classify pictures, in order; one that cannot be read gives a row with the reason.

    Args:
        predictor: A loaded picture model.
        inputs: Files, or the encoded content of files.
    """
    _require(predictor, "image", "pictures")
    size = predictor.contract["input"]["size"]
    predictions = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(inputs), IMAGE_BATCH):
            batch = inputs[start : start + IMAGE_BATCH]
            pixels = list(pool.map(lambda item: _pixels(item, size), batch))
            decoded = [item for item in pixels if isinstance(item, np.ndarray)]
            answers = iter(predictor.run(np.stack(decoded)) if decoded else ())
            for item, outcome in zip(batch, pixels, strict=True):
                source = "bytes" if isinstance(item, bytes) else str(item)
                predictions.append(
                    Prediction(source, problem=outcome)
                    if isinstance(outcome, str)
                    else _answer(predictor, source, next(answers))
                )
    return predictions


def predict_texts(predictor: Predictor, texts: Sequence[str]) -> list[Prediction]:
    """Classify texts, in order; texts longer than the model's `sequence_length` are cut as in training."""
    _require(predictor, "text", "texts")
    if not texts:
        return []
    if predictor.contract["input"]["dtype"] == "string":
        rows: Sequence[Any] = texts
        probabilities = _in_batches(predictor.run, rows, lambda chosen: np.array([text.encode() for text in chosen], object))
    else:
        from tlkeras.data.pipelines import tokenize

        if predictor.tokenizer is None:
            raise ArtifactError(f"{predictor.path} carries no tokenizer. Export it again.")
        rows = tokenize(texts, predictor.tokenizer, predictor.contract["input"]["sequence_length"])
        probabilities = _in_batches(predictor.run, rows, lambda chosen: _padded(chosen, predictor.contract["input"]["pad_id"]))
    return [_answer(predictor, text, row) for text, row in zip(texts, probabilities, strict=True)]


def _in_batches(run: Run, rows: Sequence[Any], batch: Callable[[Sequence[Any]], np.ndarray]) -> list[np.ndarray]:
    """Run rows of like length together, so that little is padded; results in input order."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    results: list[np.ndarray] = [np.empty(0)] * len(rows)
    for start in range(0, len(order), TEXT_BATCH):
        indices = order[start : start + TEXT_BATCH]
        for index, row in zip(indices, run(batch([rows[index] for index in indices])), strict=True):
            results[index] = row
    return results


def _padded(rows: Sequence[np.ndarray], pad_id: int) -> np.ndarray:
    batch = np.full((len(rows), max(map(len, rows))), pad_id, np.int32)
    for line, row in zip(batch, rows, strict=True):
        line[: len(row)] = row
    return batch


def _pixels(item: str | Path | bytes, size: int) -> np.ndarray | str:
    try:
        return decode_image(item if isinstance(item, bytes) else read_image_file(item), size)
    except ValueError as error:
        return str(error)


def _answer(predictor: Predictor, source: str, probabilities: np.ndarray) -> Prediction:
    best = int(np.argmax(probabilities))
    return Prediction(source, predictor.labels[best], float(probabilities[best]), probabilities)


def _require(predictor: Predictor, modality: str, inputs: str) -> None:
    if predictor.modality != modality:
        raise ArtifactError(f"{predictor.path} is a model for {predictor.modality}s. Received: {inputs}")


def _read_file(path: Path) -> Embedded:
    with path.open("rb") as stream:
        start = stream.read(8)
    if start[4:] != b"TFL3":
        raise ArtifactError(
            f"{path} is not a .tflite model (byte 4 on should read 'TFL3'). Received: {start[4:]!r}. "
            "Give a .tflite file or a saved_model folder that tlkeras exported."
        )
    return read_tflite(path)


def _litert_runner(path: Path, embedded: Embedded, threads: int | None) -> Run:
    from tlkeras.features.litert import load_litert

    model = load_litert(path, threads=threads)
    name, output = embedded.contract["input"]["name"], embedded.contract["output"]["name"]
    if name not in model.inputs or output not in model.outputs:
        raise ArtifactError(
            f"{path} contradicts its own contract: it has no input {name!r} or no output {output!r}. Export again."
        )
    return lambda batch: model(**{name: batch})[output]


def _saved_model_runner(path: Path, embedded: Embedded) -> Run:
    import tensorflow as tf

    if embedded.contract["input"]["dtype"] == "string":
        import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    name, output = embedded.contract["input"]["name"], embedded.contract["output"]["name"]

    def run(batch: np.ndarray, keep: Any = loaded) -> np.ndarray:  # a signature does not keep its variables alive
        return signature(**{name: tf.constant(batch)})[output].numpy()

    return run


def _load_tokenizer(content: bytes) -> "tokenizers.Tokenizer":
    import tokenizers

    return tokenizers.Tokenizer.from_str(content.decode())
