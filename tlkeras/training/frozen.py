"""What reaches the trained part of the network: computed once, kept for all phases that can use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkeras.features.cut import activations, may_keep
from tlkeras.features.rows import Rows
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras


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

    A cut is the index of the lowest segment that trains; the rows at cut 0 are the inputs themselves. Where the activations at
    a cut are too large to be kept, those at the highest boundary below it that may be are kept, and the segments between run on
    each batch.
    """

    def __init__(self, segments: Sequence[Block], views: Sequence[Rows], val: Rows, *, exact: bool = False) -> None:
        """Nothing is computed yet.

        Args:
            segments: The network.
            views: The training inputs as they are, and augmented views of them.
            val: The validation inputs.
            exact: Take from the cache only what is equal to the last bit, see `activations`.
        """
        self._segments, self._exact = segments, exact
        self._inputs = CutRows(tuple((view,) for view in views), (val,))
        self._rows: dict[Need, CutRows] = {}
        self._boundaries: dict[Need, int] = {}

    def compute(self, needs: Sequence[Need]) -> None:
        """Compute the rows for several phases in one pass, as far as no phase changes what lies below a later cut."""
        lowest, wanted = len(self._segments), []
        for need in needs:
            if need.cut <= lowest and need not in self._rows and self._boundary(need):
                wanted.append(need)
            lowest = min(lowest, need.cut)
        if not wanted:
            return
        (original,), *others = self._inputs.views
        cuts = [self._boundary(need) for need in wanted]
        train, val = activations(self._segments, cuts, original, self._inputs.val[0], exact=self._exact)
        augmented = [self._boundary(need) for need in wanted if need.all_views]
        inputs = [view for (view,) in others]
        views = activations(self._segments, augmented, *inputs, exact=self._exact) if augmented and others else []
        for need in wanted:
            cut = self._boundary(need)
            more = [view[cut] for view in views] if need.all_views else []
            self._rows[need] = CutRows((train[cut], *more), val[cut])

    def _boundary(self, need: Need) -> int:
        """The highest boundary, up to the cut, whose activations may be kept; 0 if there is none."""
        if need not in self._boundaries:
            copies = len(self._inputs.views) if need.all_views else 1
            inputs = self._inputs.views[0][0]
            boundaries = range(need.cut, 0, -1)
            self._boundaries[need] = next((c for c in boundaries if may_keep(self._segments, c, inputs, copies=copies)), 0)
        return self._boundaries[need]

    def rows(self, need: Need) -> CutRows:
        """Return the rows that a phase reads: those at its cut, or at the boundary below it that `lower` starts from."""
        if self._boundary(need) == 0:
            return self._inputs if need.all_views else CutRows(self._inputs.views[:1], self._inputs.val)
        if need not in self._rows:
            self.compute([need])
        return self._rows[need]

    def lower(self, need: Need) -> "keras.Model | None":
        """Return the network that has still to be run below a cut, in the data pipeline; None where the rows are there."""
        boundary = self._boundary(need)
        return None if boundary == need.cut else chain(self._segments[boundary : need.cut], name="below")

    def changed_from(self, cut: int) -> None:
        """Forget the rows above a cut: the phase that ended has changed the weights they were computed with."""
        self._rows = {need: rows for need, rows in self._rows.items() if need.cut <= cut}
