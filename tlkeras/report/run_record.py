"""A run folder as a report reads it: files only, no network, no TensorFlow."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tlkeras.errors import TlkerasError

PARTS = ("train", "val", "test")
LISTED = 20
"""Inputs that were left out and are named in a report; the others are in `bad_inputs.jsonl`."""


@dataclass(frozen=True)
class DataCounts:
    """What `splits.csv` and `bad_inputs.jsonl` say.

    Attributes:
        parts: The number of examples in each part.
        labels: The number of examples of each label in each part.
        skipped: The first inputs that were left out: where, and why.
        reasons: How many were left out for each reason.
    """

    parts: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    skipped: Sequence[Mapping[str, str]]
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class RunRecord:
    """What a run folder holds, as plain values; what is not there is empty.

    Attributes:
        path: The folder.
        config: `config.yaml`.
        metrics: `metrics.json`.
        history: The rows of `history.csv`.
        parity: `parity.json`, by target.
        metadata: `exports/metadata.json`.
        benchmarks: `exports/benchmark.json`, by file.
        environment: `environment.json`.
        gallery: `gallery.json`.
        few: `refit_few.json`: on how many examples it was trained in the end, where validation examples were few.
        data: The counts of examples.
    """

    path: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, str]] = ()
    parity: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    benchmarks: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    gallery: Sequence[Mapping[str, Any]] = ()
    few: Mapping[str, Any] = field(default_factory=dict)
    data: DataCounts = field(default_factory=lambda: DataCounts({}, {}, (), {}))

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return str(self.config.get("recipe", ""))

    @property
    def task(self) -> str:
        """`"classification"`, `"multi_label"` or `"regression"`."""
        return str(self.metrics.get("task", ""))

    @property
    def modality(self) -> str:
        """`"image"` or `"text"`; empty where nothing was exported."""
        return str(self.metadata.get("modality", ""))

    @property
    def source(self) -> str:
        """The source model's name."""
        return str((self.metadata.get("source") or {}).get("name") or self.config.get("source", ""))


def read_run(path: str | Path) -> RunRecord:
    """Read a run folder.

    Raises:
        ValueError: It is no run folder, or the run was not evaluated.
        TlkerasError: A file in it is damaged.
    """
    path = Path(path)
    if not (path / "config.yaml").is_file():
        raise ValueError(f"A run folder holds config.yaml. Received: {path}. Give one, as in saved_models/latest.")
    if not (path / "metrics.json").is_file():
        raise ValueError(f"{path} holds no metrics.json: the run was not evaluated. Go on with it by --resume, then report.")
    try:
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TlkerasError(f"{path / 'config.yaml'} is damaged: {error}") from error
    return RunRecord(
        path=path,
        config=config,
        metrics=_json(path / "metrics.json", {}),
        history=_rows(path / "history.csv"),
        parity=_json(path / "parity.json", {}),
        metadata=_json(path / "exports" / "metadata.json", {}),
        benchmarks=_json(path / "exports" / "benchmark.json", {}),
        environment=_json(path / "environment.json", {}),
        gallery=_json(path / "gallery.json", []),
        few=_json(path / "refit_few.json", {}),
        data=_count(path),
    )


def _json(file: Path, default: Any) -> Any:
    if not file.is_file():
        return default
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TlkerasError(f"{file} is damaged: {error}. Delete it, or make the run again.") from error
    if not isinstance(value, type(default)):
        raise TlkerasError(f"{file} should hold a JSON {'object' if default == {} else 'list'}. Received: {str(value)[:60]}")
    return value


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _count(folder: Path) -> DataCounts:
    counts: Counter[tuple[str, str]] = Counter()
    if (folder / "splits.csv").is_file():
        with (folder / "splits.csv").open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            part, label = header.index("split"), header.index("label")
            counts = Counter((row[part], row[label]) for row in rows)
    labels: dict[str, dict[str, int]] = {}
    for (name, value), count in counts.items():
        labels.setdefault(value, {})[name] = count
    parts = {name: sum(count for (part, _), count in counts.items() if part == name) for name in PARTS}
    skipped, reasons = _skipped(folder / "bad_inputs.jsonl")
    return DataCounts(parts if counts else {}, labels, skipped, reasons)


def _skipped(file: Path) -> tuple[list[dict[str, str]], Mapping[str, int]]:
    if not file.is_file():
        return [], {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[:LISTED], dict(Counter(line["reason"] for line in lines).most_common())
