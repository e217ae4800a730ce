"""What tlkeras adds to Keras: full fine-tuning, nothing frozen, beside bare `keras.Model.fit` on tensors in memory.

    python benchmarks/fit_overhead.py [--source efficientnet_lite0] [--size 97] [--pictures 256] [--epochs 3] [--rounds 2]

The same network, optimizer, batches and validation, in turns within one process; an epoch's seconds, by the clock and of the
processor, the first of each training left out, because it traces the step. The third line trains in a run folder, with
checkpoints as they come by default. The share is that of each round's median, and the median of these: what else runs on the
machine then counts for little, and for next to nothing in the processor's seconds.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import tlkeras as tl


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--source", default="efficientnet_lite0")
    for name, default in (("size", 97), ("pictures", 256), ("epochs", 3), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    logging.getLogger("tlkeras").setLevel(logging.ERROR)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (options.pictures + 64, options.size, options.size, 3), dtype=np.uint8)
    labels = np.arange(len(pixels), dtype=np.int32) % 10
    parts = slice(0, options.pictures), slice(options.pictures, None)
    (x, val_x), (y, val_y) = [pixels[part] for part in parts], [labels[part] for part in parts]
    splits = tl.splits_from_arrays((x, y), (val_x, val_y), (val_x[:10], val_y[:10]), classes=[str(name) for name in range(10)])
    source = tl.load_image_source(options.source, image_size=options.size)
    names = ("keras.Model.fit", "tlkeras.fit", "tlkeras.fit, checkpoints")
    rounds: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        found = {}
        for name in names:
            model = tl.build_model(source, splits, seed=0)
            clock = _clock()
            if name == names[0]:
                _bare(model, x, y, val_x, val_y, options.epochs, clock)
            else:
                _tlkeras(model, splits, options.epochs, clock, kept="checkpoints" in name)
            found[name] = np.median(clock.epochs[1:], axis=0)
        rounds.append(found)
        for name in names:
            seconds = np.median([one[name] for one in rounds], axis=0)
            shares = np.median([one[name] / one[names[0]] for one in rounds], axis=0)
            print(f"{name:<26} {seconds[0]:7.2f} s an epoch ({seconds[1]:.2f} of the processor)", end="")
            print(f", {shares[0]:.3f} of bare ({shares[1]:.3f}), {len(rounds)} rounds", flush=True)


def _clock() -> Any:
    import keras

    class Clock(keras.callbacks.Callback):
        """Notes the seconds of each epoch: of the clock, of the processor."""

        def __init__(self) -> None:
            super().__init__()
            self.epochs: list[tuple[float, float]] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.monotonic(), time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs.append((time.monotonic() - self.started[0], time.process_time() - self.started[1]))

    return Clock()


def _phase(epochs: int) -> Any:
    return tl.Phase(
        name="all", trainable="all", epochs=epochs, patience=epochs, learning_rate=1e-5, schedule="constant", batch_norm="train"
    )


def _tlkeras(model: Any, splits: Any, epochs: int, clock: Any, *, kept: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = tl.Run(Path(folder), "benchmark", {}) if kept else None
        tl.fit(model, splits, [_phase(epochs)], run=run, callbacks=[clock])


def _bare(model: Any, x: Any, y: Any, val_x: Any, val_y: Any, epochs: int, clock: Any) -> None:
    import keras
    import tensorflow as tf

    from tlkeras.sources.blocks import chain
    from tlkeras.training.freezing import set_trainable
    from tlkeras.training.optimizers import build_optimizer

    phase = _phase(epochs)
    set_trainable(model, phase)
    network = chain(model.segments, name="bare")
    steps = -(-len(x) // 32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=build_optimizer(model, phase, 0, steps), loss=loss, metrics=["accuracy"])
    train = tf.data.Dataset.from_tensor_slices((x.astype("float32"), y)).batch(32).cache().prefetch(2)
    val = tf.data.Dataset.from_tensor_slices((val_x.astype("float32"), val_y)).batch(64).cache()
    network.fit(train, validation_data=val, epochs=epochs, verbose=0, shuffle=False, callbacks=[clock])


if __name__ == "__main__":
    main()
