"""Small files for the tests of data formats: pictures that differ, texts that are no copies of each other."""

import io

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")


def png(shade, size=(6, 5)):
    """Return an encoded picture whose colour says which it is."""
    stream = io.BytesIO()
    Image.new("RGB", size, (shade % 256, shade // 256, 7)).save(stream, "PNG")
    return stream.getvalue()


def save_png(path, shade):
    """Write a picture, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(shade))
    return path


def fill_classes(root, counts, start=0):
    """Write `counts[name]` different pictures into each class folder."""
    for name, number in counts.items():
        for n in range(number):
            save_png(root / name / f"{start + n:04}.png", start + n)
        start += number
    return root


def words(seed, number=6):
    """Return random words, so that no two texts look like copies."""
    letters = np.random.default_rng(seed).choice(list("abcdefghijklmnopqrstuvwxyz"), (number, 9))
    return " ".join("".join(word) for word in letters)


def all_parts(splits):
    """Return the three parts."""
    return (splits.train, splits.val, splits.test)


def sizes(splits):
    """Return how many examples each part has."""
    return [len(part) for part in all_parts(splits)]


def by_id(splits):
    """Return the target of every example, as it would stand in a table."""
    return {
        identity: cell
        for part in all_parts(splits)
        for identity, cell in zip(part.ids.tolist(), part.targets.cells(splits.classes), strict=True)
    }
