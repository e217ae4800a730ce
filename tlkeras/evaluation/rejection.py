"""When to answer "none of these": too far from every training example, and how that does on inputs that belong to no class.

The distance is that of Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022. Thresholds on the energy
or the highest probability are simpler and were tried too: with two classes of texts they told nothing foreign apart.
"""

from dataclasses import replace

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.source_samples import foreign_texts, source_sample
from tlkeras.data.targets import ClassTargets, MultiLabelTargets
from tlkeras.evaluation.classification import areas
from tlkeras.evaluation.evidence import Rejection
from tlkeras.evaluation.intervals import wilson
from tlkeras.evaluation.neighbours import unit_rows
from tlkeras.evaluation.responses import Responses, respond
from tlkeras.tasks.model import Familiar, TransferModel

BANK = 512
"""Training examples that are carried, at most: their features travel with every export."""
REFUSED = 0.02
"""The share of validation examples that lies beyond the threshold."""


def choose_familiar(model: TransferModel, splits: Splits, val: Responses, *, seed: int = 0) -> Familiar:
    """Return training examples to compare with, and the similarity below which the answer is "none of these".

    Args:
        model: A trained classifier, of one class each or several labels.
        splits: The training examples are drawn from.
        val: The model's responses to the validation examples; 2 % of them lie below the threshold.
        seed: Seed of the draw.
    """
    familiar = Familiar(choose_bank(model, splits.train, seed=seed), 0.0)
    smallest = float(np.quantile(familiar.similarity(val.features), REFUSED))
    return replace(familiar, smallest=smallest, n=len(val.features))


def choose_bank(model: TransferModel, train: Examples, *, seed: int = 0) -> np.ndarray:
    """Return the features of up to 512 training examples, of unit length, float16, shape `(examples, width)`.

    Args:
        model: A trained model.
        train: They are drawn from these, each class (or set of labels) in turn.
        seed: Seed of the draw.
    """
    if not isinstance(train.targets, ClassTargets | MultiLabelTargets):
        raise TypeError(f"Values have no classes to draw from. Received: {type(train.targets).__name__}")
    labels = np.unique(train.targets.labels, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    chosen = order[np.argsort(turn[order], kind="stable")][:BANK]
    return unit_rows(respond(model, train.take(np.sort(chosen))).features).astype(np.float16)


def measure_rejection(model: TransferModel, test: Responses, foreign: Examples | None, *, seed: int = 0) -> Rejection | None:
    """Measure a model's threshold on its test examples and on foreign inputs; None where it has none.

    Args:
        model: The model.
        test: Its responses to the test examples.
        foreign: Inputs that belong to no class; if not given, for pictures the 20 photographs of the package foolbox, where it
            is installed, and for texts 100 paragraphs of Python's documentation.
        seed: Seed of the bootstrap.
    """
    familiar = model.familiar
    if familiar is None:
        return None
    own = familiar.similarity(test.features)
    refused = wilson(int((own < familiar.smallest).sum()), len(own))
    name = "foreign inputs"
    if foreign is None and model.modality == "image":
        foreign, name = source_sample({"source_data": "ImageNet-1k"}), "photographs of ImageNet (foolbox)"
    elif foreign is None:
        foreign, name = foreign_texts(), "paragraphs of Python's documentation"
    if foreign is None:
        return Rejection("distance", familiar.smallest, familiar.n, refused)
    other = familiar.similarity(respond(model, foreign).features)
    strange = np.repeat([False, True], [len(own), len(other)])
    return Rejection(
        method="distance",
        threshold=familiar.smallest,
        n=familiar.n,
        rejected_own=refused,
        foreign=f"{len(other)} {name}",
        rejected_foreign=wilson(int((other < familiar.smallest).sum()), len(other)),
        auc=areas([strange], [-np.concatenate([own, other])], seed=seed)["roc_auc"],
    )
