"""A learning rate that rises to its peak and falls again, by lines or by half cosines."""

import math
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="tlkeras")
class RiseAndFall(keras.optimizers.schedules.LearningRateSchedule):
    """From `start` at step 0 to `peak` at step `turn`, and down to `end` at step `steps`, where it stays."""

    def __init__(self, start: float, peak: float, end: float, turn: int, steps: int, shape: str) -> None:
        """Take `"linear"` or `"cosine"` as the shape of both parts."""
        super().__init__()
        self.start, self.peak, self.end = start, peak, end
        self.turn, self.steps, self.shape = turn, steps, shape

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step, a scalar."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        risen = ops.clip(step / self.turn, 0, 1)
        left = ops.clip((self.steps - step) / max(1, self.steps - self.turn), 0, 1)
        if self.shape == "cosine":
            risen, left = (ops.sin(math.pi / 2 * part) ** 2 for part in (risen, left))
        up = self.start + (self.peak - self.start) * risen
        down = self.end + (self.peak - self.end) * left
        return ops.where(step < self.turn, up, down)

    def get_config(self) -> dict[str, Any]:
        """Return what recreates the schedule."""
        return {name: getattr(self, name) for name in ("start", "peak", "end", "turn", "steps", "shape")}
