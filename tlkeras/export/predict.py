"""Predict with an artefact alone: no recipe, no Keras and, for a `.tflite`, no TensorFlow."""

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
from tlkeras.export.metadata import TOKENIZER
from tlkeras.export.runtimes import Run, open_artifact

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Prediction", "Predictor", "load_artifact", "predict_images", "predict_texts"]

IMAGE_BATCH, TEXT_BATCH = 16, 32
Row = tuple[np.ndarray, float | None]
"""One row of the task's output, and the similarity to the nearest training example, where the artefact says it."""


@dataclass(frozen=True)
class Predictor:
    """A loaded artefact.

    Attributes:
        path: Where it was loaded from.
        modality: `"image"` or `"text"`.
        labels: The names of the outputs, in their order: the classes, or the name of the value.
        contract: What goes in and what comes out, see `tlkeras.export.metadata.contract`.
        run: One batch of the artefact's own input to its outputs by name; see `tlkeras.export.runtimes.Run`.
        tokenizer: Texts: the tokenizer that the artefact carries.
        smallest: The similarity below which the answer is "none of these"; None where every input gets an answer.
    """

    path: Path
    modality: str
    labels: tuple[str, ...]
    contract: Mapping[str, Any]
    run: Run
    tokenizer: "tokenizers.Tokenizer | None" = None
    smallest: float | None = None

    @property
    def task(self) -> str:
        """`"classification"`, `"multi_label"` or `"regression"`."""
        return str(self.contract["task"])

    def outputs(self, batch: np.ndarray) -> np.ndarray:
        """Return the task's output for one batch, float32, a row for each, shape `(batch, classes)`, or `(batch, 1)`."""
        return self.run(batch)[self.contract["output"]["name"]]

    def rows(self, batch: np.ndarray) -> list[Row]:
        """Return what there is to answer from for each row of a batch."""
        found = self.run(batch)
        outputs, terms = found[self.contract["output"]["name"]], self.contract.get("rejection")
        similar = found[terms["output"]].reshape(-1).tolist() if terms else [None] * len(outputs)
        return list(zip(outputs, similar, strict=True))

    def answer(self, source: str, output: np.ndarray, similarity: float | None = None) -> Prediction:
        """Return what a row means.

        Args:
            source: The file, or the text.
            output: One row of `outputs`.
            similarity: To the nearest training example.
        """
        return read_output(
            self.task,
            self.labels,
            source,
            output,
            similarity=similarity,
            smallest=self.smallest,
            thresholds=self.contract["output"].get("thresholds", ()),
        )


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
        smallest=embedded.contract["rejection"]["threshold"] if refuse and "rejection" in embedded.contract else None,
    )


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
            answers = iter(predictor.rows(np.stack(decoded)) if decoded else ())
            for item, outcome in zip(batch, pixels, strict=True):
                source = "bytes" if isinstance(item, bytes) else str(item)
                unread = isinstance(outcome, str)
                predictions.append(
                    Prediction(source, problem=str(outcome)) if unread else predictor.answer(source, *next(answers))
                )
    return predictions


def predict_texts(predictor: Predictor, texts: Sequence[str]) -> list[Prediction]:
    """Predict on texts, in order; texts longer than the model's `sequence_length` are cut as in training."""
    _require(predictor, "text", "texts")
    if not texts:
        return []
    if predictor.contract["input"]["dtype"] == "string":
        rows: Sequence[Any] = texts
        answers = _in_batches(predictor.rows, rows, lambda chosen: np.array([text.encode() for text in chosen], object))
    else:
        from tlkeras.data.pipelines import tokenize

        if predictor.tokenizer is None:
            raise ArtifactError(f"{predictor.path} carries no tokenizer. Export it again.")
        rows = tokenize(texts, predictor.tokenizer, predictor.contract["input"]["sequence_length"])
        answers = _in_batches(predictor.rows, rows, lambda chosen: _padded(chosen, predictor.contract["input"]["pad_id"]))
    return [predictor.answer(text, *answer) for text, answer in zip(texts, answers, strict=True)]


def _in_batches(
    run: Callable[[np.ndarray], list[Row]], rows: Sequence[Any], batch: Callable[[Sequence[Any]], np.ndarray]
) -> list[Row]:
    """Run rows of like length together, so that little is padded; results in input order."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    results: list[Row] = [(np.empty(0), None)] * len(rows)
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


def _require(predictor: Predictor, modality: str, inputs: str) -> None:
    if predictor.modality != modality:
        raise ArtifactError(f"{predictor.path} is a model for {predictor.modality}s. Received: {inputs}")


def _load_tokenizer(content: bytes) -> "tokenizers.Tokenizer":
    import tokenizers

    return tokenizers.Tokenizer.from_str(content.decode())
