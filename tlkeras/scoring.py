"""What `tlkeras predict` is given and gives: files, folders, tables, texts and lines in; rows out."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tlkeras.data.folders import IMAGE_SUFFIXES
from tlkeras.data.image_files import sniff_format
from tlkeras.data.table_files import TABLE_SUFFIXES
from tlkeras.export.answers import NONE_OF_THESE
from tlkeras.files import safe_cell, write_file

if TYPE_CHECKING:
    from tlkeras.export.predict import Prediction, Predictor

_SHOWN = 60


def gather(inputs: Sequence[str], modality: str, stream: TextIO) -> list[str | bytes]:
    """Return the single inputs: `-` becomes the lines or the picture, a folder becomes the pictures in it, sorted.

    Args:
        inputs: Files, folders or texts.
        modality: `"image"` or `"text"`.
        stream: Standard input: lines, or the content of one picture; read only where `-` is among the inputs.

    Raises:
        ValueError: There is nothing to predict on.
    """
    found: list[str | bytes] = []
    for item in inputs:
        if item == "-":
            found += _read_stream(stream.buffer.read(), modality)
        elif modality == "image" and Path(item).is_dir():
            files = [file for file in Path(item).rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
            if not files:
                raise ValueError(
                    f"There are no pictures in the folder {item!r}. Pictures end in {', '.join(sorted(IMAGE_SUFFIXES))}."
                )
            found += map(str, sorted(files))
        else:
            found.append(item)
    if not found:
        kinds = "files or folders of pictures" if modality == "image" else "texts or a table"
        raise ValueError(f"There is nothing to predict on. Give {kinds}, or - to read standard input.")
    return found


def _read_stream(content: bytes, modality: str) -> list[str | bytes]:
    if modality == "image" and sniff_format(content[:64]):
        return [content]
    # Names of files may hold any bytes.
    text = os.fsdecode(content) if modality == "image" else content.decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()]


def is_table(item: str | bytes) -> bool:
    """Say whether an input of a text model is a table rather than a text."""
    return (
        isinstance(item, str)
        and Path(item).suffix.lower() in TABLE_SUFFIXES
        and (" " not in item.strip() or Path(item).is_file())
    )


def predict_inputs(predictor: "Predictor", items: Sequence[str | bytes]) -> "list[Prediction]":
    """Predict pictures or texts, whichever the artefact is for; a picture from standard input is called `-`."""
    from tlkeras.export.predict import predict_images, predict_texts

    if predictor.modality == "text":
        return predict_texts(predictor, [str(item) for item in items])
    found = predict_images(predictor, items)
    return [replace(one, source="-") if isinstance(item, bytes) else one for one, item in zip(found, items, strict=True)]


def best(prediction: "Prediction", labels: Sequence[str], top: int) -> list[tuple[str, float]]:
    """Return the `top` most probable classes with their probabilities, none where there are no probabilities.

    The class that was decided for comes first, also where its threshold is lower than the other one's.
    """
    decided = prediction.labels if prediction.label is not None else ()
    falling = (-prediction.probabilities).argsort(kind="stable").tolist()
    order = sorted(falling, key=lambda index: labels[index] not in decided)
    return [(labels[index], float(prediction.probabilities[index])) for index in order[:top]]


def as_json(prediction: "Prediction", predictor: "Predictor", top: int) -> dict[str, Any]:
    """Return what `--json` prints for one input."""
    if prediction.problem:
        return {"input": prediction.source, "problem": prediction.problem}
    if prediction.value is not None:
        return {"input": prediction.source, "value": float(f"{prediction.value:.9g}")}
    shown = _as_objects(best(prediction, predictor.labels, top))
    if prediction.refused:
        return {"input": prediction.source, "label": NONE_OF_THESE, "nearest": shown}
    more = {"top": shown} if top > 1 else {}
    if predictor.task == "multi_label":
        return {"input": prediction.source, "labels": _as_objects(applying(prediction, predictor.labels)), **more}
    return {"input": prediction.source, **shown[0], **more}


def applying(prediction: "Prediction", labels: Sequence[str]) -> list[tuple[str, float]]:
    """Return the classes that apply with their probabilities, in the order of the outputs."""
    return [(label, float(prediction.probabilities[labels.index(label)])) for label in prediction.labels]


def _as_objects(pairs: "Iterable[tuple[str, float]]") -> list[dict[str, Any]]:
    return [{"label": label, "probability": round(value, 6)} for label, value in pairs]


def as_header(predictor: "Predictor", top: int) -> tuple[str, str]:
    """Return the header of the table that is printed."""
    if predictor.task == "regression":
        return "input", predictor.labels[0]
    return "input", "labels" if top > 1 or predictor.task == "multi_label" else "label"


def as_rows(predictions: "Iterable[Prediction]", predictor: "Predictor", top: int) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table that is printed: the input, shortened, and its classes with their probabilities, or value."""
    for prediction in predictions:
        source = prediction.source if len(prediction.source) <= _SHOWN else f"{prediction.source[: _SHOWN - 1]}…"
        if prediction.problem:
            yield source, f"not read: {prediction.problem}"
        elif prediction.value is not None:
            yield source, f"{prediction.value:.6g}"
        elif prediction.refused:
            nearest = ", ".join(f"{label} {value:.3f}" for label, value in best(prediction, predictor.labels, top))
            yield source, f"{NONE_OF_THESE} (nearest: {nearest})"
        else:
            several = predictor.task == "multi_label" and top == 1
            pairs = applying(prediction, predictor.labels) if several else best(prediction, predictor.labels, top)
            yield source, ", ".join(f"{label} {value:.3f}" for label, value in pairs) or "none"


def answer_parts(
    predictions: "Sequence[Prediction]", predictor: "Predictor", *, output: Path | None, json: bool, top: int
) -> "Iterator[str | tuple[tuple[str, str], list[tuple[str, str]]]]":
    """Write the answers to a file, or yield them as JSON lines or as a table; see `tlkeras predict`."""
    if top < 1:
        raise ValueError(f"--top is a number of classes, 1 or more. Received: {top}")
    if output:
        save_predictions(predictions, predictor, output)
        yield f"Wrote {output}: {len(predictions)} rows"
    elif json:
        yield from (dumps(as_json(prediction, predictor, top), ensure_ascii=False) for prediction in predictions)
    else:
        yield as_header(predictor, top), list(as_rows(predictions, predictor, top))


def save_predictions(predictions: "Sequence[Prediction]", predictor: "Predictor", path: Path) -> None:
    """Write a CSV, whole or not at all: `input`, the answer's columns (see `tlkeras.export.answers.columns`), `problem`."""
    from tlkeras.export.answers import cells, columns

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["input", *columns(predictor.task), "problem"])
            for item in predictions:
                answer = map(_cell, cells(predictor.task, predictor.labels, item))
                writer.writerow([safe_cell(item.source), *answer, safe_cell(item.problem)])

    write_file(path, write)


def _cell(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}" if 1e-3 < abs(value) < 1e6 or not value else f"{value:.9g}"
    return safe_cell(value or "")


def score_table(predictor: "Predictor", items: Sequence[str | bytes], output: Path | None, text_column: str | None) -> None:
    """Score a table alone, into a new one.

    Args:
        predictor: What to predict with.
        items: The inputs: one table.
        output: The CSV file to write.
        text_column: The column that holds the texts; guessed if not given.

    Raises:
        ValueError: There are other inputs beside the table, or no file to write is given.
    """
    from tlkeras.export.scored import predict_table

    table = next(item for item in items if isinstance(item, str) and is_table(item))
    if len(items) != 1 or output is None:
        raise ValueError(
            f"A table is scored alone, into a new one: tlkeras predict {predictor.path} {table} --output scored.csv"
        )
    predict_table(predictor, table, output, text_column=text_column)
