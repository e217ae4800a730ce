"""What to do about classes that are much rarer than others."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tlkeras.data.targets import ClassTargets
from tlkeras.errors import unknown

MODES = ("auto", "none", "weights", "sampling", "focal")
IMBALANCED = 3.0
"""`auto` weights the classes from this ratio of the most frequent to the rarest on."""


@dataclass(frozen=True)
class Balance:
    """How examples count in training.

    Attributes:
        mode: `"none"`; `"weights"`, an example counts by the inverse frequency of its class; `"sampling"`, each class is drawn
            equally often; `"focal"`, examples that are easy already count less.
        weights: What each training example counts, float32, shape `(n,)`, 1 on average.
        reason: Why, in words.
    """

    mode: str
    weights: np.ndarray
    reason: str


def plan_balance(targets: Any, mode: str) -> Balance:
    """Decide how the classes are balanced.

    Args:
        targets: The training targets.
        mode: One of `MODES`; `"auto"` takes weights where the most frequent class has 3 times as many examples as the rarest.

    Raises:
        ValueError: There is no such mode, or it needs one class for each example.
    """
    if mode not in MODES:
        raise unknown("balance", mode, MODES, ", ".join(MODES))
    even = np.ones(len(targets), np.float32)
    if not isinstance(targets, ClassTargets):
        if mode not in ("auto", "none"):
            raise ValueError(f"--balance {mode} needs one class for each example. Received: {type(targets).__name__}")
        return Balance("none", even, "examples have not one class each")
    counts = np.bincount(targets.labels)
    present = counts[counts > 0]
    ratio = present.max() / present.min()
    if mode == "auto":
        mode = "weights" if ratio >= IMBALANCED else "none"
    reason = f"the most frequent class has {ratio:.1f} times as many training examples as the rarest"
    if mode in ("none", "focal"):
        return Balance(mode, even, reason)
    weights = (len(targets) / len(present) / counts[targets.labels]).astype(np.float32)
    return Balance(mode, weights, reason)


@keras.saving.register_keras_serializable(package="tlkeras")
class SparseFocal(keras.losses.Loss):
    """Cross-entropy times `(1 - p) ** gamma`, where `p` is the probability of the true class (Lin et al. 2017).

    Takes integer classes `(batch,)` and logits `(batch, classes)`.
    """

    def __init__(self, gamma: float = 2.0, name: str = "sparse_focal", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.gamma = gamma

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, shape `(batch,)`."""
        logs = keras.ops.log_softmax(y_pred, axis=-1)
        classes = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1])
        log_p = keras.ops.sum(classes * logs, axis=-1)
        return -((1 - keras.ops.exp(log_p)) ** self.gamma) * log_p

    def get_config(self) -> dict[str, Any]:
        """Return what recreates the loss."""
        return {**super().get_config(), "gamma": self.gamma}
