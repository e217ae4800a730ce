"""Evaluate a model on the test split, beside the nulls."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.targets import MultiLabelTargets, ValueTargets
from tlkeras.data.vanished import read_still_there
from tlkeras.evaluation import classification, multi_label, nulls, regression
from tlkeras.evaluation.calibration import measure_calibration
from tlkeras.evaluation.classification import confusion_matrix
from tlkeras.evaluation.metrics import Evaluation, Measure
from tlkeras.evaluation.nulls import predictions
from tlkeras.evaluation.paired import paired_gain
from tlkeras.evaluation.rejection import measure_rejection
from tlkeras.evaluation.responses import Responses, respond
from tlkeras.evaluation.slices import measure_slices, slice_columns
from tlkeras.evaluation.thresholds import at_thresholds
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.tasks.model import TransferModel

MEASURES: dict[str, Any] = {"classification": classification, "multi_label": multi_label, "regression": regression}
AT_THRESHOLDS = {"classification": "balanced_accuracy", "multi_label": "f1_macro"}
"""The measures that, beside the headlines, are also given at the model's thresholds, which its exports use."""
HEADLINES = {"classification": "accuracy", "multi_label": "jaccard", "regression": "mean_absolute_error"}
log = logging.getLogger("tlkeras")


def predict_examples(model: TransferModel, examples: Examples) -> np.ndarray:
    """Return the model's outputs for some examples, float32, shape `(n, classes)`, or `(n, 1)` for values."""
    return run_network(model.network, [read_inputs(examples, model.source)])[0].values


def evaluate(
    model: TransferModel,
    splits: Splits,
    *,
    columns: Mapping[str, np.ndarray] | None = None,
    foreign: Examples | None = None,
    compare_nulls: bool = True,
    seed: int = 0,
) -> Evaluation:
    """Measure a model on the test examples and say whether transfer helped.

    Beside the measures of the task this gives slices and, for classes, calibration, measures at the thresholds that
    `tlkeras.calibrate` chose on validation, and how well "none of these" is answered.

    Args:
        model: A trained model.
        splits: The nulls are fitted on its training examples and tuned on its validation examples.
        columns: More columns to slice the test examples by, each of shape `(n,)`.
        foreign: Inputs unlike anything in the data, to measure "none of these" on; if not given, for pictures the 20
            photographs of the package foolbox, where it is installed, for texts paragraphs of Python's documentation.
        compare_nulls: False leaves the nulls, the gain and the verdict out.
        seed: Seed of the random network and of the bootstrap.

    Returns:
        Measures with 95 % intervals: Wilson's for proportions, BCa bootstrap for the others.
    """
    return read_still_there(splits, lambda there: _evaluate(model, there, columns, foreign, compare_nulls, seed))[1]


def _evaluate(
    model: TransferModel,
    splits: Splits,
    columns: Mapping[str, np.ndarray] | None,
    foreign: Examples | None,
    compare_nulls: bool,
    seed: int,
) -> Evaluation:
    found = respond(model, splits.test)
    module, targets = MEASURES[model.task], target_array(splits.test)
    predicted = predictions(model.task, found.outputs)
    if model.task == "classification" and len(set(predicted.tolist())) == 1:
        log.warning(
            "Every test example is taken for %r: the model tells nothing apart. Check the labels, try another learning rate, "
            "or balance the classes.",
            model.classes[int(predicted[0])],
        )
    measures = module.measures(targets, found.outputs, seed=seed)
    named = {**slice_columns(splits.test), **{name: np.asarray(column).astype(str) for name, column in (columns or {}).items()}}
    evaluation = Evaluation(
        task=model.task,
        measures=measures,
        classes=model.classes,
        ids=splits.test.ids,
        targets=targets,
        outputs=found.outputs,
        per_class=module.per_class(targets, predicted, model.classes),
        confusion=confusion_matrix(targets, predicted, len(model.classes)) if model.task == "classification" else None,
        where=np.array([splits.test.store.where(row) for row in range(len(splits.test))]),
        columns=named,
        slices=measure_slices(named, module.score(targets, predicted), module, HEADLINES[model.task], seed=seed),
    )
    if model.task != "regression":
        evaluation = _beyond_measures(evaluation, model, splits, found, foreign, seed)
    return _beside_nulls(evaluation, model, splits, seed) if compare_nulls else evaluation


def _beyond_measures(
    evaluation: Evaluation,
    model: TransferModel,
    splits: Splits,
    found: Responses,
    foreign: Examples | None,
    seed: int,
) -> Evaluation:
    """Add calibration, and what thresholds and refusals do to the test examples."""
    task, targets = evaluation.task, evaluation.targets
    measures = dict(evaluation.measures)
    if model.thresholds:
        predicted = at_thresholds(task, model.thresholds, model.classes, found.outputs)
        counts = (targets, predicted) if task == "multi_label" else (targets, predicted, len(model.classes))
        module, headline, name = MEASURES[task], HEADLINES[task], AT_THRESHOLDS[task]
        measures[f"{headline}_at_thresholds"] = module.headline(module.score(targets, predicted), seed=seed)
        measures[f"{name}_at_thresholds"] = module.counted(*counts, seed=seed)[name]
    return replace(
        evaluation,
        measures=measures,
        thresholds=dict(model.thresholds),
        calibration=measure_calibration(task, targets, found.outputs, temperature=model.temperature, seed=seed),
        rejection=measure_rejection(model, found, foreign, seed=seed),
    )


def target_array(examples: Examples) -> np.ndarray:
    """Return what is to be predicted as one array, in the units of the data; see `Evaluation.targets`."""
    targets = examples.targets
    if isinstance(targets, ValueTargets):
        return targets.values
    return targets.labels if isinstance(targets, MultiLabelTargets) else examples.labels


def _beside_nulls(evaluation: Evaluation, model: TransferModel, splits: Splits, seed: int) -> Evaluation:
    started = time.monotonic()
    simple = "tf-idf + linear model" if splits.modality == "text" else "pixels + linear model"
    found = {
        "majority of training": nulls.majority(splits),
        "same network, random weights": nulls.random_network(model, splits, seed=seed),
        simple: nulls.without_network(splits),
    }
    module = MEASURES[model.task]
    scores = {name: module.score(evaluation.targets, predicted) for name, predicted in found.items()}
    best = max(scores, key=lambda name: scores[name].mean())
    own = module.score(evaluation.targets, predictions(model.task, evaluation.outputs))
    gain = paired_gain(own, scores[best], seed=seed)
    log.info("The nulls took %.1f s", time.monotonic() - started)
    return replace(
        evaluation,
        nulls={name: module.headline(score, seed=seed) for name, score in scores.items()},
        gain=gain,
        verdict=verdict(gain, best, points=model.task != "regression"),
    )


def verdict(gain: Measure, null: str, *, points: bool = True) -> str:
    """Say in words what a gain above the best null means.

    Args:
        gain: In shares, or in units of the data.
        null: The null's name.
        points: Whether the gain is a share, to be given in points of a hundred.
    """
    factor, unit, digits = (100, "points", 1) if points else (1, "less error", 3)
    size = f"{factor * gain.value:+.{digits}f} {unit} [{factor * gain.low:+.{digits}f}, {factor * gain.high:+.{digits}f}]"
    if gain.low > 0:
        return f"Transfer helped: {size} than {null}" if not points else f"Transfer helped: {size} above {null}"
    if gain.high < 0:
        return f"Transfer hurt: {size} against {null}"
    return f"Transfer made no difference that {gain.n} test examples can show: {size} against {null}"
