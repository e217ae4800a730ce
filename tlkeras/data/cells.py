"""Texts by the million: UTF-8 in one block, in memory or, where it is large, in a temporary file; read by place."""

import io
import mmap
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, overload

import numpy as np

MEMORY_LIMIT = 256 * 2**20
"""More bytes of text than this lie in a temporary file, which the system reads and forgets as it needs."""

_CHUNK = 512
_CODEC = ("utf-8", "surrogatepass")  # names of files may hold what is no text


@dataclass(frozen=True, eq=False)
class Cells(Sequence[str]):
    """Many texts, 16 bytes each beside their letters; a choice of them shares the block and copies none.

    Attributes:
        data: The letters of all, UTF-8.
        starts: Where each text begins, int64, shape `(n,)`, in bytes.
        stops: Where it ends, likewise.
    """

    data: bytes | mmap.mmap
    starts: np.ndarray
    stops: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return a text, or several."""
        if isinstance(index, slice):
            return list(self.take(np.arange(len(self))[index]))
        return self.data[int(self.starts[index]) : int(self.stops[index])].decode(*_CODEC)

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _CHUNK):
            places = slice(first, first + _CHUNK)
            for start, stop in zip(self.starts[places].tolist(), self.stops[places].tolist(), strict=True):
                yield self.data[start:stop].decode(*_CODEC)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and _equal(self, other)

    __hash__ = None  # type: ignore[assignment]  # equal to a tuple of the same texts, whose hash it does not have

    @property
    def sizes(self) -> np.ndarray:
        """The bytes of each text, int64, shape `(n,)`."""
        return self.stops - self.starts

    def take(self, places: np.ndarray) -> "Cells":
        """Return the chosen texts, in that order; copies none."""
        return Cells(self.data, self.starts[places], self.stops[places])

    def stripped(self) -> "Cells":
        """Return the texts without blanks around them; copies none."""
        starts, stops = self.starts.copy(), self.stops.copy()
        for place, text in enumerate(self):
            if text != text.strip():
                starts[place] += len(text[: len(text) - len(text.lstrip())].encode(*_CODEC))
                stops[place] = starts[place] + len(text.strip().encode(*_CODEC))
        return Cells(self.data, starts, stops)


@dataclass(frozen=True, eq=False)
class CellRows(Sequence[tuple[str, ...]]):
    """The rows of a table whose cells lie in `Cells`, one for each column."""

    columns: tuple[Cells, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, ...] | list[tuple[str, ...]]:
        """Return a row, or several."""
        if isinstance(index, slice):
            return list(zip(*(column[index] for column in self.columns), strict=True))
        return tuple(column[index] for column in self.columns)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return zip(*self.columns, strict=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and _equal(self, other)

    __hash__ = None  # type: ignore[assignment]


def pack(texts: Iterable[str]) -> Cells:
    """Return texts in one block; beyond `MEMORY_LIMIT` bytes it is a temporary file, which goes with the last of its users."""
    edges = array("q", [0])
    block: IO[bytes] = io.BytesIO()
    rest, end = iter(texts), 0
    while chunk := list(islice(rest, _CHUNK)):
        encoded = [text.encode(*_CODEC) for text in chunk]
        for text in encoded:
            end += len(text)
            edges.append(end)
        block.write(b"".join(encoded))
        if end > MEMORY_LIMIT and isinstance(block, io.BytesIO):
            block = _in_a_file(block)
    places = np.asarray(edges, np.int64)
    return Cells(_content(block), places[:-1], places[1:])


def pack_rows(rows: Iterable[Sequence[str]], width: int) -> Sequence[tuple[str, ...]]:
    """Return the rows of a table in one block, as `pack` does; each has `width` cells."""
    if not width:
        return tuple(map(tuple, rows))
    cells = pack(chain.from_iterable(rows))
    return CellRows(tuple(Cells(cells.data, cells.starts[place::width], cells.stops[place::width]) for place in range(width)))


def join_texts(parts: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return several sequences of texts as one, one after the other; those that share a block still share it."""
    cells = [part for part in parts if isinstance(part, Cells)]
    if len(cells) < len(parts):
        return tuple(chain.from_iterable(parts))
    if any(part.data is not cells[0].data for part in cells):
        return pack(chain.from_iterable(cells))
    return Cells(cells[0].data, np.concatenate([part.starts for part in cells]), np.concatenate([part.stops for part in cells]))


def take_texts(texts: Sequence[str], places: np.ndarray) -> Sequence[str]:
    """Return the chosen texts, in that order."""
    return texts.take(places) if isinstance(texts, Cells) else tuple(texts[place] for place in places)


def _in_a_file(block: io.BytesIO) -> IO[bytes]:
    stream = tempfile.TemporaryFile()  # noqa: SIM115 the map that is made of it keeps it
    stream.write(block.getbuffer())
    return stream


def _content(block: IO[bytes]) -> bytes | mmap.mmap:
    if isinstance(block, io.BytesIO):
        return block.getvalue()
    with block:
        block.flush()
        return mmap.mmap(block.fileno(), 0, access=mmap.ACCESS_READ)


def _equal(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(left == right for left, right in zip(one, other, strict=True))
