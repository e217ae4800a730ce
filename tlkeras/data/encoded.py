"""Encoded pictures that do not lie in files of their own, read by place when they are needed."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

import numpy as np

MEMORY_LIMIT = 2 * 2**30
"""The most bytes of pictures that are kept in memory where their file cannot be read row by row."""


@dataclass(frozen=True)
class EncodedColumn:
    """`length` encoded pictures; `read(place)` gives the bytes of one, empty where there is none."""

    read: Callable[[int], bytes]
    length: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return the bytes of one picture, or of several."""
        if isinstance(index, slice):
            return [self.read(place) for place in range(*index.indices(self.length))]
        if not 0 <= index < self.length:
            raise IndexError(f"There are {self.length} pictures. Received: place {index}")
        return self.read(index)

    def take(self, places: np.ndarray) -> "EncodedColumn":
        """Return the chosen pictures, in that order; reads nothing."""
        read = self.read
        return EncodedColumn(lambda place: read(int(places[place])), len(places))


def no_pictures(length: int) -> EncodedColumn:
    """Return a column in which every picture is missing."""
    return EncodedColumn(lambda place: b"", length)


def join_columns(columns: Sequence[EncodedColumn]) -> EncodedColumn:
    """Return several columns as one, one after the other; reads nothing."""
    ends = [0, *accumulate(map(len, columns))]

    def read(place: int) -> bytes:
        part = bisect_right(ends, place) - 1
        return columns[part].read(place - ends[part])

    return EncodedColumn(read, ends[-1])
