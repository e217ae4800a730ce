"""Does the memory of a training stay flat from 1,000 to 100,000 examples? Printed as Markdown.

    python benchmarks/memory.py [--counts 1000 10000 100000] [--kinds image text]

Pictures of 32 pixels, which lie in a file, and texts of ten words, synthetic; the two smallest source models. Each runs
in a process of its own. What counts is the most memory that cannot be given back (`RssAnon`): pages of mapped files, which the
system takes away when it needs them, stand beside it. Bytes an example are what it grew by from the count before.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

SIDE, CLASSES, VAL = 32, 5, 500
WORDS = ("good", "bad", "film", "plot", "actor", "scene", "story", "music", "slow", "great")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--kinds", nargs="+", default=["image", "text"])
    parser.add_argument("--strategies", nargs="+", default=["feature_extraction", "fine_tune"])
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(measure(**json.loads(options.job))))
        return
    print("| training | examples | seconds | of the processor | memory, MB | and mapped files | bytes an example |")
    print("|---|---|---|---|---|---|---|")
    for kind in options.kinds:
        for strategy in options.strategies:
            before: dict[str, Any] = {}
            for count in options.counts:
                job = json.dumps({"kind": kind, "strategy": strategy, "count": count})
                command = [sys.executable, __file__, "--job", job]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                grown = ""
                if before:
                    grown = f"{1e6 * (found['anonymous'] - before['anonymous']) / (count - before['count']):,.0f}"
                times = f"{found['seconds']:.0f} | {found['processor']:.0f}"
                sizes = f"{found['anonymous']:,.0f} | {found['mapped']:,.0f}"
                print(f"| {kind}, {strategy} | {count:,} | {times} | {sizes} | {grown} |", flush=True)
                before = {**found, "count": count}


def measure(kind: str, strategy: str, count: int) -> dict[str, float]:
    """Train once, and return seconds and megabytes."""
    import tlkeras as tl

    logging.getLogger("tlkeras").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TLKERAS_CACHE"] = str(Path(folder) / "cache")
        splits, source = _pictures(count, Path(folder)) if kind == "image" else _texts(count)
        model = tl.build_model(source, splits, seed=0)
        phases = tl.plan_phases(strategy, trainable="top:1" if strategy == "fine_tune" else None, epochs=1)
        peak = {"anonymous": 0.0, "mapped": 0.0}
        threading.Thread(target=_watch, args=(peak,), daemon=True).start()
        started = time.monotonic(), time.process_time()
        tl.fit(model, splits, phases, batch_size=128)
        return {**peak, "seconds": time.monotonic() - started[0], "processor": time.process_time() - started[1]}


def _watch(peak: dict[str, float]) -> None:
    while True:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        for name, field in (("anonymous", "RssAnon"), ("mapped", "RssFile")):
            peak[name] = max(peak[name], int(lines[field].split()[0]) / 1000)
        time.sleep(0.05)


def _pictures(count: int, folder: Path) -> tuple[Any, Any]:
    import tlkeras as tl
    from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Splits

    generator = np.random.default_rng(0)
    total = count + VAL
    pixels = np.memmap(folder / "pixels", np.uint8, "w+", shape=(total, SIDE, SIDE, 3))
    labels = (np.arange(total) % CLASSES).astype(np.int32)
    for start in range(0, total, 5000):
        part = pixels[start : start + 5000]
        part[:] = generator.integers(0, 200, part.shape, dtype=np.uint8)
        part[..., 0] += (10 * labels[start : start + 5000]).astype(np.uint8)[:, None, None]
    ids = np.char.add("picture ", np.arange(total).astype(str))

    def examples(part: slice) -> Examples:
        return Examples(ids[part], ImageArrays(pixels[part]), ClassTargets(labels[part]))

    classes = tuple(f"class {number}" for number in range(CLASSES))
    parts = [examples(part) for part in (slice(VAL, None), slice(0, VAL), slice(0, 10))]
    return Splits(*parts, classes, fingerprint="0"), tl.load_image_source("tiny_cnn", image_size=SIDE)


def _texts(count: int) -> tuple[Any, Any]:
    import tlkeras as tl
    from tlkeras.data.examples import ClassTargets, Examples, Splits, Texts

    generator = np.random.default_rng(0)
    labels = (np.arange(count + VAL) % 2).astype(np.int32)
    texts = [" ".join(generator.choice(WORDS, 9)) + (" great" if label else " bad") for label in labels]
    ids = np.char.add("text ", np.arange(len(texts)).astype(str))

    def examples(first: int, stop: int) -> Examples:
        store = Texts(tuple(texts[first:stop]), np.arange(first, stop))
        return Examples(ids[first:stop], store, ClassTargets(labels[first:stop]))

    splits = Splits(examples(VAL, len(texts)), examples(0, VAL), examples(0, 10), ("bad", "good"), fingerprint="0")
    return splits, tl.load_text_source("tiny_bert", sequence_length=16)


if __name__ == "__main__":
    main()
