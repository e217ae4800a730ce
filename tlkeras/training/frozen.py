"""What reaches the trained part of the network: computed once, kept for all phases that can use it."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkeras.features.cut import activations, fits_memory
from tlkeras.features.rows import Rows
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")


class FrozenPart:
    """The training and validation rows at each cut of a network.

    A cut is the index of the lowest segment that trains; the rows at cut 0 are the inputs themselves.
    """

    def __init__(self, segments: Sequence[Block], train: Rows, val: Rows) -> None:
        self._segments = segments
        self._inputs = (train, val)
        self._rows: dict[int, tuple[tuple[Rows, ...], tuple[Rows, ...]]] = {0: ((train,), (val,))}

    def compute(self, cuts: Sequence[int]) -> None:
        """Compute the rows at several cuts in one pass, as far as no phase changes what lies below a later cut."""
        lowest, wanted = len(self._segments), []
        for cut in cuts:
            if cut <= lowest and cut not in self._rows and fits_memory(self._segments, cut, self._inputs[0]):
                wanted.append(cut)
            lowest = min(lowest, cut)
        if not wanted:
            return
        started = time.monotonic()
        train, val = activations(self._segments, wanted, *self._inputs)
        for cut in wanted:
            self._rows[cut] = (train[cut], val[cut])
        count = len(self._inputs[0]) + len(self._inputs[1])
        seconds = time.monotonic() - started
        log.info("The frozen part ran once over %d examples: %.1f s, %.0f a second", count, seconds, count / seconds)

    def rows(self, cut: int) -> tuple[tuple[Rows, ...], tuple[Rows, ...]]:
        """Return the training and the validation rows at a cut, or the inputs where they do not fit the memory."""
        if cut not in self._rows:
            self.compute([cut])
        return self._rows.get(cut, self._rows[0])

    def lower(self, cut: int) -> "keras.Model | None":
        """Return the network that has still to be run below a cut, in the data pipeline; None where the rows are there."""
        return None if cut in self._rows else chain(self._segments[:cut], name="below")

    def changed_from(self, cut: int) -> None:
        """Forget the rows above a cut: the phase that ended has changed the weights they were computed with."""
        self._rows = {at: rows for at, rows in self._rows.items() if at <= cut}
