"""Evaluate a model on the test split, beside the nulls."""

import logging
import time
from dataclasses import replace
from typing import Any

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.targets import MultiLabelTargets, ValueTargets
from tlkeras.evaluation import classification, multi_label, nulls, regression
from tlkeras.evaluation.classification import confusion_matrix
from tlkeras.evaluation.metrics import Evaluation, Measure, bootstrap
from tlkeras.evaluation.nulls import predictions
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.tasks.model import TransferModel

MEASURES: dict[str, Any] = {"classification": classification, "multi_label": multi_label, "regression": regression}
log = logging.getLogger("tlkeras")


def predict_examples(model: TransferModel, examples: Examples) -> np.ndarray:
    """Return the model's outputs for some examples, float32, shape `(n, classes)`, or `(n, 1)` for values."""
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
    outputs = predict_examples(model, splits.test)
    module, targets = MEASURES[model.task], target_array(splits.test)
    predicted = predictions(model.task, outputs)
    if model.task == "classification" and len(set(predicted.tolist())) == 1:
        log.warning(
            "Every test example is taken for %r: the model tells nothing apart. Check the labels, try another learning rate, "
            "or balance the classes.",
            model.classes[int(predicted[0])],
        )
    evaluation = Evaluation(
        task=model.task,
        measures=module.measures(targets, outputs, seed=seed),
        classes=model.classes,
        ids=splits.test.ids,
        targets=targets,
        outputs=outputs,
        per_class=module.per_class(targets, predicted, model.classes),
        confusion=confusion_matrix(targets, predicted, len(model.classes)) if model.task == "classification" else None,
        where=np.array([splits.test.store.where(row) for row in range(len(splits.test))]),
    )
    return _beside_nulls(evaluation, model, splits, seed) if compare_nulls else evaluation


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


def paired_gain(own: np.ndarray, null: np.ndarray, *, seed: int = 0) -> Measure:
    """Return the mean difference of two scores on the same examples, with its BCa interval.

    Args:
        own: The model's score on each example, higher is better, shape `(n,)`.
        null: The null's.
        seed: Seed of the bootstrap.
    """
    difference = own.astype(float) - null.astype(float)
    return bootstrap(lambda rows: float(difference[rows].mean()), len(difference), seed=seed)


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
