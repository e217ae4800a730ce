"""What reaches the trained part of the network: computed once, kept for all phases that can use it."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkeras.features.cut import activations, fits_memory
from tlkeras.features.rows import Rows
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class Need:
    """What a phase reads: the rows at a cut, of all augmented views of the training examples or of the originals alone."""

    cut: int
    all_views: bool = False


@dataclass(frozen=True)
class CutRows:
    """The rows at one cut; one tuple of `Rows`, a `Rows` for each tensor, for each view of the training examples."""

    views: tuple[tuple[Rows, ...], ...]
    val: tuple[Rows, ...]


class FrozenPart:
    """The training and validation rows at each cut of a network.

    A cut is the index of the lowest segment that trains; the rows at cut 0 are the inputs themselves.
    """

    def __init__(self, segments: Sequence[Block], views: Sequence[Rows], val: Rows) -> None:
        self._segments = segments
        self._inputs = CutRows(tuple((view,) for view in views), (val,))
        self._rows: dict[Need, CutRows] = {}

    def compute(self, needs: Sequence[Need]) -> None:
        """Compute the rows for several phases in one pass, as far as no phase changes what lies below a later cut."""
        lowest, wanted = len(self._segments), []
        for need in needs:
            if need.cut <= lowest and need not in self._rows and self._fits(need):
                wanted.append(need)
            lowest = min(lowest, need.cut)
        if not wanted:
            return
        started = time.monotonic()
        (original,), *others = self._inputs.views
        cuts = [need.cut for need in wanted]
        train, val = activations(self._segments, cuts, original, self._inputs.val[0])
        augmented = [need.cut for need in wanted if need.all_views]
        views = activations(self._segments, augmented, *(view for (view,) in others)) if augmented and others else []
        for need in wanted:
            more = [view[need.cut] for view in views] if need.all_views else []
            self._rows[need] = CutRows((train[need.cut], *more), val[need.cut])
        count = len(original) * (1 + len(views)) + len(self._inputs.val[0])
        seconds = time.monotonic() - started
        log.info("The frozen part ran once over %d examples: %.1f s, %.0f a second", count, seconds, count / seconds)

    def _fits(self, need: Need) -> bool:
        copies = len(self._inputs.views) if need.all_views else 1
        return need.cut > 0 and fits_memory(self._segments, need.cut, self._inputs.views[0][0], copies=copies)

    def rows(self, need: Need) -> CutRows:
        """Return the rows that a phase reads, or the inputs where the rows do not fit the memory."""
        if need.cut == 0:
            return self._inputs if need.all_views else CutRows(self._inputs.views[:1], self._inputs.val)
        if need not in self._rows:
            self.compute([need])
        return self._rows.get(need) or self.rows(Need(0, need.all_views))

    def lower(self, need: Need) -> "keras.Model | None":
        """Return the network that has still to be run below a cut, in the data pipeline; None where the rows are there."""
        done = need.cut == 0 or need in self._rows
        return None if done else chain(self._segments[: need.cut], name="below")

    def changed_from(self, cut: int) -> None:
        """Forget the rows above a cut: the phase that ended has changed the weights they were computed with."""
        self._rows = {need: rows for need, rows in self._rows.items() if need.cut <= cut}
