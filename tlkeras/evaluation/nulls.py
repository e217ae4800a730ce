"""What a model must beat: the majority class, the same network with random weights, and a model without a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkeras.data.decode import read_pixels
from tlkeras.data.examples import Splits, Texts
from tlkeras.features.cut import activations
from tlkeras.features.inputs import read_inputs
from tlkeras.sources.blocks import with_random_weights
from tlkeras.sources.model import Block
from tlkeras.tasks.model import TransferModel
from tlkeras.training.head import choose_logistic, rotate

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
PIXELS = 28


def majority(splits: Splits) -> np.ndarray:
    """Predict the class that is most frequent in training, for each test example; int, shape `(n,)`."""
    return np.full(len(splits.test), np.bincount(splits.train.labels).argmax())


def random_network(model: TransferModel, splits: Splits, *, seed: int = 0) -> np.ndarray:
    """Predict with logistic regression on standardised features of the same network with random weights.

    Random features vary by some 1e-13, so that without standardising them this null would look far weaker than it is.

    Returns:
        Classes of the test examples, int, shape `(n,)`.
    """
    source = with_random_weights(model.source, seed=seed)
    segments: tuple[Block, ...] = (*source.blocks, model.pool)
    top = len(segments)
    inputs = [read_inputs(part, source) for part in (splits.train, splits.val, splits.test)]
    parts = [rows[top][0].values for rows in activations(segments, [top], *inputs)]
    return _logistic(_standardise(*parts), splits)


def without_network(splits: Splits) -> np.ndarray:
    """Predict with logistic regression on pixels (28 x 28) or on TF-IDF of words and word pairs.

    Returns:
        Classes of the test examples, int, shape `(n,)`.
    """
    if isinstance(splits.train.store, Texts):
        return _tf_idf(splits)
    parts = [
        read_pixels(part.store, PIXELS).reshape(len(part), -1).astype(np.float32) / 255
        for part in (splits.train, splits.val, splits.test)
    ]
    return _logistic(_standardise(*parts), splits)


def _tf_idf(splits: Splits) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    texts = [part.store.texts for part in (splits.train, splits.val, splits.test) if isinstance(part.store, Texts)]
    try:
        train = vectorizer.fit_transform(texts[0])
    except ValueError:  # no word of two letters in any text: nothing to count
        return majority(splits)
    others = [vectorizer.transform(part) for part in texts[1:]]
    return _logistic([train, *others], splits, strengths=(1.0, 10.0, 100.0))


def _standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1.0
    first, *rest = [(part - mean) / deviation for part in (train, *others)]
    counts = np.cumsum([len(part) for part in rest])
    first, stacked, _ = rotate(first, np.concatenate(rest))
    return [first, *np.split(stacked, counts[:-1])]


def _logistic(parts: Sequence[Any], splits: Splits, *, strengths: Sequence[float] = STRENGTHS) -> np.ndarray:
    """Fit on training, choose the strength on validation, predict the test examples; `parts` are their features."""
    train, val, test = parts
    model, _ = choose_logistic(train, splits.train.labels, val, splits.val.labels, strengths)
    return model.predict(test)
