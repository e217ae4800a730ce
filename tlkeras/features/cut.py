"""The frozen part runs once: activations at the boundaries where phases cut the network."""

import logging
import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.features.kept import room_for
from tlkeras.features.memory import available_bytes
from tlkeras.features.passes import Pass
from tlkeras.features.rows import Rows
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
LARGE = 200_000
"""Bytes of one example's activations; where they are fewer, reading them costs next to nothing."""
BYTES_A_SECOND, MACS_A_SECOND = 1e9, 3e10
"""What a disk gives, and what one core computes in TensorFlow (EfficientNet-Lite0: 58 to 75e9 on two)."""


def activations(
    segments: Sequence[Block],
    cuts: Sequence[int],
    *inputs: Rows,
    on_progress: Callable[[int, int], None] | None = None,
    kept: bool = False,
) -> list[dict[int, tuple[Rows, ...]]]:
    """Compute what reaches each cut, in one pass through the segments below the highest.

    Args:
        segments: The whole network, from the input up.
        cuts: Indices of the segments that the cuts lie below; 0 is the input itself.
        inputs: What the first segment reads: the rows of one split or of several.
        on_progress: Called with the examples done and their number.
        kept: Whether they are read from the cache on disk, and kept there as far as there is room.

    Returns:
        For each of `inputs`, the rows by cut.
    """
    found: list[dict[int, tuple[Rows, ...]]] = [{0: (rows,)} if 0 in cuts else {} for rows in inputs]
    wanted = sorted(set(cuts) - {0})
    if not wanted:
        return found
    frozen = Pass(_tapped(segments, wanted), litert=litert_pays(segments, inputs), kept=kept)
    for rows, by_cut in zip(inputs, found, strict=True):
        outputs = list(frozen.run(rows, on_progress))
        for cut in wanted:
            count = len(segments[cut - 1].network.outputs)
            by_cut[cut], outputs = tuple(outputs[:count]), outputs[count:]
    return found


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
    return keras.Model(first.input, outputs, name="frozen_part")


def may_keep(segments: Sequence[Block], cut: int, inputs: Rows, *, copies: int = 1) -> bool:
    """Say whether the activations of all examples at a cut, in so many copies, are to be kept.

    They must fit the disk cache, or a quarter of the free memory, and be quicker to read than to compute.
    """
    if cut == 0:
        return True
    below = chain(segments[:cut], name="below")
    positions = int(inputs.lengths.sum()) if inputs.lengths is not None else len(inputs)
    per_position = 0
    for tensor in below.outputs:
        known = [size for size in tensor.shape[1:] if size is not None]
        per_position += int(np.prod(known, initial=1)) * np.dtype(tensor.dtype).itemsize
    needed = positions * per_position * copies
    where = segments[cut - 1].name
    if needed > available_bytes() // 4 and not room_for(needed):
        log.info("The activations above %s would take %.1f GB: neither memory nor cache has the room", where, needed / 1e9)
        return False
    if inputs.lengths is None and per_position > LARGE:
        computing = count_macs(below, inputs.values.shape[1]) / (MACS_A_SECOND * (os.cpu_count() or 1))
        if per_position / BYTES_A_SECOND > computing:
            log.info("The activations above %s are %.1f MB each: slower to read than to compute", where, per_position / 1e6)
            return False
    return True
