"""Predict with an artefact alone: no recipe, no Keras and, for a `.tflite`, no TensorFlow."""

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.data.decode import decode_image
from tlkeras.data.image_files import read_image_file
from tlkeras.export.answers import Prediction, read_output
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.metadata import TOKENIZER, Embedded
from tlkeras.export.runtimes import Run, open_artifact, open_features
from tlkeras.tasks.model import Familiar

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Prediction", "Predictor", "load_artifact", "predict_images", "predict_texts"]

IMAGE_BATCH, TEXT_BATCH = 16, 32
Row = tuple[np.ndarray, bool]
Refuse = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Predictor:
    """A loaded artefact.

    Attributes:
        path: Where it was loaded from.
        modality: `"image"` or `"text"`.
        labels: The names of the outputs, in their order: the classes, or the name of the value.
        contract: What goes in and what comes out, see `tlkeras.export.metadata.contract`.
        run: One batch of the artefact's own input to its output; see `tlkeras.export.runtimes.Run`.
        tokenizer: Texts: the tokenizer that the artefact carries.
        refuse: As `run`, and for which rows the answer is "none of these"; None where every input gets a class.
    """

    path: Path
    modality: str
    labels: tuple[str, ...]
    contract: Mapping[str, Any]
    run: Run
    tokenizer: "tokenizers.Tokenizer | None" = None
    refuse: Refuse | None = None

    @property
    def task(self) -> str:
        """`"classification"`, `"multi_label"` or `"regression"`."""
        return str(self.contract["task"])


def load_artifact(path: str | Path, *, threads: int | None = None, refuse: bool = False) -> Predictor:
    """Load an exported model: a `.tflite` file or a SavedModel folder that tlkeras wrote.

    Models are programs, SavedModels above all: they can read and write files. The checksum that an artefact carries shows
    damage, not where it comes from, so load only artefacts you trust.

    Args:
        path: The file or folder.
        threads: Threads that compute, for `.tflite`; all cores if not given.
        refuse: Answer "none of these" to inputs unlike anything the model was trained on, where the artefact's contract has a
            `rejection`.

    Raises:
        ArtifactError: It is damaged, foreign, or not a model at all.
    """
    path = Path(path)
    embedded, run = open_artifact(path, threads=threads)
    content = embedded.files.get(TOKENIZER)
    return Predictor(
        path=path,
        modality=embedded.contract["modality"],
        labels=tuple(embedded.contract["labels"]),
        contract=embedded.contract,
        run=run,
        tokenizer=_load_tokenizer(content) if content else None,
        refuse=_refusing(path, embedded, threads) if refuse and "rejection" in embedded.contract else None,
    )


def _refusing(path: Path, embedded: Embedded, threads: int | None) -> Refuse:
    """Return a function of a batch to its outputs, and to whether each row is too far from all training examples."""
    terms = embedded.contract["rejection"]
    bank = np.load(io.BytesIO(embedded.files[terms["file"]]), allow_pickle=False)
    familiar, run = Familiar(bank, terms["threshold"]), open_features(path, embedded, threads=threads)

    def refuse(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs, features = run(batch)
        return outputs, familiar.similarity(features) < familiar.smallest

    return refuse


def predict_images(predictor: Predictor, inputs: Sequence[str | Path | bytes]) -> list[Prediction]:
    """Predict on pictures, in order; one that cannot be read gives a row with the reason.

    Args:
        predictor: A loaded picture model.
        inputs: Files, or the encoded content of files.
    """
    _require(predictor, "image", "pictures")
    terms = predictor.contract["input"]
    predictions = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(inputs), IMAGE_BATCH):
            batch = inputs[start : start + IMAGE_BATCH]
            pixels = list(pool.map(lambda item: _pixels(item, terms["size"], terms.get("resize", "crop")), batch))
            decoded = [item for item in pixels if isinstance(item, np.ndarray)]
            answers = iter(_rows(predictor)(np.stack(decoded)) if decoded else ())
            for item, outcome in zip(batch, pixels, strict=True):
                source = "bytes" if isinstance(item, bytes) else str(item)
                predictions.append(
                    Prediction(source, problem=outcome)
                    if isinstance(outcome, str)
                    else _answer(predictor, source, *next(answers))
                )
    return predictions


def predict_texts(predictor: Predictor, texts: Sequence[str]) -> list[Prediction]:
    """Predict on texts, in order; texts longer than the model's `sequence_length` are cut as in training."""
    _require(predictor, "text", "texts")
    if not texts:
        return []
    if predictor.contract["input"]["dtype"] == "string":
        rows: Sequence[Any] = texts
        answers = _in_batches(_rows(predictor), rows, lambda chosen: np.array([text.encode() for text in chosen], object))
    else:
        from tlkeras.data.pipelines import tokenize

        if predictor.tokenizer is None:
            raise ArtifactError(f"{predictor.path} carries no tokenizer. Export it again.")
        rows = tokenize(texts, predictor.tokenizer, predictor.contract["input"]["sequence_length"])
        answers = _in_batches(_rows(predictor), rows, lambda chosen: _padded(chosen, predictor.contract["input"]["pad_id"]))
    return [_answer(predictor, text, *answer) for text, answer in zip(texts, answers, strict=True)]


def _rows(predictor: Predictor) -> Callable[[np.ndarray], list[Row]]:
    """Return a function of a batch to its rows: the output of each, and whether it is refused."""

    def run(batch: np.ndarray) -> list[Row]:
        if predictor.refuse is None:
            return [(row, False) for row in predictor.run(batch)]
        return [(row, bool(refused)) for row, refused in zip(*predictor.refuse(batch), strict=True)]

    return run


def _in_batches(
    run: Callable[[np.ndarray], list[Row]], rows: Sequence[Any], batch: Callable[[Sequence[Any]], np.ndarray]
) -> list[Row]:
    """Run rows of like length together, so that little is padded; results in input order."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    results: list[Row] = [(np.empty(0), False)] * len(rows)
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


def _pixels(item: str | Path | bytes, size: int, resize: str) -> np.ndarray | str:
    try:
        return decode_image(item if isinstance(item, bytes) else read_image_file(item), size, resize=resize)
    except ValueError as error:
        return str(error)


def _answer(predictor: Predictor, source: str, output: np.ndarray, refused: bool) -> Prediction:
    return read_output(predictor.task, predictor.labels, source, output, refused=refused)


def _require(predictor: Predictor, modality: str, inputs: str) -> None:
    if predictor.modality != modality:
        raise ArtifactError(f"{predictor.path} is a model for {predictor.modality}s. Received: {inputs}")


def _load_tokenizer(content: bytes) -> "tokenizers.Tokenizer":
    import tokenizers

    return tokenizers.Tokenizer.from_str(content.decode())
