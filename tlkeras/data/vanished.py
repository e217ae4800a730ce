"""Files that were there when data was loaded and are gone, or others, when they are read: left out, and said."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlkeras.data.examples import ClassTargets, Examples, ImageFiles, Splits
from tlkeras.errors import DataError

_LOGGER = logging.getLogger("tlkeras")
MOST_VANISHED = 100
"""So many files that vanish from a part are left out with a warning, or 1 % if that is more; beyond it, work stops."""


def without_vanished(examples: Examples) -> Examples:
    """Return examples without those whose picture file is gone since it was checked, with a warning that counts and names them.

    Files that have changed since are counted and named too, and read as they are now. Texts, and pictures in memory or in a
    table, stay as they are.

    Raises:
        DataError: More than `MOST_VANISHED` and 1 % are gone, or all of a class: a drive that is no longer there, mostly.
    """
    if not isinstance(examples.store, ImageFiles):
        return examples
    now = modification_times(examples.store.paths)
    there = now >= 0
    gone = np.flatnonzero(~there)
    known = examples.metadata.get("modified")
    known = np.full(len(now), -1) if known is None else known
    changed = np.flatnonzero(there & (known >= 0) & (now != known))
    if len(changed):
        first = examples.store.where(int(changed[0]))
        _LOGGER.warning(
            "%d pictures changed since they were checked, the first: %s. Read as they are now.", len(changed), first
        )
    if not len(gone):
        return examples
    kept = examples.take(np.flatnonzero(there))
    first = examples.store.where(int(gone[0]))
    lost = isinstance(examples.targets, ClassTargets) and len(set(kept.labels.tolist())) < len(set(examples.labels.tolist()))
    if lost or len(gone) > max(MOST_VANISHED, len(examples) // 100):
        raise DataError(
            f"{len(gone):,} of {len(examples):,} pictures are gone since they were checked, the first: {first}"
            f"{'; nothing is left of a class' if lost else ''}. Put them back (is the drive there?), or run again without them."
        )
    _LOGGER.warning("%d pictures are gone since they were checked and left out, the first: %s", len(gone), first)
    return kept


def splits_still_there(splits: Splits) -> Splits:
    """Return splits without the examples whose files are gone, see `without_vanished`; their fingerprint stays what it was."""
    train, val, test = map(without_vanished, (splits.train, splits.val, splits.test))
    return replace(splits, train=train, val=val, test=test)


def modification_times(paths: tuple[str, ...]) -> np.ndarray:
    """Return when each file was last written, in ns since 1970, int64, shape `(n,)`; -1 where there is none."""
    return np.fromiter(map(_modified, paths), np.int64, len(paths))


def _modified(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return -1
