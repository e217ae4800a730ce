"""The frozen part runs once: activations at the boundaries where phases cut the network."""

import logging
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.features.engine import compiled, run_step
from tlkeras.features.litert_quick import convert_quickly
from tlkeras.features.memory import available_bytes
from tlkeras.features.rows import Rows
from tlkeras.features.workers import run_litert
from tlkeras.sources.blocks import chain
from tlkeras.sources.macs import count_macs
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")

LITERT_EXAMPLES = 1000
"""For fewer pictures even counting the operations would take longer than it saves."""

LITERT_MACS = 6e11
"""Multiplications of the whole network over all examples, above which LiteRT is quicker, its conversion included.

On two cores TensorFlow does 60e9 a second for MobileNetV2 and EfficientNet-Lite0, LiteRT 130e9; converting takes 4 to 6 s.
"""


def activations(
    segments: Sequence[Block],
    cuts: Sequence[int],
    *inputs: Rows,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[dict[int, tuple[Rows, ...]]]:
    """Compute what reaches each cut, in one pass through the segments below the highest.

    Args:
        segments: The whole network, from the input up.
        cuts: Indices of the segments that the cuts lie below; 0 is the input itself.
        inputs: What the first segment reads: the rows of one split or of several.
        on_progress: Called with the examples done and their number.

    Returns:
        For each of `inputs`, the rows by cut.
    """
    found: list[dict[int, tuple[Rows, ...]]] = [{0: (rows,)} if 0 in cuts else {} for rows in inputs]
    wanted = sorted(set(cuts) - {0})
    if not wanted:
        return found
    run = _engine(_tapped(segments, wanted), segments, inputs, on_progress)
    for rows, by_cut in zip(inputs, found, strict=True):
        outputs = run(rows)
        for cut in wanted:
            count = len(segments[cut - 1].network.outputs)
            by_cut[cut], outputs = tuple(outputs[:count]), outputs[count:]
    return found


def _engine(
    network: "keras.Model",
    segments: Sequence[Block],
    inputs: Sequence[Rows],
    on_progress: Callable[[int, int], None] | None,
) -> Callable[[Rows], list[Rows]]:
    """LiteRT where it saves more than its conversion takes, else a compiled TensorFlow function."""
    if litert_pays(segments, inputs):
        try:
            sample = inputs[0].batch(np.array([0])).astype(network.inputs[0].dtype)
            content = convert_quickly(network, sample, [np.asarray(x) for x in network(sample, training=False)])
        except TlkerasError as error:
            log.info("The frozen part runs in TensorFlow: %s", error)
        else:
            return lambda rows: [Rows(values) for values in run_litert(content, rows)]
    step = compiled(network, [inputs[0]])
    return lambda rows: list(run_step(step, [rows], on_progress=on_progress))


def litert_pays(segments: Sequence[Block], inputs: Sequence[Rows]) -> bool:
    """Whether there are enough pictures; texts are products of matrices, which TensorFlow computes near the machine's peak.

    A function of the network and the examples alone, not of a clock or of what is cut where, so that a run that is resumed
    computes with the same engine.
    """
    import tensorflow as tf

    count, shape = sum(len(rows) for rows in inputs), inputs[0].values.shape
    if count < LITERT_EXAMPLES or len(shape) != 4 or tf.config.list_physical_devices("GPU"):
        return False
    return count * count_macs(chain(segments, name="whole"), shape[1]) >= LITERT_MACS


def _tapped(segments: Sequence[Block], cuts: Sequence[int]) -> "keras.Model":
    """The segments below the highest cut, as one network whose outputs are the tensors at every cut, lowest first."""
    import keras

    first = chain(segments[: cuts[0]], name="below")
    tensors, outputs = list(first.outputs), list(first.outputs)
    for lower, upper in pairwise(cuts):
        for segment in segments[lower:upper]:
            result = segment.network(tensors if len(tensors) > 1 else tensors[0])
            tensors = list(result) if isinstance(result, list | tuple) else [result]
        outputs += tensors
    return keras.Model(first.inputs if len(first.inputs) > 1 else first.inputs[0], outputs, name="frozen_part")


def fits_memory(segments: Sequence[Block], cut: int, inputs: Rows, *, copies: int = 1) -> bool:
    """Say whether the activations of all examples at a cut, in so many copies, take at most a quarter of the free memory."""
    if cut == 0:
        return True
    positions = int(inputs.lengths.sum()) if inputs.lengths is not None else len(inputs)
    per_position = 0
    for tensor in segments[cut - 1].network.outputs:
        known = [size for size in tensor.shape[1:] if size is not None]
        per_position += int(np.prod(known, initial=1)) * np.dtype(tensor.dtype).itemsize
    needed = positions * per_position * copies
    if needed <= available_bytes() // 4:
        return True
    log.info("The activations of the frozen part would take %.1f GB: they are computed anew in every epoch", needed / 1e9)
    return False
