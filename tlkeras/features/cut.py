"""The frozen part runs once: activations at the boundaries where phases cut the network."""

import logging
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.features.engine import compiled, run_step
from tlkeras.features.memory import available_bytes
from tlkeras.features.rows import Rows
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")


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
    step = compiled(_tapped(segments, wanted), [inputs[0]])
    for rows, by_cut in zip(inputs, found, strict=True):
        outputs = list(run_step(step, [rows], on_progress=on_progress))
        for cut in wanted:
            count = len(segments[cut - 1].network.outputs)
            by_cut[cut], outputs = tuple(outputs[:count]), outputs[count:]
    return found


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
    return keras.Model(first.inputs, outputs, name="frozen_part")


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
