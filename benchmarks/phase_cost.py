"""Does an epoch cost what its trainable part does? And what do checkpoints cost? Printed as Markdown.

    python benchmarks/phase_cost.py [--source efficientnet_lite0] [--size 97] [--pictures 256] [--rounds 3]

For each cut the multiplications of what runs in a step: the part above it, forwards and twice backwards, but for the lowest
trained block, whose input needs no gradient. All cuts in turns within one process; processor seconds of an epoch, the first of
each training left out, because it traces the step. Then one training with checkpoints as they come by default.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import tlkeras as tl

CUTS = ("head", "top:25%", "top:50%", "top:75%", "all")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--source", default="efficientnet_lite0")
    for name, default in (("size", 97), ("pictures", 256), ("rounds", 3), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    logging.getLogger("tlkeras").setLevel(logging.ERROR)
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (options.pictures + 64, options.size, options.size, 3), dtype=np.uint8)
    y, count = np.arange(len(x), dtype=np.int32) % 10, options.pictures
    splits = tl.splits_from_arrays(
        (x[:count], y[:count]), (x[count:], y[count:]), (x[-10:], y[-10:]), classes=[str(n) for n in range(10)]
    )
    source = tl.load_image_source(options.source, image_size=options.size)
    seconds: dict[str, list[float]] = {name: [] for name in CUTS}
    for _ in range(options.rounds):
        for name, found in seconds.items():
            found.append(_epoch(tl.build_model(source, splits, seed=0), splits, name, options.epochs))
    model = tl.build_model(source, splits, seed=0)
    work = {name: _macs(model, name, options.size) for name in CUTS}
    print("| trained | share of the multiplications | seconds an epoch | share |\n|---|---|---|---|")
    for name, found in seconds.items():
        share = np.median(found) / np.median(seconds["all"])
        print(f"| `{name}` | {work[name] / work['all']:.0%} | {np.median(found):.2f} | {share:.0%} |")
    _checkpoints(model, splits, 4 * options.epochs)


def _phase(trainable: str, epochs: int) -> Any:
    return tl.Phase(name="x", trainable=trainable, epochs=epochs, patience=epochs, learning_rate=1e-5, schedule="constant")


def _epoch(model: Any, splits: Any, trainable: str, epochs: int) -> float:
    import keras

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            found.append(time.process_time() - self.started)

    found: list[float] = []
    tl.fit(model, splits, [_phase(trainable, epochs)], callbacks=[Clock()])
    return float(np.median(found[1:]))


def _macs(model: Any, trainable: str, size: int) -> int:
    """Multiplications of a step for one picture."""
    from tlkeras.sources.blocks import chain
    from tlkeras.sources.macs import count_macs
    from tlkeras.training.freezing import set_trainable

    cut = set_trainable(model, _phase(trainable, 1))
    whole = count_macs(chain(model.segments, name="whole"), size)
    below, lowest = (count_macs(chain(model.segments[:n], name="below"), size) if n else 0 for n in (cut, cut + 1))
    return 3 * (whole - below) - (lowest - below)


def _checkpoints(model: Any, splits: Any, epochs: int) -> None:
    from tlkeras.training.progress import KeepPlace

    spent: list[float] = []
    save = KeepPlace.save

    def timed(self: KeepPlace) -> None:
        started = time.monotonic()
        save(self)
        spent.append(time.monotonic() - started)

    KeepPlace.save = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        tl.fit(model, splits, [_phase("all", epochs)], run=tl.Run(Path(folder), "benchmark", {}))
        whole = time.monotonic() - started
    print(f"\nCheckpoints: {len(spent)} of {np.median(spent):.2f} s in {whole:.0f} s of training: {sum(spent) / whole:.1%}")


if __name__ == "__main__":
    main()
