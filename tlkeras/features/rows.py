"""Rows: what a network reads or gives for each example, dense or of varying length, in memory or in a file."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """The arrays of `n` examples.

    Attributes:
        values: Dense: shape `(n, ...)`. Of varying length: all rows one after the other, shape `(sum of lengths, ...)`.
        offsets: Where each row of varying length begins, int64, shape `(n + 1,)`; None for dense rows.
        fill: What a batch is padded with at the end of its shorter rows.
    """

    values: np.ndarray
    offsets: np.ndarray | None = None
    fill: int | float | bool = 0

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


def ragged(rows: list[np.ndarray], *, fill: int | float | bool = 0) -> Rows:
    """Return rows of varying length; each array has shape `(length, ...)`."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Rows(np.concatenate(rows), offsets, fill)


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
