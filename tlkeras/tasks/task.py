"""What tells one task from another in training: the targets, the loss, the metric."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Task:
    """A task; `tlkeras.tasks.table.TASKS` lists them.

    Attributes:
        name: Its name, as in `TransferModel.task`.
        output: The name of the network's output: `"probabilities"` or `"value"`.
        metric_name: The Keras metric that epochs are compared by.
        higher_is_better: Whether more of it is better.
        loss: Returns a new Keras loss for the targets and the layer named `"logits"`.
        metric: Returns a new Keras metric named `metric_name`, for the same.
        encode: Turns targets into what loss and metric read, with the model's `scale`: an array with a row for each example.
    """

    name: str
    output: str
    metric_name: str
    higher_is_better: bool
    loss: "Callable[[], keras.losses.Loss]"
    metric: "Callable[[], keras.metrics.Metric]"
    encode: Callable[[Any, tuple[float, float]], np.ndarray]
