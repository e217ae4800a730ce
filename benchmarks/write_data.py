"""Write a data set to a folder that any library reads: pictures in folders of classes, texts in CSV files."""

import csv
from pathlib import Path

import numpy as np
import rank_data
from PIL import Image

from tlkeras.data.examples import Examples, ImageArrays, ImageFiles, Texts

PARTS = ("train", "val", "test")


def draw(pool: rank_data.Pool, train: int, val: int, test: int, *, seed: int) -> dict[str, Examples]:
    """Draw parts at random; the test part is the same for every seed."""
    rows = np.random.default_rng(0).permutation(len(pool.examples))
    held, rest = rows[:test], rows[test:]
    rest = np.random.default_rng((1, seed)).permutation(rest)[: train + val]
    chosen = {"train": rest[:train], "val": rest[train:], "test": held}
    return {part: pool.examples.take(indices) for part, indices in chosen.items()}


def draw_per_class(pool: rank_data.Pool, count: int | None, test: int, *, seed: int) -> dict[str, Examples]:
    """Draw `count` labelled examples of each class (all, if None), a quarter of them for validation; the test part is fixed."""
    rows = np.random.default_rng(0).permutation(len(pool.examples))
    held, rest = rows[:test], np.random.default_rng((1, seed)).permutation(rows[test:])
    train, val = [], []
    for label in range(len(pool.classes)):
        mine = rest[pool.examples.labels[rest] == label][:count]
        most = max(1, len(mine) // 4)
        val += list(mine[:most])
        train += list(mine[most:])
    chosen = {"train": train, "val": val, "test": held}
    return {part: pool.examples.take(indices) for part, indices in chosen.items()}


def write(parts: dict[str, Examples], classes: tuple[str, ...], folder: Path) -> None:
    """Write the parts once; pictures as they came, or as PNG where they are arrays."""
    if (folder / "written").exists():
        return
    for part, examples in parts.items():
        if isinstance(examples.store, Texts):
            _write_texts(examples, classes, folder / f"{part}.csv")
        else:
            _write_pictures(examples, classes, folder / part)
    (folder / "written").touch()


def _write_texts(examples: Examples, classes: tuple[str, ...], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows((text, classes[label]) for text, label in zip(examples.store.texts, examples.labels, strict=True))


def _write_pictures(examples: Examples, classes: tuple[str, ...], folder: Path) -> None:
    store = examples.store
    for name in classes:  # a class without an example in a part is still a class
        (folder / name).mkdir(parents=True, exist_ok=True)
    for row, label in enumerate(examples.labels):
        target = folder / classes[label] / f"{row:05d}"
        if isinstance(store, ImageFiles):
            # All libraries get what Pillow makes of it: they differ in what they make of transparency.
            picture = Image.open(store.paths[row]).convert("RGBA")
            picture.thumbnail((512, 512))
            Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB").save(
                target.with_suffix(".jpg"), quality=90
            )
        elif isinstance(store, ImageArrays):
            Image.fromarray(store.pixels[row]).convert("RGB").save(target.with_suffix(".png"))
