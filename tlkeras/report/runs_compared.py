"""Runs beside one another, paired on the test examples that they share."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.paired import compare_scores, holm
from tlkeras.report.run_record import RunRecord, read_run

_LABEL = "label"
"""What the column `target` was called in runs of version 0.1.0 and before."""


@dataclass(frozen=True)
class RunBeside:
    """A run beside the first one, on the examples that all of them were tested on.

    Attributes:
        path: Its folder.
        source: Its source model.
        settings: Where its configuration differs from the first one's.
        value: The mean score on the shared examples: accuracy, Jaccard score, or minus the absolute error.
        difference: Against the first run; None for the first.
        wins: The number of shared examples on which it is better than the first.
        losses: The number on which it is worse.
        p_value: Of an exact sign test, corrected for the number of runs (Holm).
    """

    path: str
    source: str
    settings: Mapping[str, Any]
    value: float
    difference: Measure | None = None
    wins: int = 0
    losses: int = 0
    p_value: float | None = None


@dataclass(frozen=True)
class RunsCompared:
    """Several runs, the first of which the others are compared with.

    Attributes:
        task: Their task.
        measure: What is compared, in words.
        n: The number of test examples that all share.
        left_out: How many test examples are not shared by all.
        runs: The runs, in the order in which they were given.
        verdict: What it comes to.
    """

    task: str
    measure: str
    n: int
    left_out: int
    runs: tuple[RunBeside, ...]
    verdict: str


def compare_runs(paths: Sequence[str | Path], *, seed: int = 0) -> RunsCompared:
    """Compare the predictions of runs with those of the first, on the test examples that all of them share.

    Raises:
        ValueError: There are fewer than two, they solve different tasks, or share no test example.
        TlkerasError: A run has no predictions, or the same example has another target in another run.
    """
    if len(paths) < 2:
        raise ValueError(f"A comparison takes two runs or more. Received: {len(paths)}")
    records = [read_run(path) for path in paths]
    tasks = {record.task for record in records}
    if len(tasks) > 1:
        raise ValueError(f"Runs of one task can be compared. Received: {', '.join(sorted(tasks))}")
    (task,) = tasks
    tables = [_read(record.path / "predictions.csv") for record in records]
    shared = [key for key in tables[0] if all(key in table for table in tables[1:])]
    if not shared:
        raise ValueError(
            f"{records[0].path} and the others share no test example. Runs on the same data and split can be compared: give "
            f"the second --splits {records[0].path / 'splits.csv'}"
        )
    _check_targets(tables, shared, records)
    scores = [np.array([_SCORES[task](*table[key]) for key in shared]) for table in tables]
    runs = _beside(records, scores, seed)
    return RunsCompared(
        task=task,
        measure=_MEASURES[task],
        n=len(shared),
        left_out=len({key for table in tables for key in table}) - len(shared),
        runs=runs,
        verdict=_verdict(runs, len(shared), points=task != "regression"),
    )


def _beside(records: Sequence[RunRecord], scores: Sequence[np.ndarray], seed: int) -> tuple[RunBeside, ...]:
    first = records[0]
    found = [compare_scores(score, scores[0], seed=seed) for score in scores[1:]]
    p_values = holm([one.p_value for one in found])
    runs = [RunBeside(str(first.path), first.source, {}, float(scores[0].mean()))]
    for record, score, one, p_value in zip(records[1:], scores[1:], found, p_values, strict=True):
        settings = {
            name: value
            for name, value in record.config.items()
            if name not in ("output", "resume") and value != first.config.get(name)
        }
        value = float(score.mean())
        runs.append(RunBeside(str(record.path), record.source, settings, value, one.difference, one.wins, one.losses, p_value))
    return tuple(runs)


def _verdict(runs: Sequence[RunBeside], n: int, *, points: bool) -> str:
    factor, unit, digits = (100, " points", 1) if points else (1, " less error", 3)
    sentences = []
    for run in runs[1:]:
        difference = run.difference
        if difference is None:
            continue
        low, high = factor * difference.low, factor * difference.high
        size = f"{factor * difference.value:+.{digits}f}{unit} [{low:+.{digits}f}, {high:+.{digits}f}]"
        surely = run.p_value is not None and run.p_value < 0.05
        word = ("better" if difference.value > 0 else "worse") if surely else "no different, as far as these examples can show"
        sentences.append(f"{run.path} is {word} than {runs[0].path}: {size}" if surely else f"{run.path} is {word}: {size}")
    return f"On the same {n:,} test examples: " + "; ".join(sentences) + "."


def _read(file: Path) -> dict[str, tuple[str, str]]:
    """The target and the prediction of each example, as they are written."""
    if not file.is_file():
        raise TlkerasError(f"{file} is missing: runs are compared by their predictions. Make the run again.")
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        target = "target" if "target" in (reader.fieldnames or ()) else _LABEL
        missing = sorted({"id", target, "predicted"} - set(reader.fieldnames or ()))
        if missing:
            raise TlkerasError(f"{file} lacks the column {missing[0]!r}: it is no list of predictions of a run.")
        return {row["id"]: (row[target], row["predicted"]) for row in reader}


def _check_targets(
    tables: Sequence[Mapping[str, tuple[str, str]]], shared: Sequence[str], records: Sequence[RunRecord]
) -> None:
    for table, record in zip(tables[1:], records[1:], strict=True):
        for key in shared:
            if table[key][0] != tables[0][key][0]:
                raise TlkerasError(
                    f"Example {key!r} is {tables[0][key][0]!r} in {records[0].path} and {table[key][0]!r} in {record.path}: "
                    "the data changed between the runs. Make one of them again."
                )


def _jaccard(target: str, predicted: str) -> float:
    true, given = ({name for name in cell.split("|") if name} for cell in (target, predicted))
    return len(true & given) / len(true | given) if true | given else 1.0


_MEASURES = {"classification": "accuracy", "multi_label": "Jaccard score", "regression": "minus the absolute error"}
_SCORES: dict[str, Callable[[str, str], float]] = {
    "classification": lambda target, predicted: float(target == predicted),
    "multi_label": _jaccard,
    "regression": lambda target, predicted: -abs(float(target) - float(predicted)),
}
