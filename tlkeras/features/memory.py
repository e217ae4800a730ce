"""How much memory a computation may plan with, and room for what does not fit."""

import tempfile
from typing import Any

import numpy as np


def available_bytes() -> int:
    """Return the bytes of memory that can be had now without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def make_room(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array to be filled: in memory, or in a temporary file where it would take more than a quarter of that."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size < available_bytes() // 4 or size == 0:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as stream:
        return np.memmap(stream, dtype=dtype, mode="w+", shape=shape)
