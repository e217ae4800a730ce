"""Rows on disk, kept one by one: what a network gave for an example serves every later subset, split, fold and command.

An entry is a folder in the cache (see `tlkeras.features.cache`) for one network and engine. Each pass adds a chunk to it: a
folder of `.npy` files, one or two for each tensor, and the keys of the rows, which say what the network read.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.features.cache import budget_bytes, cache_folder, keep_within_budget
from tlkeras.features.engine import Allocate
from tlkeras.features.rows import Rows, pick_rows
from tlkeras.files import write_file

log = logging.getLogger("tlkeras")

_CONTENTS = "entry.json"


@dataclass(frozen=True)
class Chunk:
    """Rows that were computed together.

    Attributes:
        keys: What the network read for each, see `Rows.keys`.
        tensors: What it gave, a `Rows` for each tensor.
    """

    keys: np.ndarray
    tensors: tuple[Rows, ...]


Compute = Callable[[Sequence[Allocate | None]], Sequence[tuple[Rows, ...]]]
"""From what makes arrays, for each entry, to the tensors of each."""


def room_for(size: int) -> bool:
    """Say whether so many bytes may go to the cache: within its budget, and at most half of what is free on its disk."""
    folder = cache_folder()
    if folder is None or size > budget_bytes():
        return False
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return size <= shutil.disk_usage(folder).free // 2
    return False


def read_chunks(entry: str) -> list[Chunk]:
    """Return the chunks of an entry, their values mapped into memory and read when they are asked for."""
    folder = _path(entry)
    found = []
    for path in sorted(folder.iterdir()) if folder and folder.is_dir() else []:
        if path.name.startswith("."):  # being written
            continue
        try:
            tensors = []
            for number, tensor in enumerate(json.loads((path / _CONTENTS).read_text(encoding="utf-8"))):
                values = _load(path / f"values_{number}.npy", tensor["bytes"])
                offsets = np.load(path / "offsets.npy") if tensor["ragged"] else None
                tensors.append(Rows(values, offsets, tensor["fill"]))
            found.append(Chunk(np.load(path / "keys.npy"), tuple(tensors)))
            os.utime(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("The cached activations %s are damaged (%s): they are computed anew", path, error)
            shutil.rmtree(path, ignore_errors=True)
    return found


def missing_rows(chunks: Sequence[Chunk], keys: np.ndarray) -> np.ndarray:
    """Return which rows no chunk has, int64, ascending; of equal ones the first."""
    known = {key for chunk in chunks for key in chunk.keys.tolist()}
    first = {key: place for place, key in reversed(list(enumerate(keys.tolist())))}
    return np.array(sorted(place for key, place in first.items() if key not in known), np.int64)


def gather(chunks: Sequence[Chunk], keys: np.ndarray) -> tuple[Rows, ...]:
    """Return the rows with these keys, in their order; without copying where a chunk has them one after the other."""
    places: dict[bytes, tuple[int, int]] = {}
    for number, chunk in enumerate(chunks):
        places.update({key: (number, row) for row, key in enumerate(chunk.keys.tolist())})
    wanted = np.array([places[key] for key in keys.tolist()], np.int64).reshape(-1, 2)
    return tuple(pick_rows(parts, wanted) for parts in zip(*(chunk.tensors for chunk in chunks), strict=True))


def keep_rows(entries: Sequence[str], keys: np.ndarray, compute: Compute) -> list[Chunk]:
    """Let rows be computed into the files of a new chunk of each entry, whole or not at all; return them as `read_chunks` does.

    Raises:
        OSError: There is no room, or the disk fails.
    """
    paths = [_path(entry) for entry in entries]
    chunk = hashlib.blake2b(np.ascontiguousarray(keys).tobytes(), digest_size=16).hexdigest()
    folder = cache_folder()
    if folder is None:
        raise OSError("the cache is switched off")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
        rooms = [Path(temporary) / str(number) for number in range(len(entries))]
        for room in rooms:
            room.mkdir()
        for room, tensors in zip(rooms, compute([_allocator(room) for room in rooms]), strict=True):
            _describe(room, keys, tensors)
        written = [path / chunk for path in paths if path]
        for room, path in zip(rooms, written, strict=True):
            write_file(path, room.rename)
    keep_within_budget(written)
    chunks = [one for entry in entries for one in read_chunks(entry) if np.array_equal(one.keys, keys)]
    if len(chunks) != len(entries):
        raise OSError(f"what was written below {folder} cannot be read back")
    return chunks


def _allocator(folder: Path) -> Allocate:
    def allocate(number: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.lib.format.open_memmap(folder / f"values_{number}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape)

    return allocate


def _describe(folder: Path, keys: np.ndarray, tensors: Sequence[Rows]) -> None:
    contents = []
    for number, rows in enumerate(tensors):
        rows.values.flush()  # type: ignore[attr-defined]  # what `allocate` made is a np.memmap
        size = (folder / f"values_{number}.npy").stat().st_size
        contents.append({"bytes": size, "ragged": rows.offsets is not None, "fill": rows.fill})
        if rows.offsets is not None:
            np.save(folder / "offsets.npy", rows.offsets)
    np.save(folder / "keys.npy", keys)
    (folder / _CONTENTS).write_text(json.dumps(contents), encoding="utf-8")


def _load(file: Path, size: int) -> np.ndarray:
    if file.stat().st_size != size:
        raise ValueError(f"{file.name} has {file.stat().st_size} bytes instead of {size}")
    return np.load(file, mmap_mode="r")


def _path(entry: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "activations" / entry
