"""Arms that train no network: a head on frozen features, a linear model on random features, pixels or TF-IDF."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.joined import join_examples
from tlkeras.evaluation import nulls
from tlkeras.evaluation.evaluate import MEASURES, target_array
from tlkeras.evaluation.outcome import Meter, Outcome, Step
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.features.pooled import pooled_features, prepare
from tlkeras.sources.blocks import with_random_weights
from tlkeras.sources.macs import count_macs
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.table import TASKS, build_model, task_of
from tlkeras.training.balance import plan_balance
from tlkeras.training.head import solve_head

SAMPLE = 1000
"""Training examples on which the score after training is measured, at most."""
TIMED = 64
"""Examples by which the time of a pass is measured where their features are kept already."""

Features = Callable[[Splits], tuple[list[np.ndarray], float]]


def cached_features(source: SourceModel) -> Features:
    """Return a function from splits to the pooled features of their three parts, kept on disk, and the time that they take.

    The time is that of computing those of the training and validation examples, measured on some where all are kept already.
    """
    ready, each = prepare(source), [0.0]

    def features(splits: Splits) -> tuple[list[np.ndarray], float]:
        parts = (splits.train, splits.val, splits.test)
        started = time.monotonic()
        (values,), computed = pooled_features(ready, join_examples(parts))
        spent = time.monotonic() - started
        if computed:
            each[0] = spent / computed
        elif not each[0]:
            each[0] = _time_features(source, splits.test.take(np.arange(min(TIMED, len(splits.test)))))
        ends = np.cumsum([len(part) for part in parts])
        return np.split(values, ends[:-1]), each[0] * int(ends[1])

    return features


def _time_features(source: SourceModel, examples: Examples) -> float:
    started = time.monotonic()
    run_network(source.network, [read_inputs(examples, source)])
    return (time.monotonic() - started) / len(examples)


def frozen_head(source: SourceModel, features: Features, balance: str, splits: Splits, seed: int) -> Outcome:
    """Fit the head alone on features that all fractions and seeds share; the time is what computing them would take."""
    model = build_model(source, splits, seed=seed)
    task = TASKS[model.task]
    y, val_y = (task.encode(part.targets, model.scale) for part in (splits.train, splits.val))
    weights = plan_balance(splits.train.targets, balance).weights if model.task == "classification" else None
    parts, seconds = features(splits)
    with Meter() as meter:
        solution = solve_head(model, parts[0], y, parts[1], val_y, weights=weights)
    examples, rows = judged(splits, seed)
    logits = np.concatenate([parts[0][rows], *parts[1:]]) @ solution.kernel + solution.bias
    outcome = score_arm(model.task, nulls.from_logits(model.task, logits, model.scale), splits, examples, meter)
    metric, seconds, scores = task.metric_name, seconds + meter.seconds, solution.scores
    once = float(count_macs(source.network, source.input_size) * (len(splits.train) + len(splits.val)))
    step = Step(0, seconds, once, scores["loss"], scores["val_loss"], scores[metric], scores[f"val_{metric}"])
    return replace(outcome, seconds=seconds, trained=model.head.parameters, steps=(step,))


def random_frozen(source: SourceModel, splits: Splits, seed: int) -> Outcome:
    """Fit a linear model on the features of the same network with random weights."""
    parts, seconds = cached_features(with_random_weights(source, seed=seed))(splits)
    examples, rows = judged(splits, seed)
    scored = np.concatenate([parts[0][rows], *parts[1:]])
    with Meter() as meter:
        predicted = nulls.linear_on_features([*parts[:2], scored], replace(splits, test=examples), few=0)
    outcome = score_arm(task_of(splits)[0].name, predicted, splits, examples, meter)
    return replace(outcome, seconds=outcome.seconds + seconds)


def classical(splits: Splits, seed: int) -> Outcome:
    """Fit a linear model on pixels or on TF-IDF: what takes no network at all."""
    examples, _ = judged(splits, seed)
    with Meter() as meter:
        predicted = nulls.without_network(replace(splits, test=examples), few=0)
    return score_arm(task_of(splits)[0].name, predicted, splits, examples, meter)


def judged(splits: Splits, seed: int) -> tuple[Examples, np.ndarray]:
    """The examples that a trained arm is judged on: some training examples, and which, all validation and all test examples."""
    rows = np.arange(len(splits.train))
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), SAMPLE, replace=False))
    return join_examples([splits.train.take(rows), splits.val, splits.test]), rows


def score_arm(task: str, predicted: np.ndarray, splits: Splits, examples: Examples, meter: Meter) -> Outcome:
    """Return the outcome of an arm by its predictions for the examples that `judged` returned."""
    scores = MEASURES[task].score(target_array(examples), predicted)
    test, val = len(splits.test), len(splits.val)
    return Outcome(
        scores=scores[-test:].astype(float),
        train_score=float(scores[: -test - val].mean()),
        val_score=float(scores[-test - val : -test].mean()),
        n_train=len(splits.train),
        seconds=meter.seconds,
        peak_bytes=meter.peak_bytes,
    )
