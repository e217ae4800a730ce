"""Why this answer: gradients of a logit, on the model's own blocks; see also `tlkeras.evaluation.occlusion`.

Grad-CAM: Selvaraju et al., 2017. Integrated gradients: Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.sources.blocks import chain
from tlkeras.tasks.model import TransferModel

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

STEPS, MOST_STEPS = 50, 1600
COMPLETE = 0.01
"""The share of the difference of logits that the attributions may miss; steps are doubled until they miss less."""
BATCH = 25


@dataclass(frozen=True)
class Attribution:
    """What each part of one input added to a logit.

    Attributes:
        values: Pictures: for each pixel, float64, shape `(size, size)`. Texts: for each token, float64, shape `(length,)`.
        difference: The logit of the input less that of the baseline, which the values sum up to.
        steps: Points of the path that were needed.
    """

    values: np.ndarray
    difference: float
    steps: int

    @property
    def gap(self) -> float:
        """By how much the sum misses the difference, as a share of it."""
        return abs(self.values.sum() - self.difference) / max(abs(self.difference), 1e-9)


def grad_cam(model: TransferModel, pixels: np.ndarray, places: np.ndarray, *, block: str | None = None) -> np.ndarray:
    """Return how much each position of a block's feature map speaks for a class, 0 or more, float32, shape `(n, h, w)`.

    The channels of the map are weighted by the mean gradient of the logit over positions, added up, and what is negative is
    left out. Where the head reads the mean of the map this is the class activation map divided by the number of positions.

    Args:
        model: A picture model.
        pixels: Pictures, uint8 or float in `[0, 255]`, shape `(n, size, size, 3)`.
        places: Which logit of each picture, int, shape `(n,)`.
        block: The block whose map is taken; the highest one that has a map if not given.

    Raises:
        ValueError: There is no such block, or it has no map (batch, height, width, channels).
    """
    import tensorflow as tf

    cut = _map_cut(model, block)
    lower, upper = chain(model.segments[:cut], name="lower"), chain(model.segments[cut:], name="upper")
    maps = []
    for start in range(0, len(pixels), BATCH):
        tensors = lower(tf.cast(pixels[start : start + BATCH], tf.float32), training=False)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            logits = tf.gather(upper(tensors, training=False), places[start : start + BATCH], axis=1, batch_dims=1)
        values = _first(tensors)
        weights = tf.reduce_mean(_first(tape.gradient(logits, tensors)), axis=(1, 2), keepdims=True)
        maps.append(tf.nn.relu(tf.reduce_sum(weights * values, axis=-1)).numpy())
    return np.concatenate(maps)


def integrated_gradients(model: TransferModel, pixels: np.ndarray, place: int) -> Attribution:
    """Return what each pixel added to a logit on the way from a black picture to this one.

    Args:
        model: A picture model.
        pixels: One picture, uint8 or float in `[0, 255]`, shape `(size, size, 3)`.
        place: Which logit.
    """
    picture = pixels.astype(np.float32)
    found = _integrate(_gradients(chain(model.segments, name="to_logits")), np.zeros_like(picture), picture, place)
    return Attribution(found.values.sum(axis=-1), found.difference, found.steps)


def token_attributions(
    model: TransferModel, texts: Sequence[np.ndarray], places: Sequence[int], *, most_steps: int = MOST_STEPS
) -> list[Attribution]:
    """Return what each token added to a logit, on the way from embeddings of padding to those of the text.

    The path lies in what the first block gives, which for every text source is the sum of the embeddings.

    Args:
        model: A text model.
        texts: Token ids, each int32, shape `(length,)`.
        places: Which logit of each text.
        most_steps: Points of a path, at most; fewer are quicker, and the sum may miss more than 1 %, see `Attribution.gap`.
    """
    lower, gradients = model.source.blocks[0].network, _gradients(chain(model.segments[1:], name="upper"))
    found = []
    for token_ids, place in zip(texts, places, strict=True):
        ids = token_ids[None].astype(np.int32)
        states, *others = lower(ids, training=False)
        padding = lower(np.full_like(ids, model.source.pad_id), training=False)[0]
        one = _integrate(gradients, padding.numpy()[0], states.numpy()[0], int(place), others, most_steps)
        found.append(Attribution(one.values.sum(axis=-1), one.difference, one.steps))
    return found


def _gradients(network: "keras.Model") -> Callable[..., Any]:
    """Compile a network's gradients by its first input: points, a place and the other inputs in, logits and gradients out."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def gradients(points: "tf.Tensor", place: "tf.Tensor", *others: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        with tf.GradientTape() as tape:
            tape.watch(points)
            values = tf.gather(network([points, *others] if others else points, training=False), place, axis=1)
        return values, tape.gradient(values, points)

    specs = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in network.inputs]
    return gradients.get_concrete_function(specs[0], tf.TensorSpec([], tf.int32), *specs[1:])


def _integrate(
    gradients: Callable[..., Any],
    baseline: np.ndarray,
    point: np.ndarray,
    place: int,
    others: Sequence[Any] = (),
    most_steps: int = MOST_STEPS,
) -> Attribution:
    """The path integral by the midpoint rule; attributions have the shape of the point."""
    import tensorflow as tf

    def at(shares: np.ndarray) -> Any:
        points = baseline + shares.astype(np.float32).reshape(-1, *[1] * point.ndim) * way
        return gradients(tf.constant(points), tf.constant(place), *(tf.repeat(other, len(points), axis=0) for other in others))

    way, steps = point - baseline, STEPS
    ends = at(np.array([0.0, 1.0]))[0].numpy()
    difference = float(ends[1] - ends[0])
    while True:
        total = np.zeros(point.shape, np.float64)
        for part in np.array_split((np.arange(steps) + 0.5) / steps, -(-steps // BATCH)):
            total += at(part)[1].numpy().astype(np.float64).sum(axis=0)
        found = Attribution(total / steps * way, difference, steps)
        if found.gap < COMPLETE or 2 * steps > most_steps:
            return found
        steps *= 2


def _map_cut(model: TransferModel, block: str | None) -> int:
    names = [one.name for one in model.source.blocks]
    if block is not None and block not in names:
        from tlkeras.errors import unknown

        raise unknown("block", block, names, ", ".join(names))
    chosen = range(len(names), 0, -1) if block is None else [names.index(block) + 1]
    for cut in chosen:
        if len(model.segments[cut - 1].network.outputs[0].shape) == 4:
            return cut
    raise ValueError(
        f"Grad-CAM needs a feature map (batch, height, width, channels). {model.source.name!r} has none"
        f"{'' if block is None else f' above {block!r}'}. Take integrated_gradients or occlusion."
    )


def _first(tensors: Any) -> Any:
    return tensors[0] if isinstance(tensors, list | tuple) else tensors
