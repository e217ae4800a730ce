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

    - `"cosine"` warms up linearly over a tenth of the steps and then falls to zero as half a cosine (Loshchilov & Hutter 2017).
    - `"one_cycle"` rises by half a cosine from 1/25 of the peak over a quarter of the steps and falls by another to 1/100000 of
      it (Smith & Topin 2018; the numbers are fastai's).
    - `"slanted"` rises by a line from 1/32 of the peak over a tenth of the steps and falls by another to 1/32 of it (slanted
      triangular; Howard & Ruder 2018).

    Args:
        phase: Its rate, schedule and epochs.
        steps_per_epoch: Training steps in an epoch.
        factor: What the phase's rate is multiplied by.
    """
    import keras

    peak, steps = phase.learning_rate * factor, phase.epochs * steps_per_epoch
    if phase.schedule in ("one_cycle", "slanted"):
        from tlkeras.training.rise_and_fall import RiseAndFall

        if phase.schedule == "one_cycle":
            return RiseAndFall(peak / 25, peak, peak / 1e5, max(1, steps // 4), steps, "cosine")
        return RiseAndFall(peak / 32, peak, peak / 32, max(1, steps // 10), steps, "linear")
    if phase.schedule != "cosine":
        return peak
    warm_up = max(1, math.ceil(steps / 10))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / 10,
        decay_steps=max(1, steps - warm_up),
        warmup_target=peak,
        warmup_steps=warm_up,
    )
