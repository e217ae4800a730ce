"""An evaluation as files in a run folder, and read back: `metrics.json`, `predictions.csv`, `gallery.json`, pictures."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.evaluation.evidence import GalleryItem, from_plain
from tlkeras.evaluation.metrics import MEASURED, Evaluation, Measure, normalised
from tlkeras.evaluation.nulls import predictions
from tlkeras.files import safe_cell, write_file, write_json
from tlkeras.plots import save_confusion, save_values

METRICS, PREDICTIONS, GALLERY = "metrics.json", "predictions.csv", "gallery.json"
PROBABILITY, COLUMN = "probability:", "column:"
"""What the names of the columns of `predictions.csv` that hold probabilities, and what is known of the examples, begin with."""


def save_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write `metrics.json`, `predictions.csv`, the confusion matrix as counts and as shares (CSV), and pictures.

    The pictures are `confusion_matrix.png` or, for values, `predicted.png`; `curves.png` (ROC, precision and recall),
    `calibration.png`, `slices.png` and `robustness.png`, each where there is something to show.
    """
    folder = Path(folder)
    write_json(folder / METRICS, evaluation.to_json())
    write_file(folder / PREDICTIONS, lambda path: _write_predictions(evaluation, path))
    if evaluation.confusion is not None:
        _write_confusion(folder / "confusion_matrix.csv", evaluation.confusion, evaluation.classes)
        _write_confusion(folder / "confusion_matrix_normalised.csv", normalised(evaluation.confusion), evaluation.classes)
    for name, draw in _pictures(evaluation).items():
        write_file(folder / name, draw)


def _pictures(evaluation: Evaluation) -> dict[str, Callable[[Path], None]]:
    from tlkeras.evaluation import drawings

    targets, outputs, classes = evaluation.targets, evaluation.outputs, evaluation.classes
    headline = next(iter(evaluation.measures), "")
    confusion, calibration = evaluation.confusion, evaluation.calibration
    pictures: dict[str, Callable[[Path], None]] = {}
    if evaluation.task == "regression":
        pictures["predicted.png"] = lambda path: save_values(targets, outputs[:, 0], path)
    elif drawings.can_be_ranked(targets, len(classes)):
        pictures["curves.png"] = lambda path: drawings.save_curves(targets, outputs, classes, path)
    if confusion is not None:
        pictures["confusion_matrix.png"] = lambda path: save_confusion(confusion, classes, path)
    if calibration is not None:
        pictures["calibration.png"] = lambda path: drawings.save_calibration(calibration, path)
    if evaluation.slices:
        overall = evaluation.measures[headline]
        pictures["slices.png"] = lambda path: drawings.save_slices(evaluation.slices, overall, path)
    if evaluation.robustness:
        pictures["robustness.png"] = lambda path: drawings.save_robustness(evaluation.robustness, headline, path)
    return pictures


def load_evaluation(folder: str | Path) -> Evaluation:
    """Read back what `save_evaluation` wrote into a run folder.

    Texts in cells keep the apostrophe that `save_evaluation` put before what a spreadsheet would run.

    Raises:
        TlkerasError: A file is missing, or they are not of one evaluation.
    """
    folder = Path(folder)
    for name in (METRICS, PREDICTIONS):
        if not (folder / name).is_file():
            raise TlkerasError(f"{folder} holds no evaluation: {name} is missing. Give the folder of a finished run.")
    try:
        return _evaluation(json.loads((folder / METRICS).read_text(encoding="utf-8")), *_read_table(folder / PREDICTIONS))
    except (KeyError, ValueError) as error:
        raise TlkerasError(
            f"{folder / METRICS} and {PREDICTIONS} are not of one evaluation, or of another version: {error}"
        ) from None


def save_gallery(items: Sequence[GalleryItem], folder: Path) -> None:
    """Write `gallery.json`; the pictures that it names lie in `gallery/`."""
    write_json(folder / GALLERY, list(items))


def load_gallery(folder: str | Path) -> tuple[GalleryItem, ...]:
    """Read back `gallery.json`; nothing where a run has none."""
    file = Path(folder) / GALLERY
    return from_plain(tuple[GalleryItem, ...], json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ()


def _evaluation(terms: dict[str, Any], header: list[str], rows: list[list[str]]) -> Evaluation:
    table = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    task, classes = terms["task"], tuple(terms["classes"])
    outputs = [[float(value) for value in table[f"{PROBABILITY}{name}"]] for name in classes if task != "regression"]
    known = Evaluation.__annotations__
    evaluation = Evaluation(
        task=task,
        measures=from_plain(dict[str, Measure], terms["test"]),
        classes=classes,
        ids=np.array(table["id"]),
        targets=_targets(task, classes, table["target"]),
        outputs=np.array(outputs or [[float(value) for value in table["predicted"]]], np.float32).T,
        per_class=terms["per_class"],
        confusion=None if terms["confusion"] is None else np.array(terms["confusion"]),
        nulls=from_plain(dict[str, Measure], terms["nulls"]),
        gain=from_plain(Measure | None, terms["gain"]),
        verdict=terms["verdict"],
        where=np.array(table["where"]),
        columns={name.removeprefix(COLUMN): np.array(table[name]) for name in header if name.startswith(COLUMN)},
    )
    return replace(evaluation, **{name: from_plain(known[name], terms[name]) for name in MEASURED if name in terms})


def _targets(task: str, classes: Sequence[str], cells: Sequence[str]) -> np.ndarray:
    if task == "regression":
        return np.array([float(cell) for cell in cells], np.float32)
    places = {safe_cell(name): place for place, name in enumerate(classes)}
    if task == "classification":
        return np.array([places[cell] for cell in cells], np.int32)
    labels = np.zeros((len(cells), len(classes)), np.uint8)
    places.update({name: place for place, name in enumerate(classes)})
    for row, cell in zip(labels, cells, strict=True):
        row[[places[name] for name in cell.split("|") if name]] = 1
    return labels


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return header, rows


def _write_predictions(evaluation: Evaluation, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "where", "target", "predicted", *_more_names(evaluation)])
        predicted = predictions(evaluation.task, evaluation.outputs)
        where = evaluation.where if len(evaluation.where) else evaluation.ids
        known = list(zip(*evaluation.columns.values(), strict=True)) or [()] * len(where)
        for row in zip(evaluation.ids, where, evaluation.targets, predicted, evaluation.outputs, known, strict=True):
            writer.writerow(_cells(evaluation, *row))


def _write_confusion(path: Path, matrix: np.ndarray, classes: Sequence[str]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["true", *(safe_cell(f"predicted: {name}") for name in classes)])
            writer.writerows(
                [safe_cell(name), *(f"{value:.6g}" for value in row)] for name, row in zip(classes, matrix, strict=True)
            )

    write_file(path, write)


def _more_names(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.task != "regression":
        yield from (f"{PROBABILITY}{name}" for name in evaluation.classes)
    yield from (f"{COLUMN}{name}" for name in evaluation.columns)


def _cells(evaluation: Evaluation, example: str, where: str, target: Any, guess: Any, outputs: Any, known: Any) -> list[str]:
    names = evaluation.classes
    start, end = [safe_cell(example), safe_cell(where)], [safe_cell(value) for value in known]
    if evaluation.task == "regression":
        return [*start, f"{target:.9g}", f"{guess:.9g}", *end]
    # Nine digits tell each float32 from every other.
    probabilities = [f"{value:.9g}" for value in outputs]
    if evaluation.task == "multi_label":
        sets = ["|".join(names[index] for index in np.flatnonzero(labels)) for labels in (target, guess)]
        return [*start, *map(safe_cell, sets), *probabilities, *end]
    return [*start, safe_cell(names[target]), safe_cell(names[guess]), *probabilities, *end]
