"""Splits: made (stratified, seeded, without leaks), completed, identified and written down."""

import csv
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tlkeras.data.examples import Examples, ImageArrays, Skipped, Splits, Texts
from tlkeras.errors import DataError

FRACTIONS = (0.7, 0.15, 0.15)
PARTS = ("train", "val", "test")


def split_examples(
    examples: Examples,
    classes: Sequence[str],
    *,
    seed: int,
    fractions: Sequence[float] = FRACTIONS,
    groups: np.ndarray | None = None,
    notes: Iterable[str] = (),
    skipped: Iterable[Skipped] = (),
) -> Splits:
    """Divide examples into training, validation and test parts, class by class.

    Within a class, the rank of a hash of seed and identity decides, so neither the order of the files nor the machine matters.

    Args:
        examples: All examples.
        classes: The class names; labels index into them.
        seed: Another seed gives another split.
        fractions: The shares of train, val and test; each class has at least one example in each.
        groups: One value for each example; examples of the same value stay on one side. Exact copies if not given.
        notes: What was decided before.
        skipped: What was left out before.

    Raises:
        DataError: A class has too few examples (or groups) to be in each part.
    """
    parts = _assign(examples, classes, fractions, seed, content_digests(examples) if groups is None else groups)
    train, val, test = (examples.take(np.flatnonzero(parts == part)) for part in range(3))
    shares = " / ".join(f"{share:.0%}" for share in fractions)
    note = f"No parts were given: split {shares} into train / val / test, stratified by class, seed {seed}."
    return make_splits(train, val, test, classes, (*notes, note), skipped)


def complete_splits(
    parts: Mapping[str, Examples],
    classes: Sequence[str],
    *,
    seed: int,
    notes: Iterable[str] = (),
    skipped: Iterable[Skipped] = (),
) -> Splits:
    """Make three parts out of those that were given: `train` with or without `val` and `test`.

    A copy of a validation or test example is left out of the training part, a copy of a test example out of the validation
    part, because it would flatter the result.

    Raises:
        DataError: A class is too small to be divided, or nothing is left of it.
    """
    given = {name: parts[name] for name in PARTS if len(parts.get(name, ()))}
    if list(given) == ["train"]:
        return split_examples(given["train"], classes, seed=seed, notes=notes, skipped=skipped)
    decided = list(notes)
    if "test" not in given:
        given["test"] = given.pop("val")
        decided.append("There is no test part: the validation part is taken for testing.")
    given = _without_copies(given, decided)
    if "val" not in given:
        taken = _assign(given["train"], classes, (1 - FRACTIONS[1], FRACTIONS[1]), seed, content_digests(given["train"]))
        given["val"] = given["train"].take(np.flatnonzero(taken == 1))
        given["train"] = given["train"].take(np.flatnonzero(taken == 0))
        decided.append(f"The validation part is {FRACTIONS[1]:.0%} of the training part, stratified by class, seed {seed}.")
    for name in PARTS:
        empty = [classes[label] for label in range(len(classes)) if label not in set(given[name].labels.tolist())]
        if empty:
            raise DataError(
                f"The {name} part holds no example of {', '.join(map(repr, empty))} (copies of examples in a later part are "
                "left out). Add examples to it, or bring all examples in one part and let tlkeras split them."
            )
    return make_splits(given["train"], given["val"], given["test"], classes, decided, skipped)


def make_splits(
    train: Examples,
    val: Examples,
    test: Examples,
    classes: Sequence[str],
    notes: Iterable[str] = (),
    skipped: Iterable[Skipped] = (),
) -> Splits:
    """Put three parts together and compute their fingerprint."""
    digest = hashlib.sha256()
    digest.update(repr(tuple(classes)).encode())
    for name, part in zip(PARTS, (train, val, test), strict=True):
        rows = zip(part.ids.tolist(), content_digests(part).tolist(), part.labels.tolist(), strict=True)
        digest.update(f"\n{name}\n".encode())
        # repr escapes whatever a file name may hold, line breaks and broken UTF-8 included.
        digest.update("\n".join(map(repr, rows)).encode())
    return Splits(train, val, test, tuple(classes), digest.hexdigest(), tuple(notes), tuple(skipped))


def content_digests(examples: Examples) -> np.ndarray:
    """Return a str for each example, shape `(n,)`, that is the same for exact copies.

    Files have it in the metadata column `digest` (filled where they are checked); without it each is its own.
    """
    store = examples.store
    if isinstance(store, Texts):
        return _as_array(_digest(text.encode("utf-8", "surrogatepass")) for text in store.texts)
    if isinstance(store, ImageArrays):
        return _as_array(_digest(np.ascontiguousarray(picture).tobytes()) for picture in store.pixels)
    return np.asarray(examples.metadata.get("digest", examples.ids))


def rank_keys(names: Iterable[str], seed: int) -> np.ndarray:
    """Return a str for each name whose order is a seeded shuffle that does not depend on the other names."""
    return _as_array(_digest(f"{seed}\0{name}".encode("utf-8", "surrogatepass")) for name in names)


def save_splits(splits: Splits, path: str | Path) -> None:
    """Write `splits.csv` (columns `id, split, label, where`), completely or not at all.

    A cell that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    path = Path(path)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="backslashreplace", newline="", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as stream:
        try:
            writer = csv.writer(stream)
            writer.writerow(("id", "split", "label", "where"))
            for name in PARTS:
                part: Examples = getattr(splits, name)
                for row, (identity, label) in enumerate(zip(part.ids.tolist(), part.labels.tolist(), strict=True)):
                    cells = (identity, name, splits.classes[label], part.store.where(row))
                    writer.writerow([_harmless(cell) for cell in cells])
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:
            Path(stream.name).unlink()
            raise
    Path(stream.name).chmod(0o644)
    Path(stream.name).replace(path)


def _assign(
    examples: Examples, classes: Sequence[str], fractions: Sequence[float], seed: int, groups: np.ndarray
) -> np.ndarray:
    """Return the part of each example, shape `(n,)`: groups of a class, ranked by hash, are dealt out by share."""
    names, group_of = np.unique(groups, return_inverse=True)
    ranks = rank_keys(names.tolist(), seed)
    class_of = np.zeros(len(names), np.int64)
    # A group that spans classes counts for the one whose example has the smallest identity, whatever the order of the rows.
    order = np.argsort(examples.ids, kind="stable")[::-1]
    class_of[group_of[order]] = examples.labels[order]
    part_of = np.zeros(len(names), np.int64)
    for label, name in enumerate(classes):
        members = np.flatnonzero(class_of == label)
        counts = [max(1, int(len(members) * share + 0.5)) for share in fractions[1:]]
        if len(members) <= sum(counts):
            raise DataError(
                f"Class {name!r} has {len(members)} different examples; to be in each of {len(fractions)} parts it needs at "
                f"least {sum(counts) + 1}. Add examples, merge it with another class, or leave it out."
            )
        members = members[np.argsort(ranks[members], kind="stable")]
        part_of[members[: sum(counts)]] = np.repeat(np.arange(1, len(fractions)), counts)
    return part_of[group_of]


def _without_copies(parts: Mapping[str, Examples], notes: list[str]) -> dict[str, Examples]:
    seen: set[str] = set()
    kept = {}
    for name in ("test", "val", "train"):
        if name not in parts:
            continue
        digests = content_digests(parts[name]).tolist()
        fresh = [row for row, digest in enumerate(digests) if digest not in seen]
        if len(fresh) < len(digests):
            notes.append(f"{len(digests) - len(fresh):,} examples left out of {name}: they also occur in a later part.")
        kept[name] = parts[name].take(fresh)
        seen.update(digests)
    return kept


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _as_array(texts: Iterable[str]) -> np.ndarray:
    return np.array(list(texts), dtype=str)


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
