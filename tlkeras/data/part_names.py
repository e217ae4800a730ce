"""What the parts of a data set are called: in folder names, file names and `split` columns."""

import re
from collections import defaultdict
from collections.abc import Sequence

PART_NAMES = {
    **dict.fromkeys(("train", "training", "train_set", "training_set"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation", "val_set", "validation_set"), "val"),
    **dict.fromkeys(("test", "testing", "holdout", "test_set"), "test"),
    **dict.fromkeys(("unlabelled", "unlabeled", "unlabelled_set", "unsup", "unsupervised"), "unlabelled"),
}
"""The part that each word stands for."""

_FILLERS = ("set", "data", "dataset", "images", "pictures", "photos", "split")


def part_of_folder(name: str) -> str | None:
    """Return the part that a folder's name says it holds (`train-set`, `Training Data`, `testset`), or None."""
    part, others = _take_apart(name)
    return None if others else part


def parts_of_folders(names: Sequence[str]) -> dict[str, str]:
    """Return the part of each folder that is one, by name.

    Where no name is a part as it stands, those count that differ in a part only, as in `seg_train`, `seg_test`.
    """
    found = {name: part for name in names if (part := part_of_folder(name))}
    if any(part != "unlabelled" for part in found.values()):
        return found
    alike: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        part, others = _take_apart(name)
        if part:
            alike[others][name] = part
    whole = [parts for parts in alike.values() if "train" in parts.values() and len(set(parts.values())) > 1]
    return {**found, **whole[0]} if len(whole) == 1 else found


def _take_apart(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the part in a name, None if there is none or several, and its other words but for `set`, `data` and the like."""
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    parts = [_part(word) for word in words]
    others = tuple(word for word, part in zip(words, parts, strict=True) if part is None and word not in _FILLERS)
    found = [part for part in parts if part]
    return (found[0] if len(found) == 1 else None), others


def _part(word: str) -> str | None:
    for filler in ("", *_FILLERS):
        if word.endswith(filler) and (part := PART_NAMES.get(word.removesuffix(filler))):
            return part
    return None
