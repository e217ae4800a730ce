"""A trained part that goes through each batch in smaller parts, adds their gradients up, and takes one step."""

from typing import Any

from tlkeras.training.penalized import PenalizedPart


class AccumulatedPart(PenalizedPart):
    """What a step learns is what it would learn from the whole batch; only the memory for activations is that of a part.

    Loss and metrics, weights of examples, clipping, schedule, and a last batch that is not full are those of the batch, because
    each part counts by its share of it and the optimizer sees their sum. (Keras's `gradient_accumulation_steps` counts parts
    alike, and moves the schedule with each.) Three things see a part and not the batch: the
    statistics of BatchNormalization that trains, which also move once for each part; dropout, which draws anew for each; and
    the penalty `distillation`, whose denominator is that of a part.
    """

    size: int = 1
    """Examples in a part, at most."""

    def train_step(self, data: Any) -> Any:
        """Take one step on a batch, and return what Keras logs."""
        import keras
        import tensorflow as tf

        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        variables = [variable.value for variable in self.trainable_variables]
        count = tf.shape(y)[0]

        def add(number: Any, loss: Any, outputs: Any, gradients: list[Any]) -> tuple[Any, ...]:
            start = number * self.size
            stop = tf.minimum(start + self.size, count)
            xs, ys, ws = tf.nest.map_structure(lambda tensor: None if tensor is None else tensor[start:stop], (x, y, weights))
            with tf.GradientTape() as tape:
                output = self(xs, training=True)
                part_loss = self.compute_loss(x=xs, y=ys, y_pred=output, sample_weight=ws, training=True)
                share = tf.cast((stop - start) / count, part_loss.dtype) * part_loss
                scaled = self.optimizer.scale_loss(share)
            found = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            added = [one + tf.convert_to_tensor(other) for one, other in zip(gradients, found, strict=True)]
            return number + 1, loss + share, outputs.write(number, output), added

        parts = -(-count // self.size)
        outputs = tf.TensorArray(self.compute_dtype, parts, infer_shape=False, element_shape=[None, *self.output_shape[1:]])
        start = (tf.constant(0), tf.constant(0.0), outputs, [tf.zeros_like(variable) for variable in variables])
        _, loss, outputs, gradients = tf.while_loop(lambda number, *_: number < parts, add, start, parallel_iterations=1)
        self.optimizer.apply(gradients, self.trainable_variables)
        tracker = next(metric for metric in self.metrics if metric.name == "loss")
        tracker.update_state(loss, sample_weight=count)
        return self.compute_metrics(x, y, outputs.concat(), sample_weight=weights)
