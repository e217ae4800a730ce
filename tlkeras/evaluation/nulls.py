"""What a model must beat: the majority class, the same network with random weights, and a model without a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkeras.data.decode import read_pixels
from tlkeras.data.examples import Splits, Texts
from tlkeras.data.targets import MultiLabelTargets, ValueTargets
from tlkeras.features.cut import activations
from tlkeras.features.inputs import read_inputs
from tlkeras.sources.blocks import with_random_weights
from tlkeras.sources.model import Block
from tlkeras.strategies.after import FEW
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import task_of
from tlkeras.training.head import rotate, solve_linear

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
PIXELS = 28
_RANDOM = "The same network with random weights"


def majority(splits: Splits) -> np.ndarray:
    """Predict what is most frequent in training, for each test example: the class, each label's majority, the median value.

    Returns:
        Predictions as `predictions` gives them.
    """
    targets = splits.train.targets
    if isinstance(targets, MultiLabelTargets):
        constant: Any = (targets.labels.mean(axis=0) >= 0.5).astype(np.uint8)
    elif isinstance(targets, ValueTargets):
        constant = np.float32(np.median(targets.values))
    else:
        constant = np.bincount(splits.train.labels).argmax()
    return np.repeat(np.asarray(constant)[None], len(splits.test), axis=0)


def predictions(task: str, outputs: np.ndarray) -> np.ndarray:
    """Turn a network's outputs into predictions: the most probable class, labels from 0.5 on, the value.

    Args:
        task: A key of `TASKS`.
        outputs: float, shape `(n, classes)`, or `(n, 1)` for values.

    Returns:
        Classes, int, shape `(n,)`; labels, uint8, shape `(n, classes)`; values, float, shape `(n,)`.
    """
    if task == "multi_label":
        return (outputs >= 0.5).astype(np.uint8)
    return outputs[:, 0] if task == "regression" else outputs.argmax(axis=1)


def random_network(model: TransferModel, splits: Splits, *, seed: int = 0) -> np.ndarray:
    """Predict with a linear model on standardised features of the same network with random weights.

    Random features vary by some 1e-13, so that without standardising them this null would look far weaker than it is.

    Returns:
        Predictions for the test examples, see `predictions`.
    """
    source = with_random_weights(model.source, seed=seed)
    segments: tuple[Block, ...] = (*source.blocks, model.pool)
    top = len(segments)
    inputs = [read_inputs(part, source) for part in (splits.train, splits.val, splits.test)]
    parts = [rows[top][0].values for rows in activations(segments, [top], *inputs, name=_RANDOM)]
    return linear_on_features(parts, splits)


def linear_on_features(parts: Sequence[np.ndarray], splits: Splits, *, few: int = FEW) -> np.ndarray:
    """Predict the test examples with a linear model on standardised features.

    Args:
        parts: The features of the training, validation and test examples, float, shape `(n, width)` each.
        splits: Their targets.
        few: With fewer validation examples, they are fitted as well once they have chosen, as `refit_few` does with a model.

    Returns:
        Predictions for the test examples, see `predictions`.
    """
    return _linear(_standardise(*parts), splits, few=few)


def without_network(splits: Splits, *, few: int = FEW) -> np.ndarray:
    """Predict with a linear model on pixels (28 x 28) or on TF-IDF of words and word pairs.

    Args:
        splits: The examples.
        few: See `linear_on_features`.

    Returns:
        Predictions for the test examples, see `predictions`.
    """
    if isinstance(splits.train.store, Texts):
        return _tf_idf(splits, few)
    parts = [
        read_pixels(part.store, PIXELS).reshape(len(part), -1).astype(np.float32) / 255
        for part in (splits.train, splits.val, splits.test)
    ]
    return _linear(_standardise(*parts), splits, few=few)


def _tf_idf(splits: Splits, few: int) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    texts = [part.store.texts for part in (splits.train, splits.val, splits.test) if isinstance(part.store, Texts)]
    try:
        train = vectorizer.fit_transform(texts[0])
    except ValueError:  # no word of two letters in any text: nothing to count
        return majority(splits)
    others = [vectorizer.transform(part) for part in texts[1:]]
    return _linear([train, *others], splits, strengths=(1.0, 10.0, 100.0), few=few)


def _standardise(train: np.ndarray, val: np.ndarray, test: np.ndarray) -> list[np.ndarray]:
    """Standardise by the training examples, and turn into the space that training and validation examples span."""
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1.0
    labelled, rest, _ = rotate((np.concatenate([train, val]) - mean) / deviation, (test - mean) / deviation)
    return [labelled[: len(train)], labelled[len(train) :], rest]


def _linear(parts: Sequence[Any], splits: Splits, *, few: int, strengths: Sequence[float] = STRENGTHS) -> np.ndarray:
    """Fit on training, choose the strength on validation, predict the test examples; `parts` are their features."""
    from scipy.sparse import issparse, vstack

    train, val, test = parts
    task, scale = task_of(splits)
    y, val_y = (task.encode(part.targets, scale) for part in (splits.train, splits.val))
    outputs = max(1, len(splits.classes))
    kernel, bias, best = solve_linear(task.name, train, y, val, val_y, strengths, outputs)
    if len(val_y) < few:
        both = vstack([train, val]).tocsr() if issparse(train) else np.concatenate([train, val])
        kernel, bias, _ = solve_linear(task.name, both, np.concatenate([y, val_y]), val, val_y, strengths[best:][:1], outputs)
    return from_logits(task.name, test @ kernel + bias, scale)


def from_logits(task: str, logits: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Turn logits into predictions, see `predictions`; `scale` is the mean and deviation of the training values."""
    if task == "regression":
        return logits[:, 0] * scale[1] + scale[0]
    return (logits > 0).astype(np.uint8) if task == "multi_label" else logits.argmax(axis=1)
