"""Regression: each example has a number; the network learns it standardised and gives it in the units of the data."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.sources.model import SourceModel
from tlkeras.tasks.heads import build_with_head
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.task import Task

if TYPE_CHECKING:
    import keras


def build_regressor(
    source: "SourceModel | keras.Model",
    values: np.ndarray,
    *,
    name: str = "value",
    dropout: float = 0.2,
    seed: int = 0,
) -> TransferModel:
    """Put a new head that gives one number on a source model.

    Args:
        source: A source model, or a functional `keras.Model` from raw pixels to features.
        values: The training values, float, shape `(n,)`; their mean and deviation are folded into the last layer.
        name: What the number is called in files and messages.
        dropout: The share of features dropped in training.
        seed: Seed of the head's initial weights and of dropout.

    Raises:
        ValueError: The values are all alike, or not finite.
    """
    scale = value_scale(values)

    def rescale() -> "keras.layers.Layer":
        import keras

        return keras.layers.Rescaling(scale[1], offset=scale[0], name="value", dtype="float32")

    return build_with_head(source, [name], rescale, task="regression", dropout=dropout, seed=seed, scale=scale)


def value_scale(values: np.ndarray) -> tuple[float, float]:
    """Return mean and deviation of training values.

    Raises:
        ValueError: The values are all alike, or not finite.
    """
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        raise ValueError(f"Regression needs finite values that differ. Received: {np.asarray(values)[:5].tolist()} …")
    return float(np.mean(values, dtype=np.float64)), float(np.std(values, dtype=np.float64))


def _loss() -> "keras.losses.Loss":
    import keras

    return keras.losses.MeanSquaredError()


def _metric() -> "keras.metrics.Metric":
    import keras

    return keras.metrics.MeanAbsoluteError(name="error")


def _encode(targets: Any, scale: tuple[float, float]) -> np.ndarray:
    return ((targets.values - scale[0]) / scale[1]).astype(np.float32)[:, None]


REGRESSION = Task("regression", "value", "error", False, _loss, _metric, _encode)
