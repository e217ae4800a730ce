"""Micro-batching: rows that wait while the model is busy are computed together."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
"""One batch to one row of output for each; called from one thread only."""


class Batcher:
    """Feeds a model from the event loop.

    A row that comes while the model is idle is computed at once, so nobody waits for a batch to fill. Rows of different
    shapes (texts of different lengths) never share a batch: padding would change the last bits of an answer.

    Attributes:
        sizes: How many batches of each size were computed.
    """

    def __init__(self, run: Run, *, size: int = 16) -> None:
        """Start with nothing to do.

        Args:
            run: The model.
            size: Rows of a batch, at most.
        """
        self.sizes: dict[int, int] = {}
        self._run, self._size = run, size
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._worker: asyncio.Task[None] | None = None

    async def compute(self, row: np.ndarray) -> np.ndarray:
        """Return the output for one row, computed together with whatever else is waiting."""
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def compute_many(self, rows: np.ndarray) -> np.ndarray:
        """Return the outputs for many rows of one shape, a batch at a time; others may come between."""
        loop = asyncio.get_running_loop()
        batches = [rows[start : start + self._size] for start in range(0, len(rows), self._size)]
        return np.concatenate([await loop.run_in_executor(self._thread, self._run, batch) for batch in batches])

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while batch := self._take():
                self.sizes[len(batch)] = self.sizes.get(len(batch), 0) + 1
                try:
                    rows = np.stack([row for row, _ in batch])
                    outputs = await loop.run_in_executor(self._thread, self._run, rows)
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), output in zip(batch, outputs, strict=True):
                        if not future.done():  # its client has given up
                            future.set_result(output)
        finally:
            self._worker = None

    def _take(self) -> list[tuple[np.ndarray, asyncio.Future[np.ndarray]]]:
        """Remove and return the longest waiting row and those of its shape, leaving out those nobody waits for any more."""
        taken: list[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = []
        left: deque[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = deque()
        while self._waiting:
            row, future = self._waiting.popleft()
            if future.done():
                continue
            fits = not taken or (row.shape == taken[0][0].shape and len(taken) < self._size)
            (taken if fits else left).append((row, future))
        self._waiting = left
        return taken
