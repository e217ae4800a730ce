"""Classification: each example has one class; softmax over the classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.sources.model import SourceModel
from tlkeras.tasks.heads import build_with_head
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.task import Task

if TYPE_CHECKING:
    import keras


def build_classifier(
    source: "SourceModel | keras.Model", classes: Sequence[str], *, dropout: float = 0.2, seed: int = 0
) -> TransferModel:
    """Put a new classification head on a source model.

    Args:
        source: A source model, or a functional `keras.Model` from raw pixels to features.
        classes: The class names, in the order of the labels.
        dropout: The share of features dropped in training.
        seed: Seed of the head's initial weights and of dropout.

    Raises:
        ValueError: There are fewer than two classes, or a name occurs twice.
    """
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(f"A classifier needs two or more classes with different names. Received: {list(classes)}")
    return build_with_head(source, classes, _softmax, task="classification", dropout=dropout, seed=seed)


def _softmax() -> "keras.layers.Layer":
    import keras

    return keras.layers.Softmax(name="probabilities", dtype="float32")


def _loss() -> "keras.losses.Loss":
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _metric() -> "keras.metrics.Metric":
    import keras

    return keras.metrics.SparseCategoricalAccuracy(name="accuracy")


def _encode(targets: Any, scale: tuple[float, float]) -> np.ndarray:
    return targets.labels.astype(np.int32)


CLASSIFICATION = Task("classification", "probabilities", "accuracy", True, _loss, _metric, _encode)
