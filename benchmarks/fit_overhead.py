"""What tlkeras adds to Keras: full fine-tuning, nothing frozen, beside bare `keras.Model.fit` on tensors in memory.

    python benchmarks/fit_overhead.py [--source efficientnet_lite0] [--size 97] [--pictures 256] [--epochs 3] [--rounds 2]

The same network, optimizer, batches and validation, in turns within one process; an epoch's seconds, the first of each training
left out, because it traces the step. The third line trains in a run folder, with checkpoints at the end of each epoch.
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
    seconds: dict[str, list[float]] = {"keras.Model.fit": [], "tlkeras.fit": [], "tlkeras.fit, checkpoints": []}
    for _ in range(options.rounds):
        for name, found in seconds.items():
            model = tl.build_model(source, splits, seed=0)
            if name == "keras.Model.fit":
                found += _bare(model, x, y, val_x, val_y, options.epochs)
            else:
                found += _tlkeras(model, splits, options.epochs, kept="checkpoints" in name)
        bare = float(np.median(seconds["keras.Model.fit"]))
        for name, found in seconds.items():
            share = np.median(found) / bare
            print(f"{name:<26} {np.median(found):7.2f} s an epoch, {share:.3f} of bare, {len(found)} epochs", flush=True)


def _phase(epochs: int) -> Any:
    return tl.Phase(
        name="all", trainable="all", epochs=epochs, patience=epochs, learning_rate=1e-5, schedule="constant", batch_norm="train"
    )


def _tlkeras(model: Any, splits: Any, epochs: int, *, kept: bool) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        run = tl.Run(Path(folder), "benchmark", {}) if kept else None
        history = tl.fit(model, splits, [_phase(epochs)], run=run)
    return [row["seconds"] for row in history.rows[1:]]


def _bare(model: Any, x: Any, y: Any, val_x: Any, val_y: Any, epochs: int) -> list[float]:
    import keras
    import tensorflow as tf

    from tlkeras.sources.blocks import chain
    from tlkeras.training.freezing import set_trainable
    from tlkeras.training.optimizers import build_optimizer

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            found.append(time.monotonic() - self.started)

    found: list[float] = []
    phase = _phase(epochs)
    set_trainable(model, phase)
    network = chain(model.segments, name="bare")
    steps = -(-len(x) // 32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=build_optimizer(model, phase, 0, steps), loss=loss, metrics=["accuracy"])
    train = tf.data.Dataset.from_tensor_slices((x.astype("float32"), y)).batch(32).cache().prefetch(2)
    val = tf.data.Dataset.from_tensor_slices((val_x.astype("float32"), val_y)).batch(64).cache()
    network.fit(train, validation_data=val, epochs=epochs, verbose=0, shuffle=False, callbacks=[Clock()])
    return found[1:]


if __name__ == "__main__":
    main()
