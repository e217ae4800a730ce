"""The frozen part runs once: activations at the boundaries where phases cut the network."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tlkeras.features.kept import room_for
from tlkeras.features.memory import available_bytes
from tlkeras.features.passes import Pass
from tlkeras.features.rows import Rows, pick_rows, row_keys
from tlkeras.sources.blocks import chain
from tlkeras.sources.macs import count_macs
from tlkeras.sources.model import Block

log = logging.getLogger("tlkeras")

LARGE = 200_000
"""Bytes of one example's activations; where they are fewer, reading them costs next to nothing."""
BYTES_A_SECOND, MACS_A_SECOND = 1e9, 3e10
"""What a disk gives, and what one core computes in TensorFlow (EfficientNet-Lite0: 58 to 75e9 on two)."""


def activations(
    segments: Sequence[Block],
    cuts: Sequence[int],
    *inputs: Rows,
    on_progress: Callable[[int, int], None] | None = None,
    exact: bool = False,
    name: str = "The frozen part",
) -> list[dict[int, tuple[Rows, ...]]]:
    """Return what reaches each cut: read from the cache on disk, or computed in one pass through the segments, and kept.

    Args:
        segments: The whole network, from the input up.
        cuts: Indices of the segments that the cuts lie below; 0 is the input itself.
        inputs: What the first segment reads: the rows of one split or of several.
        on_progress: Called with the examples done and their number.
        exact: See `Pass.run`.
        name: What it is called in messages.

    Returns:
        For each of `inputs`, the rows by cut.
    """
    found: list[dict[int, tuple[Rows, ...]]] = [{0: (rows,)} if 0 in cuts else {} for rows in inputs]
    wanted = sorted(set(cuts) - {0})
    if not wanted:
        return found
    started, computed = time.monotonic(), 0
    frozen = Pass([segments[:cut] for cut in wanted])
    for rows, by_cut in zip(inputs, found, strict=True):
        passed = frozen.run(row_keys(rows), partial(_some, rows), on_progress=on_progress, exact=exact)
        by_cut.update(zip(wanted, passed.outputs, strict=True))
        computed += passed.computed
    _report(name, frozen.engine, computed, sum(map(len, inputs)) - computed, time.monotonic() - started)
    return found


def _some(rows: Rows, places: np.ndarray) -> Rows:
    return pick_rows([rows], np.stack([np.zeros(len(places), np.int64), places], axis=1))


def _report(name: str, engine: str, computed: int, read: int, seconds: float) -> None:
    if not computed:
        log.info("%s did not run: all %d examples were read from the cache, %.1f s", name, read, seconds)
        return
    also = f"; {read} were read from the cache" if read else ""
    rate = computed / max(seconds, 1e-9)
    log.info("%s ran once over %d examples, in %s: %.1f s, %.0f a second%s", name, computed, engine, seconds, rate, also)


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
