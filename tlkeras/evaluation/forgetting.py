"""What training changed of what the source model knew: drift of the features, and the source task before and after."""

import logging
from collections.abc import Callable, Mapping

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.source_samples import source_sample
from tlkeras.evaluation.calibration import probabilities_of
from tlkeras.evaluation.evaluate import HEADLINES, MEASURES, target_array
from tlkeras.evaluation.evidence import Forgetting, Slice
from tlkeras.evaluation.intervals import wilson
from tlkeras.evaluation.neighbours import sample, unit_rows
from tlkeras.evaluation.nulls import predictions
from tlkeras.evaluation.paired import paired_gain
from tlkeras.evaluation.slices import measure_slices
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS
from tlkeras.training.head import solve_head

log = logging.getLogger("tlkeras")


def measure_forgetting(model: TransferModel, original: SourceModel, splits: Splits, *, seed: int = 0) -> Forgetting:
    """Compare a trained model's source with the original one.

    Drift is measured on test inputs (at most 2,000). The source task is measured where the original has its head and a sample
    of its data is installed: for ImageNet the 20 labelled photographs of the package foolbox, which bound it only roughly.

    Args:
        model: The trained model.
        original: The same source, loaded again.
        splits: The data.
        seed: Seed of the bootstrap.
    """
    now, before = _features(model, model.source), _features(model, original)
    examples = sample(splits.test)
    drift = 1 - (unit_rows(now(examples)) * unit_rows(before(examples))).sum(axis=1)
    found = Forgetting(paired_gain(drift, np.zeros(len(drift)), seed=seed))
    probe = source_sample(original.facts)
    if original.head is None or probe is None:
        return found
    labels = true_classes(probe)
    kernel, bias = original.head
    hits = [(part(probe) @ np.asarray(kernel) + np.asarray(bias)).argmax(axis=1) == labels for part in (before, now)]
    before_it, after_it = (wilson(int(one.sum()), len(labels)) for one in hits)
    return Forgetting(found.drift, before_it, after_it, f"{len(labels)} photographs of ImageNet-1k (foolbox)")


def slices_before_training(
    model: TransferModel, original: SourceModel, splits: Splits, columns: Mapping[str, np.ndarray], *, seed: int = 0
) -> tuple[Slice, ...]:
    """Measure the slices with a linear head on the features of the original source, which has seen none of the data.

    Args:
        model: Says which task it is.
        original: The source as it was before training.
        splits: The head is fitted on the training examples and its regularization chosen on validation.
        columns: See `measure_slices`.
        seed: Seed of the bootstrap.
    """
    features, task = _features(model, original), TASKS[model.task]
    y, val_y = (task.encode(part.targets, model.scale) for part in (splits.train, splits.val))
    solution = solve_head(model, features(splits.train), y, features(splits.val), val_y)
    logits = features(splits.test) @ solution.kernel + solution.bias
    values = model.task == "regression"
    outputs = logits * model.scale[1] + model.scale[0] if values else probabilities_of(model.task, logits)
    module, targets = MEASURES[model.task], target_array(splits.test)
    scores = module.score(targets, predictions(model.task, outputs))
    return measure_slices(columns, scores, module, HEADLINES[model.task], seed=seed)


def true_classes(probe: Examples) -> np.ndarray:
    """Return the ImageNet classes of foolbox's photographs, which their names end in: `imagenet_03_123.jpg`."""
    return np.array([int(str(name).rsplit("_", 1)[1].split(".")[0]) for name in probe.ids])


def _features(model: TransferModel, source: SourceModel) -> Callable[[Examples], np.ndarray]:
    network = chain((*source.blocks, model.pool), name="features")
    return lambda examples: run_network(network, [read_inputs(examples, model.source)])[0].values
