"""Activations on disk: what the frozen part computed is kept under a key of its content and read without loading it whole.

An entry is a folder of `.npy` files in the cache (see `tlkeras.features.cache`), one or two for each tensor at the cut. Its key
holds the rows themselves (decoded pixels or token ids: so data, size, resizing, tokenizer and augmentation), the weights below
the cut and what they answer, the engine, and the versions.
"""

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.features.cache import budget_bytes, cache_folder, keep_within_budget
from tlkeras.features.engine import Allocate
from tlkeras.features.rows import Rows
from tlkeras.files import write_file

log = logging.getLogger("tlkeras")

_CONTENTS = "entry.json"


def room_for(size: int) -> bool:
    """Say whether so many bytes may go to the cache: within its budget, and at most half of what is free on its disk."""
    folder = cache_folder()
    if folder is None or size > budget_bytes():
        return False
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return size <= shutil.disk_usage(folder).free // 2
    return False


def read_rows(key: str) -> tuple[Rows, ...] | None:
    """Return the rows of an entry, mapped into memory and read when they are asked for; None where there is no entry."""
    path = _path(key)
    if path is None or not path.exists():
        return None
    try:
        entry = json.loads((path / _CONTENTS).read_text(encoding="utf-8"))
        found = []
        for number, tensor in enumerate(entry):
            values = _load(path / f"values_{number}.npy", tensor["bytes"])
            offsets = np.load(path / "offsets.npy") if tensor["ragged"] else None
            found.append(Rows(values, offsets, tensor["fill"]))
        os.utime(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("The cached activations %s are damaged (%s): they are computed anew", path, error)
        shutil.rmtree(path, ignore_errors=True)
        return None
    return tuple(found)


def keep_rows(key: str, compute: Callable[[Allocate], tuple[Rows, ...]]) -> tuple[Rows, ...]:
    """Let rows be computed into the files of a new entry, whole or not at all, and return them as `read_rows` does.

    Raises:
        OSError: There is no room, or the disk fails.
    """
    path = _path(key)
    if path is None:
        raise OSError("the cache is switched off")

    def write(folder: Path) -> None:
        folder.mkdir()

        def allocate(number: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
            file = folder / f"values_{number}.npy"
            return np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)

        entry = []
        for number, rows in enumerate(compute(allocate)):
            rows.values.flush()  # type: ignore[attr-defined]  # what `allocate` made is a np.memmap
            size = (folder / f"values_{number}.npy").stat().st_size
            entry.append({"bytes": size, "ragged": rows.offsets is not None, "fill": rows.fill})
            if rows.offsets is not None:
                np.save(folder / "offsets.npy", rows.offsets)
        (folder / _CONTENTS).write_text(json.dumps(entry), encoding="utf-8")

    write_file(path, write)
    keep_within_budget(path)
    found = read_rows(key)
    if found is None:
        raise OSError(f"{path} cannot be read back")
    return found


def _load(file: Path, size: int) -> np.ndarray:
    if file.stat().st_size != size:
        raise ValueError(f"{file.name} has {file.stat().st_size} bytes instead of {size}")
    return np.load(file, mmap_mode="r")


def _path(key: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "activations" / key
