"""How large, how fast and how hungry an artefact is on this machine; a phone is another machine."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.predict import Predictor, load_artifact
from tlkeras.files import plain, write_json

THREADS = (1, 2, 4)
WARM_UP, FEWEST, MOST = 10, 50, 2000
"""Runs before the clock counts, and the least and most that are counted."""
_TIME_LIMIT = 300
KEPT = "benchmark.json"


@dataclass(frozen=True)
class Latency:
    """How long one example takes, in milliseconds: percentiles of `n` runs after a warm-up."""

    threads: int
    p10: float
    p50: float
    p90: float
    n: int


@dataclass(frozen=True)
class Benchmark:
    """What `benchmark_artifact` measured.

    Attributes:
        path: The artefact.
        size_bytes: The size of its files.
        latencies: One for each number of threads.
        peak_bytes: The most memory that loading and running took on one thread, beyond that of a process that does neither.
        load_seconds: The time to load it, its runtime included, on one thread.
    """

    path: Path
    size_bytes: int
    latencies: tuple[Latency, ...]
    peak_bytes: int
    load_seconds: float

    @property
    def fastest(self) -> Latency:
        """The latency on the number of threads that is best by its 90th percentile."""
        return min(self.latencies, key=lambda latency: latency.p90)


def benchmark_artifact(path: str | Path, *, threads: Sequence[int] = THREADS, seconds: float = 1.0) -> Benchmark:
    """Measure an artefact in its own runtime, one example at a time, in a fresh process for each number of threads.

    Pictures are noise, texts as long as the model takes; decoding and tokenizing are left out.

    Args:
        path: A `.tflite` file or a SavedModel folder that `export_model` wrote.
        threads: Numbers of threads.
        seconds: How long to measure each, at least 50 runs.

    Raises:
        ArtifactError: It cannot be loaded.
    """
    path = Path(path)
    if not path.exists():
        raise ArtifactError(f"There is no such artefact. Received: {path}. Give a .tflite file or a saved_model folder.")
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    runs = [_in_a_process(path, count, seconds) for count in threads]
    return Benchmark(
        path=path,
        size_bytes=sum(file.stat().st_size for file in files),
        latencies=tuple(Latency(count, **run["latency"]) for count, run in zip(threads, runs, strict=True)),
        peak_bytes=runs[0]["peak_bytes"],
        load_seconds=runs[0]["load_seconds"],
    )


def measure_here(path: str, threads: int, seconds: float) -> dict[str, Any]:
    """Load and run an artefact in this process; what `benchmark_artifact` calls in a fresh one."""
    before, started = _peak_memory(), time.perf_counter()
    if Path(path).is_dir():
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    predictor = load_artifact(path, threads=threads)
    example = _example(predictor)
    loaded = time.perf_counter() - started
    for _ in range(WARM_UP):
        predictor.run(example)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < FEWEST or (time.perf_counter() < end and len(times) < MOST):
        started = time.perf_counter()
        predictor.run(example)
        times.append(1000 * (time.perf_counter() - started))
    p10, p50, p90 = (float(np.percentile(times, q)) for q in (10, 50, 90))
    latency = {"p10": p10, "p50": p50, "p90": p90, "n": len(times)}
    return {"latency": latency, "peak_bytes": _peak_memory() - before, "load_seconds": loaded}


def keep_benchmark(measured: Benchmark) -> None:
    """Add what was measured to `benchmark.json` beside an artefact of a run, for its report; elsewhere nothing is written."""
    path = measured.path
    if not (path.parent / "metadata.json").exists():
        return
    file = path.parent / KEPT
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    write_json(file, {**kept, path.name: plain(measured)})


def _in_a_process(path: Path, threads: int, seconds: float) -> dict[str, Any]:
    root = Path(__file__).parents[2]
    code = (
        f"import sys, json; sys.path.insert(0, {str(root)!r}); from tlkeras.export.benchmark import measure_here; "
        f"sys.stdout.write('\\n' + json.dumps(measure_here({str(path)!r}, {threads}, {seconds})))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False)  # noqa: S603 (our own)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise TlkerasError(f"{path} could not be measured on {threads} threads: {last[:500]}")
    return json.loads(done.stdout.splitlines()[-1])


def _example(predictor: Predictor) -> np.ndarray:
    terms = predictor.contract["input"]
    if predictor.modality == "image":
        return np.random.default_rng(0).integers(0, 256, (1, terms["size"], terms["size"], 3), dtype=np.uint8)
    if terms["dtype"] == "string":
        return np.array([b"word " * terms["sequence_length"]], object)
    return np.full((1, terms["sequence_length"]), terms["pad_id"] + 1, np.int32)


def _peak_memory() -> int:
    """Return the most memory that this process ever held, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, where `getrusage` of a fresh process begins with what its parent held
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
