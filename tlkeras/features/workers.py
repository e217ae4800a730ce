"""Run a LiteRT model over many rows, one interpreter for each core; and time it on one row."""

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.features.cache import cache_key, read_arrays, write_arrays
from tlkeras.features.engine import Allocate
from tlkeras.features.litert_quick import Runner, open_runner
from tlkeras.features.memory import available_bytes
from tlkeras.features.rows import Rows, ordered_batches

if TYPE_CHECKING:
    from tlkeras.features.passes import Pass

MOST_WORKERS = 4
LEAST_SECONDS, LEAST_RUNS, MOST_RUNS = 0.4, 10, 1000


def run_litert(
    content: bytes,
    inputs: Rows,
    *,
    workers: int | None = None,
    allocate: Allocate | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[np.ndarray]:
    """Compute the outputs of a LiteRT model for all rows, one by one, with an interpreter of one thread for each core.

    On CPUs that is faster than larger batches or more threads (EfficientNet-Lite0 at 224 pixels: 5 ms a picture and core).

    Args:
        content: The model; its input takes rows as they are, cast to its dtype.
        inputs: The rows.
        workers: How many interpreters; as many as there are cores and the memory allows, at most 4, if not given.
        allocate: Makes the array that output number `n` goes to, from `n`, a shape and a dtype; in memory if not given.
        on_progress: Called with the rows done and their number.

    Returns:
        For each output an array with a row for each input row.
    """
    # Each interpreter holds the weights twice, as they are and packed for its kernels.
    count = workers or max(1, min(os.cpu_count() or 1, MOST_WORKERS, available_bytes() // (4 * len(content))))
    idle: SimpleQueue[Runner] = SimpleQueue()
    for _ in range(count):
        idle.put(open_runner(content))
    first = idle.get()
    make = allocate or (lambda _, shape, dtype: np.empty(shape, dtype))
    answers = first(inputs.batch(np.array([0])))
    results = [make(number, (len(inputs), *one.shape[1:]), one.dtype) for number, one in enumerate(answers)]
    idle.put(first)

    def run(indices: np.ndarray) -> None:
        model = idle.get()
        try:
            for index in indices:
                for result, output in zip(results, model(inputs.batch(np.array([index]))), strict=True):
                    result[index] = output[0]
        finally:
            idle.put(model)

    batches, done = ordered_batches(inputs, 16), 0
    with ThreadPoolExecutor(count) as pool:  # LiteRT computes outside the interpreter lock
        for batch, _ in zip(batches, pool.map(run, batches), strict=True):
            done += len(batch)
            if on_progress:
                on_progress(done, len(inputs))
    return results


def latency_ms(frozen: "Pass", sample: np.ndarray) -> float | None:
    """Return the milliseconds that one example takes in LiteRT on this machine: float32, one thread.

    The fastest tenth of ten runs or more, so that what else runs on the machine counts for little; of a text source with its
    longest text. Measured once for each network and machine, then read from the cache.

    Args:
        frozen: The network.
        sample: One example, see `tlkeras.features.pooled.noise`.
    """
    machine = [platform.node(), platform.processor(), os.cpu_count()]
    key = cache_key(kind="latency", machine=machine, network=frozen.identities, shape=sample.shape)
    kept = read_arrays(key)
    if kept is not None:
        return float(kept["milliseconds"])
    content = frozen.converted()
    if content is None:
        return None
    model = open_runner(content)
    times: list[float] = []
    for _ in range(2):
        model(sample)
    while len(times) < LEAST_RUNS or (sum(times) < LEAST_SECONDS and len(times) < MOST_RUNS):
        started = time.perf_counter()
        model(sample)
        times.append(time.perf_counter() - started)
    milliseconds = float(np.quantile(times, 0.1)) * 1000
    write_arrays(key, {"milliseconds": np.array(milliseconds)})
    return milliseconds
