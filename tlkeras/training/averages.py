"""The moving average of the weights that an optimizer keeps: validated, and kept where it is best."""

from typing import Any

import keras
import numpy as np

from tlkeras.training.callbacks import each_optimizer


class MovingAverage(keras.callbacks.Callback):
    """Validate with the moving average of the weights (Keras's `use_ema`), and train on with the weights themselves.

    Keras's SwapEMAWeights swaps by adding and subtracting, which rounds, and `fit` ends by overwriting the weights with their
    average; here training goes on with exactly what it had, so that it can also be broken off and resumed. The averages are
    variables of the optimizer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.own: list[np.ndarray] = []

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Put the averages in."""
        pairs = average_pairs(self.model)
        self.own = [np.array(weight) for weight, _ in pairs]
        for weight, average in pairs:
            weight.assign(average)

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Put the weights themselves back."""
        for (weight, _), own in zip(average_pairs(self.model), self.own, strict=True):
            weight.assign(own)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Put the weights themselves back, which Keras has just overwritten: validation was the last thing before."""
        if self.own:
            self.on_test_end()

    def averaged(self) -> list[np.ndarray]:
        """Return the network's weights with the averages in place of those that train."""
        averages = {id(weight): average for weight, average in average_pairs(self.model)}
        return [np.array(averages.get(id(weight), weight)) for weight in self.model.weights]


def average_pairs(model: keras.Model) -> "list[tuple[Any, Any]]":
    """Return each weight that trains with the variable that holds its moving average."""
    averages = {variable.name: variable for one in each_optimizer(model) for variable in one.variables}
    return [(weight, averages[f"{weight.path.replace('/', '_')}_average"]) for weight in model.trainable_weights]
