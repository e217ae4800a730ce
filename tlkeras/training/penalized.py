"""A trained part whose loss in training has penalties; its loss on validation is the task's own."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from tlkeras.sources.blocks import chain, copy_block
from tlkeras.sources.model import Block
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel

Term = Callable[[], Any]


class PenalizedPart(keras.Model):
    """A functional network that adds terms to its loss in training, and may take another loss there."""

    terms: Sequence[Term] = ()
    smoothed: "keras.losses.Loss | None" = None

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss, a scalar."""
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training=False)
        if self.smoothed is None:
            loss = super().compute_loss(x, y, y_pred, sample_weight, training=True)
        else:
            loss = self.smoothed(y, y_pred, sample_weight=sample_weight) + sum(self.losses)
        return loss + sum(term() for term in self.terms)


class Drift(keras.layers.Layer):
    """Pass on features, and in training add to the loss how far they are from those of a frozen network.

    That is `weight` times the sum of squared differences over the sum of squares of the frozen features, in a batch.
    """

    def __init__(self, teacher: Callable[[Any], Any], weight: float) -> None:
        """Hold the teacher as a function, so that its weights do not become weights of the network that is trained."""
        super().__init__(name="drift")
        self.teacher, self.weight = teacher, weight

    def call(self, tensors: Any, training: bool = False) -> Any:
        """Return the first tensor; the others are what the frozen network reads."""
        features, *inputs = tensors
        if training:
            origin = keras.ops.stop_gradient(self.teacher(inputs if len(inputs) > 1 else inputs[0]))
            moved = keras.ops.sum(keras.ops.square(features - origin))
            self.add_loss(self.weight * moved / keras.ops.sum(keras.ops.square(origin)))
        return features

    def compute_output_shape(self, shapes: Any) -> Any:
        """Return the shape of the features."""
        return shapes[0]


def build_penalized(
    model: TransferModel,
    phase: Phase,
    cut: int,
    head: Block,
    reference: "Sequence[Sequence[Any]]",
    kind: type[PenalizedPart] = PenalizedPart,
) -> PenalizedPart:
    """Return the network above a cut with the penalties of a phase.

    Args:
        model: The blocks are frozen and unfrozen already.
        phase: Its penalties, which may all be zero.
        cut: The index of the lowest segment that trains.
        head: The head to put on top.
        reference: The weights that each block of the source began with, where a penalty needs them.
        kind: The class of the network.

    Raises:
        ValueError: Features are to stay near those of the source, and only the head trains.
    """
    below = (*model.segments[cut:-1],)
    if not below:
        if phase.penalties.need_reference:
            raise ValueError(
                f"l2_sp and distillation hold on to blocks of the source; phase {phase.name!r} trains the head only."
            )
        inputs, logits = head.network.inputs, head.network.output
        part = kind(inputs[0], logits, name="trained_part")
    else:
        student = chain(below, name="features")
        features = student.output
        if phase.penalties.distillation:
            drift = Drift(_teacher(model, cut, reference), phase.penalties.distillation)
            features = drift([features, *student.inputs])
        inputs = student.inputs if len(student.inputs) > 1 else student.inputs[0]
        part = kind(inputs, head.network(features), name="trained_part")
    part.terms = _terms(model, phase, reference)
    return part


def _teacher(model: TransferModel, cut: int, reference: "Sequence[Sequence[Any]]") -> Callable[[Any], Any]:
    copies = [copy_block(block) for block in model.source.blocks[cut:]]
    for copy, weights in zip(copies, reference[cut:], strict=True):
        copy.network.set_weights(weights)
        copy.network.trainable = False
    network = chain((*copies, model.pool), name="teacher")
    return lambda x: network(x, training=False)


def _terms(model: TransferModel, phase: Phase, reference: "Sequence[Sequence[Any]]") -> list[Term]:
    penalties, terms = phase.penalties, []
    fresh = [*model.head.network.trainable_weights]
    if phase.initialise == "random":
        fresh += [weight for block in model.source.blocks for weight in block.network.trainable_weights]
    kernels = [weight for weight in fresh if len(weight.shape) > 1]
    if penalties.l1:
        terms.append(lambda: penalties.l1 * sum(keras.ops.sum(keras.ops.abs(kernel)) for kernel in kernels))
    if penalties.l2:
        terms.append(lambda: penalties.l2 / 2 * sum(keras.ops.sum(keras.ops.square(kernel)) for kernel in kernels))
    if penalties.l2_sp:
        moving = list(_with_origin(model, reference))
        terms.append(lambda: penalties.l2_sp / 2 * sum(keras.ops.sum(keras.ops.square(w - origin)) for w, origin in moving))
    return terms


def _with_origin(model: TransferModel, reference: "Sequence[Sequence[Any]]") -> "list[tuple[Any, Any]]":
    pairs = []
    for block, began in zip(model.source.blocks, reference, strict=True):
        trained = {id(weight) for weight in block.network.trainable_weights}
        origins = zip(block.network.weights, began, strict=True)
        pairs += [(weight, keras.ops.convert_to_tensor(origin)) for weight, origin in origins if id(weight) in trained]
    return pairs


class SmoothedClasses(keras.losses.Loss):
    """Cross-entropy with the share `smoothing` of each target spread evenly; integer classes `(batch,)`, logits."""

    def __init__(self, smoothing: float) -> None:
        super().__init__(name="smoothed_classes")
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, shape `(batch,)`."""
        logs = keras.ops.log_softmax(y_pred, axis=-1)
        classes = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1])
        own = keras.ops.sum(classes * logs, axis=-1)
        return -(1 - self.smoothing) * own - self.smoothing * keras.ops.mean(logs, axis=-1)


def smoothed_loss(task: str, smoothing: float, *, mixed: bool, focal: bool) -> "keras.losses.Loss | None":
    """Return the loss with label smoothing that a task trains with; None without smoothing.

    Raises:
        ValueError: The task has no classes, or the loss is focal.
    """
    if not smoothing:
        return None
    if task == "regression" or focal:
        raise ValueError(f"label_smoothing needs classes and no focal loss. Received: {'focal loss' if focal else task}")
    if task == "multi_label":
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    if mixed:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    return SmoothedClasses(smoothing)
