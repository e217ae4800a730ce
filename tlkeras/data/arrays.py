"""Data that is in Python already: arrays of pictures, lists of texts, a `tf.data.Dataset`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tlkeras.data.checks import require_classes
from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Splits, Store, Texts
from tlkeras.data.splits import PARTS, complete_splits

Pair = tuple[Any, Any]


def splits_from_arrays(
    train: Pair, val: Pair | None = None, test: Pair | None = None, *, classes: Sequence[str] | None = None, seed: int = 0
) -> Splits:
    """Return splits of pictures in memory; parts that are not given are taken from the others.

    Args:
        train: Pictures and labels. Pictures: uint8, or numbers in `[0, 255]`, shape `(n, height, width)`,
            `(n, height, width, 1)` or `(n, height, width, 3)`, RGB. Labels: class names, class indices, shape `(n,)` or
            `(n, 1)`, or one-hot rows, shape `(n, classes)`.
        val: The same for validation.
        test: The same for testing.
        classes: The class names; an index label is a place in them. The sorted labels if not given.
        seed: Seed of the split, where one has to be made.

    Raises:
        ValueError: The shapes, ranges or lengths cannot be right.
        DataError: A class is too small to be divided, or there is only one.

    Example:
        (x, y), test = keras.datasets.cifar10.load_data()
        splits = tl.splits_from_arrays((x, y), test=test)
    """
    given = _given(train, val, test)
    for name, pair in given.items():
        _require_pair(pair, name)
    stores = {name: ImageArrays(_pixels(x, name), origin=f"{name} array") for name, (x, _) in given.items()}
    return _splits(stores, {name: y for name, (_, y) in given.items()}, classes, seed)


def splits_from_texts(
    texts: Sequence[str], labels: Sequence[Any] | np.ndarray, *, classes: Sequence[str] | None = None, seed: int = 0
) -> Splits:
    """Return a stratified split of texts in memory; exact copies stay on one side.

    Args:
        texts: The texts.
        labels: Class names or class indices, one for each text.
        classes: The class names; an index label is a place in them. The sorted labels if not given.
        seed: Seed of the split.

    Raises:
        ValueError: A text is not a str or is empty, or the lengths differ.
        DataError: A class is too small to be divided, or there is only one.
    """
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(
                f"Texts must be str that are not blank. Received at row {row}: {text!r}. Leave it out or replace it."
            )
    store = Texts(tuple(texts), np.arange(len(texts)), origin="texts")
    return _splits({"train": store}, {"train": labels}, classes, seed)


def splits_from_dataset(
    train: Any,
    val: Any = None,
    test: Any = None,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    limit: int = 2 * 2**30,
) -> Splits:
    """Return splits of the pictures of `tf.data.Dataset`s, which are read once and kept in memory.

    Args:
        train: A dataset of `(image, label)`, batched or not, all of one size; values as in `splits_from_arrays`.
        val: The same for validation.
        test: The same for testing.
        classes: The class names; the dataset's `class_names` (Keras sets them) or the sorted labels if not given.
        seed: Seed of the split, where one has to be made.
        limit: The most bytes of pictures that are kept.

    Raises:
        ValueError: A dataset is endless, larger than the limit, of pictures of several sizes, or not of pairs.
    """
    if classes is None:
        classes = getattr(train, "class_names", None)
    pairs: dict[str, Pair] = {}
    for name, dataset in _given(train, val, test).items():
        pairs[name] = _read_dataset(dataset, name, limit)
        limit -= pairs[name][0].nbytes
    return splits_from_arrays(pairs["train"], pairs.get("val"), pairs.get("test"), classes=classes, seed=seed)


def _given(train: Any, val: Any, test: Any) -> dict[str, Any]:
    return {name: part for name, part in zip(PARTS, (train, val, test), strict=True) if part is not None}


def _require_pair(pair: Any, name: str) -> None:
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        return
    shape = getattr(pair, "shape", None)
    came = type(pair).__name__ if shape is None else f"one array of shape {tuple(shape)}"
    raise ValueError(f"`{name}` must be a pair: splits_from_arrays((pictures, labels)). Received: {came}")


def _splits(stores: Mapping[str, Store], labels: Mapping[str, Any], classes: Sequence[str] | None, seed: int) -> Splits:
    flat = {name: _flat_labels(labels[name], len(store), name) for name, store in stores.items()}
    names, indices = _index_labels(flat, classes)
    parts = {}
    for name, store in stores.items():
        ids = np.array([f"{name}/{row}" for row in range(len(store))])
        parts[name] = Examples(ids, store, ClassTargets(indices[name]))
    return complete_splits(parts, names, seed=seed)


def _pixels(x: Any, name: str) -> np.ndarray:
    """Return pictures as uint8, shape `(n, height, width, 3)` or `(n, height, width)`."""
    array = np.asarray(x)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3) or 0 in array.shape:
        raise ValueError(
            f"The {name} pictures must have the shape (n, height, width, 3), (…, 1) or (n, height, width). "
            f"Received: {np.shape(x)}, {array.dtype}"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise ValueError(f"The {name} pictures must be numbers in [0, 255]. Received: {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):  # false for NaN as well
        raise ValueError(
            f"The {name} pictures must be in [0, 255], RGB. Received values from {low:g} to {high:g}; undo their scaling."
        )
    if array.dtype.kind == "f" and high <= 1:
        raise ValueError(
            f"The {name} pictures seem to be in [0, 1] (largest value {high:g}); tlkeras takes raw pixels in [0, 255], because "
            "scaling is part of the network. Multiply them by 255."
        )
    return np.rint(array).astype(np.uint8)


def _flat_labels(y: Any, length: int, name: str) -> np.ndarray:
    """Return labels as str or int64, shape `(n,)`."""
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        if array.dtype.kind not in "biuf" or not np.all((array == 1).sum(1) == 1) or not np.all((array == 0) | (array == 1)):
            raise ValueError(f"The {name} labels of shape {array.shape} are not one-hot rows. Give one class for each example.")
        array = array.argmax(1)
    if array.shape != (length,):
        raise ValueError(
            f"The {name} part has {length} inputs and labels of shape {np.shape(y)}. Give one label for each input."
        )
    if array.dtype.kind in "OSU" and not all(isinstance(label, str) for label in array.tolist()):
        odd = next(row for row, label in enumerate(array.tolist()) if not isinstance(label, str))
        raise ValueError(
            f"The {name} labels must be all str or all whole numbers. Received: {array.dtype}, in row {odd}: {array[odd]!r}"
        )
    if array.dtype.kind == "f" and np.all(array == np.rint(array)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "biuOUT":
        odd = int(np.argmax(array != np.rint(array))) if array.dtype.kind == "f" else 0
        raise ValueError(
            f"The {name} labels must be str or whole numbers. Received: {array.dtype}, the first that is neither in row {odd}: "
            f"{array[odd]!r}. Leave such rows out, or give the values to tl.splits_from_frame with target='value'."
        )
    return array.astype(str) if array.dtype.kind in "OUT" else array.astype(np.int64)


def _index_labels(
    labels: Mapping[str, np.ndarray], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return the class names and each part's labels as int32 places in them."""
    kinds = {"text" if array.dtype.kind == "U" else "number" for array in labels.values()}
    if len(kinds) > 1:
        raise ValueError("The labels of one part are str and those of another are numbers. Give all in one way.")
    found = sorted({label for array in labels.values() for label in array.tolist()})
    if classes is None:
        # Numbers keep their numeric order: as text, 10 would come before 2.
        names = tuple(map(str, found)) if kinds == {"number"} else require_classes(found, "labels")
        places = {label: place for place, label in enumerate(found)}
    else:
        names = tuple(map(str, classes))
        places = {name: place for place, name in enumerate(names)} if kinds == {"text"} else {i: i for i in range(len(names))}
    require_classes(names, "classes")
    unknown = [label for label in found if label not in places]
    if unknown:
        allowed = f"0 to {len(names) - 1}" if kinds == {"number"} else ", ".join(map(repr, names))
        raise ValueError(f"Labels outside the classes. Received: {unknown[:5]}; allowed: {allowed}")
    return names, {name: np.array([places[label] for label in array.tolist()], np.int32) for name, array in labels.items()}


def _read_dataset(dataset: Any, name: str, limit: int) -> Pair:
    spec = getattr(dataset, "element_spec", None)
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(
            f"The {name} dataset must give (image, label) pairs. Received: {spec if spec else type(dataset).__name__}"
        )
    if getattr(spec[0], "dtype", None) == "string":
        raise ValueError(f"The {name} dataset gives texts. Give them as lists: splits_from_texts(texts, labels).")
    if int(dataset.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise ValueError(f"The {name} dataset is endless. Give it before `.repeat()`, or `.take(n)` of it.")
    pictures, labels, size = [], [], 0
    for image, label in dataset.as_numpy_iterator():
        # (height, width, channels) is one picture; a fourth dimension in front is the batch.
        pictures.append(image if image.ndim == 4 else image[None])
        labels.append(label if image.ndim == 4 else np.asarray(label)[None])
        if pictures[-1].shape[1:] != pictures[0].shape[1:]:
            raise ValueError(
                f"The {name} dataset holds pictures of several shapes: {pictures[0].shape[1:]} and {pictures[-1].shape[1:]}. "
                "Map a resize over it first (`keras.layers.Resizing(size, size, crop_to_aspect_ratio=True)`)."
            )
        size += pictures[-1].nbytes
        if size > limit:
            raise ValueError(
                f"The {name} dataset needs more than the {limit:,} bytes that may be kept in memory. Make its pictures "
                "smaller or uint8, take part of it, raise `limit`, or write them into class folders and use `load_images`."
            )
    if not pictures:
        raise ValueError(f"The {name} dataset is empty.")
    return np.concatenate(pictures), np.concatenate(labels)
