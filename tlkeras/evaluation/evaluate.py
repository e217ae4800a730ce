"""Evaluate a model on the test split, beside the nulls."""

import csv
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.evaluation import nulls
from tlkeras.evaluation.metrics import (
    Evaluation,
    Measure,
    bootstrap,
    confusion_matrix,
    measure_all,
    precision_recall_f1,
    wilson,
)
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.files import safe_cell, write_file, write_json
from tlkeras.plots import save_confusion
from tlkeras.tasks.model import TransferModel

log = logging.getLogger("tlkeras")


def predict_examples(model: TransferModel, examples: Examples) -> np.ndarray:
    """Return the model's probabilities for some examples, float32, shape `(n, classes)`."""
    return run_network(model.network, [read_inputs(examples, model.source)])[0].values


def evaluate(model: TransferModel, splits: Splits, *, compare_nulls: bool = True, seed: int = 0) -> Evaluation:
    """Measure a model on the test examples and say whether transfer helped.

    Args:
        model: A trained model.
        splits: The nulls are fitted on its training examples and tuned on its validation examples.
        compare_nulls: False leaves the nulls, the gain and the verdict out.
        seed: Seed of the random network and of the bootstrap.

    Returns:
        Measures with 95 % intervals: Wilson's for proportions, BCa bootstrap for the others.
    """
    probabilities = predict_examples(model, splits.test)
    labels, predicted = splits.test.labels, probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, len(splits.classes))
    columns = zip(splits.classes, *precision_recall_f1(confusion), confusion.sum(axis=1), strict=True)
    evaluation = Evaluation(
        measures=measure_all(labels, probabilities, seed=seed),
        per_class={
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)} for name, p, r, f, n in columns
        },
        confusion=confusion,
        classes=splits.classes,
        ids=splits.test.ids,
        labels=labels,
        probabilities=probabilities,
    )
    return _beside_nulls(evaluation, model, splits, seed) if compare_nulls else evaluation


def _beside_nulls(evaluation: Evaluation, model: TransferModel, splits: Splits, seed: int) -> Evaluation:
    started = time.monotonic()
    simple = "tf-idf + logistic regression" if splits.modality == "text" else "pixels + logistic regression"
    predictions = {
        "majority class": nulls.majority(splits),
        "same network, random weights": nulls.random_network(model, splits, seed=seed),
        simple: nulls.without_network(splits),
    }
    labels = evaluation.labels
    hits = {name: predicted == labels for name, predicted in predictions.items()}
    best = max(hits, key=lambda name: hits[name].sum())
    model_hits = evaluation.probabilities.argmax(axis=1) == labels
    gain = paired_gain(model_hits, hits[best], seed=seed)
    log.info("The nulls took %.1f s", time.monotonic() - started)
    return replace(
        evaluation,
        nulls={name: wilson(int(hit.sum()), len(hit)) for name, hit in hits.items()},
        gain=gain,
        verdict=verdict(gain, best),
    )


def paired_gain(model_hits: np.ndarray, null_hits: np.ndarray, *, seed: int = 0) -> Measure:
    """Return the difference of two accuracies on the same examples, with its BCa interval.

    Args:
        model_hits: Where the model is right, bool, shape `(n,)`.
        null_hits: Where the null is right, bool, shape `(n,)`.
        seed: Seed of the bootstrap.
    """
    difference = model_hits.astype(float) - null_hits.astype(float)
    return bootstrap(lambda rows: float(difference[rows].mean()), len(difference), seed=seed)


def verdict(gain: Measure, null: str) -> str:
    """Say in words what a gain above the best null means."""
    points = f"{100 * gain.value:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    if gain.low > 0:
        return f"Transfer helped: {points} above {null}"
    if gain.high < 0:
        return f"Transfer hurt: {points} against {null}"
    return f"Transfer made no difference that {gain.n} test examples can show: {points} against {null}"


def save_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write `metrics.json`, `predictions.csv` and `confusion_matrix.png` into a run folder."""
    write_json(folder / "metrics.json", evaluation.to_json())
    write_file(folder / "predictions.csv", lambda path: _write_predictions(evaluation, path))
    write_file(folder / "confusion_matrix.png", lambda path: save_confusion(evaluation.confusion, evaluation.classes, path))


def _write_predictions(evaluation: Evaluation, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "label", "predicted", "probability"])
        for example, label, row in zip(evaluation.ids, evaluation.labels, evaluation.probabilities, strict=True):
            guess = int(row.argmax())
            names = (safe_cell(evaluation.classes[label]), safe_cell(evaluation.classes[guess]))
            writer.writerow([safe_cell(str(example)), *names, f"{row[guess]:.6f}"])
