"""Multi-label classification: each example has any number of classes; one sigmoid for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.sources.model import SourceModel
from tlkeras.tasks.heads import build_with_head
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.task import Task

if TYPE_CHECKING:
    import keras


def build_multi_label(
    source: "SourceModel | keras.Model", classes: Sequence[str], *, dropout: float = 0.2, seed: int = 0
) -> TransferModel:
    """Put a new head with one independent probability for each class on a source model.

    Args:
        source: A source model, or a functional `keras.Model` from raw pixels to features.
        classes: The class names, in the order of the columns of the labels.
        dropout: The share of features dropped in training.
        seed: Seed of the head's initial weights and of dropout.

    Raises:
        ValueError: There is no class, or a name occurs twice.
    """
    if not classes or len(set(classes)) < len(classes):
        raise ValueError(f"A multi-label model needs classes with different names. Received: {list(classes)}")
    return build_with_head(source, classes, _sigmoid, task="multi_label", dropout=dropout, seed=seed)


def _sigmoid() -> "keras.layers.Layer":
    import keras

    return keras.layers.Activation("sigmoid", name="probabilities", dtype="float32")


def _loss() -> "keras.losses.Loss":
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True)


def _metric() -> "keras.metrics.Metric":
    import keras

    return keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")


def _encode(targets: Any, scale: tuple[float, float]) -> np.ndarray:
    return targets.labels.astype(np.float32)


MULTI_LABEL = Task("multi_label", "probabilities", "accuracy", True, _loss, _metric, _encode)
