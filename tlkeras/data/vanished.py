"""Files that were there when data was loaded and are gone, or others, when they are read: left out, and said."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from tlkeras.data.checks import find_unreadable
from tlkeras.data.examples import ClassTargets, Examples, ImageFiles, Splits
from tlkeras.data.image_files import modification_times
from tlkeras.errors import DataError

_LOGGER = logging.getLogger("tlkeras")
_Data = TypeVar("_Data", Examples, Splits)
_Found = TypeVar("_Found")

MOST_VANISHED = 100
"""So many files that vanish from a part are left out with a warning, or 1 % if that is more; beyond it, work stops."""


def without_vanished(examples: Examples) -> Examples:
    """Return examples without those whose picture file is gone since it was checked, with a warning that counts and names them.

    Files that have changed since are counted and named too, and read as they are now; one that can no longer be read is left
    out like one that is gone. Texts, and pictures in memory or in a table, stay as they are.

    Raises:
        DataError: More than `MOST_VANISHED` and 1 % are gone, or all of a class: a drive that is no longer there, mostly.
    """
    if not isinstance(examples.store, ImageFiles):
        return examples
    now = modification_times(examples.store.paths)
    known = examples.metadata.get("modified", np.full(len(now), -1))
    changed = np.flatnonzero((now >= 0) & (known >= 0) & (now != known))
    if len(changed):
        first = examples.store.where(int(changed[0]))
        _LOGGER.warning(
            "%d pictures changed since they were checked, the first: %s. Read as they are now.", len(changed), first
        )
    broken = {one.where for one in find_unreadable(examples.store.take(changed))}
    gone = np.flatnonzero((now < 0) | np.array([path in broken for path in examples.store.paths], bool))
    if not len(gone):
        return examples
    kept = examples.take(np.setdiff1d(np.arange(len(now)), gone))
    first = examples.store.where(int(gone[0]))
    lost = isinstance(examples.targets, ClassTargets) and len(set(kept.labels.tolist())) < len(set(examples.labels.tolist()))
    if lost or len(gone) > max(MOST_VANISHED, len(examples) // 100):
        raise DataError(
            f"{len(gone):,} of {len(examples):,} pictures are gone or damaged since they were checked, the first: {first}"
            f"{'; nothing is left of a class' if lost else ''}. Put them back (is the drive there?), or run again without them."
        )
    _LOGGER.warning("%d pictures are gone or damaged since they were checked and left out, the first: %s", len(gone), first)
    return kept


def splits_still_there(splits: Splits) -> Splits:
    """Return splits without the examples whose files are gone, see `without_vanished`; their fingerprint stays what it was."""
    parts = (splits.train, splits.val, splits.test)
    train, val, test = map(without_vanished, parts)
    if all(kept is part for kept, part in zip((train, val, test), parts, strict=True)):
        return splits
    return replace(splits, train=train, val=val, test=test)


def read_still_there(data: _Data, read: Callable[[_Data], _Found]) -> tuple[_Data, _Found]:
    """Return data without what has vanished, and what `read` makes of it.

    A picture that vanishes while `read` is at work is left out like one that was gone before: `read` begins anew without it.

    Args:
        data: Examples or splits.
        read: Reads them; called again for what is left, so it must change nothing.

    Raises:
        DataError: As `without_vanished`; or what `read` raised, if nothing has vanished.
    """
    there: Callable[[_Data], _Data] = splits_still_there if isinstance(data, Splits) else without_vanished  # type: ignore
    data = there(data)
    while True:
        try:
            return data, read(data)
        except DataError:
            left = there(data)
            if left is data:
                raise
            data = left
