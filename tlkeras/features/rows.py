"""Rows: what a network reads or gives for each example, dense or of varying length, in memory or in a file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.features.memory import make_room


@dataclass(frozen=True)
class Rows:
    """The arrays of `n` examples.

    Attributes:
        values: Dense: shape `(n, ...)`. Of varying length: all rows one after the other, shape `(sum of lengths, ...)`.
        offsets: Where each row of varying length begins, int64, shape `(n + 1,)`; None for dense rows.
        fill: What a batch is padded with at the end of its shorter rows.
        keys: What tells the contents of rows apart, bytes, shape `(n,)`; None where nobody has said, see `row_keys`.
    """

    values: np.ndarray
    offsets: np.ndarray | None = None
    fill: int | float | bool = 0
    keys: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray | None:
        """The length of each row, int64, shape `(n,)`; None for dense rows."""
        return None if self.offsets is None else np.diff(self.offsets)

    def batch(self, indices: np.ndarray) -> np.ndarray:
        """Return the chosen rows as one array, padded to the longest of them."""
        if self.offsets is None:
            return np.asarray(self.values[indices])
        starts, stops = self.offsets[indices], self.offsets[indices + 1]
        padded = np.full((len(indices), int((stops - starts).max()), *self.values.shape[1:]), self.fill, self.values.dtype)
        for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            padded[row, : stop - start] = self.values[start:stop]
        return padded


def ragged(rows: list[np.ndarray], *, fill: int | float | bool = 0, keys: np.ndarray | None = None) -> Rows:
    """Return rows of varying length; each array has shape `(length, ...)`."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Rows(np.concatenate(rows), offsets, fill, keys)


def row_keys(rows: Rows) -> np.ndarray:
    """Return `rows.keys`, or digests of the values where there are none: bytes, shape `(n,)`, equal for equal rows only."""
    if rows.keys is not None:
        return rows.keys
    bounds = np.arange(len(rows) + 1) if rows.offsets is None else rows.offsets
    kind = f"{rows.values.dtype}{rows.values.shape[1:]}".encode()
    pairs = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    parts = (np.ascontiguousarray(rows.values[start:stop]) for start, stop in pairs)
    return np.array([hashlib.blake2b(part.tobytes(), digest_size=16, key=kind[:64]).hexdigest() for part in parts], "S32")


def pick_rows(parts: Sequence[Rows], places: np.ndarray) -> Rows:
    """Return chosen rows in a new order; without copying where they stand in one part one after the other.

    Args:
        parts: Rows of one kind.
        places: For each row that is wanted the number of its part and its place there, int, shape `(n, 2)`.
    """
    (number, start), count = places[0], len(places)
    if (places[:, 0] == number).all() and (places[:, 1] == np.arange(start, start + count)).all():
        return _slice(parts[number], int(start), int(start) + count)
    first = parts[number]
    if first.offsets is None:
        values = make_room((count, *first.values.shape[1:]), first.values.dtype)
        for chosen, part in enumerate(parts):
            mine = np.flatnonzero(places[:, 0] == chosen)
            for piece in np.array_split(mine, len(mine) // 1024 + 1):  # the values may lie in a file
                values[piece] = part.values[places[piece, 1]]
        return Rows(values)
    offsets = np.zeros(count + 1, np.int64)
    for at, (chosen, row) in enumerate(places.tolist()):
        bounds = parts[chosen].offsets
        offsets[at + 1] = 0 if bounds is None else bounds[row + 1] - bounds[row]
    offsets = np.cumsum(offsets)
    values = make_room((int(offsets[-1]), *first.values.shape[1:]), first.values.dtype)
    for at, (chosen, row) in enumerate(places.tolist()):
        values[offsets[at] : offsets[at + 1]] = _slice(parts[chosen], row, row + 1).values
    return Rows(values, offsets, first.fill)


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    keys = None if rows.keys is None else rows.keys[start:stop]
    if (start, stop) == (0, len(rows)):
        return rows
    if rows.offsets is None:
        return Rows(rows.values[start:stop], None, rows.fill, keys)
    bounds = rows.offsets[start : stop + 1]
    return Rows(rows.values[bounds[0] : bounds[-1]], bounds - bounds[0], rows.fill, keys)


def ordered_batches(rows: Rows, batch_size: int) -> list[np.ndarray]:
    """Return the indices of batches that cover all rows; rows of like length stand together, so that little is padded."""
    order = np.arange(len(rows)) if rows.lengths is None else np.argsort(rows.lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def shuffled_batches(
    rows: Rows, batch_size: int, *, seed: int, epoch: int, shares: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return the batches of one epoch, a function of seed and epoch alone.

    Rows of varying length are shuffled, sorted by length within pools of 16 batches, and the batches are shuffled again.

    Args:
        rows: Say how many there are, and how long.
        batch_size: Rows in a batch.
        seed: Seed of the order.
        epoch: Its number, from 0.
        shares: Draw as many rows with replacement, in proportion to these; each row once if not given.
    """
    generator = np.random.default_rng((seed, epoch))
    if shares is None:
        order = generator.permutation(len(rows))
    else:
        order = generator.choice(len(rows), len(rows), p=shares / shares.sum(dtype=np.float64))
    lengths = rows.lengths
    if lengths is None:
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches = []
    for start in range(0, len(order), 16 * batch_size):
        pool = order[start : start + 16 * batch_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]
