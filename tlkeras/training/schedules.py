"""Learning-rate schedules as Keras objects."""

import math
from typing import TYPE_CHECKING

from tlkeras.strategies.phases import Phase

if TYPE_CHECKING:
    import keras


def learning_rate(
    phase: Phase, steps_per_epoch: int, *, factor: float = 1.0
) -> "float | keras.optimizers.schedules.LearningRateSchedule":
    """Return what an optimizer takes as the learning rate of a phase.

    `"cosine"` warms up linearly over a tenth of the steps and then falls to zero as half a cosine (Loshchilov & Hutter 2017).

    Args:
        phase: Its rate, schedule and epochs.
        steps_per_epoch: Training steps in an epoch.
        factor: What the phase's rate is multiplied by.
    """
    import keras

    peak = phase.learning_rate * factor
    if phase.schedule != "cosine":
        return peak
    steps = phase.epochs * steps_per_epoch
    warm_up = max(1, math.ceil(steps / 10))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / 10,
        decay_steps=max(1, steps - warm_up),
        warmup_target=peak,
        warmup_steps=warm_up,
    )
