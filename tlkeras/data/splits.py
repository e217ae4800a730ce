"""Splits: made (stratified, grouped, by time), completed, identified; no copy and no group on two sides."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tlkeras.data.contents import content_digests, listing, pool_fingerprint
from tlkeras.data.dealing import deal, deal_by_time
from tlkeras.data.examples import ClassTargets, Examples, Skipped, Splits
from tlkeras.data.units import Units, class_names, connect_alike, find_units
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
    near_duplicates: bool = True,
    notes: Iterable[str] = (),
    skipped: Iterable[Skipped] = (),
) -> Splits:
    """Divide examples into training, validation and test parts: class by class, or by time.

    Copies, near copies and members of a group stay on one side. Within a class, the rank of a hash of seed and content decides
    (see `deal`), so another order of the files or another machine changes nothing, and added data little. Where the metadata
    has a column `time`, the newest examples are the test part instead, and those before them the validation part.

    Args:
        examples: All examples.
        classes: The class names; labels index into them.
        seed: Another seed gives another split.
        fractions: The shares of train, val and test; each class has at least one example in each.
        groups: One value for each example; examples of the same value stay on one side. The metadata column `group` if not
            given.
        near_duplicates: False lets near copies lie on two sides.
        notes: What was decided before.
        skipped: What was left out before.

    Raises:
        DataError: A class has too few different examples (or groups) to be in each part, or a time is missing.
    """
    units = find_units(examples, seed=seed, groups=groups, near_duplicates=near_duplicates)
    try:
        parts, how = _deal(examples, classes, units, fractions[1:])
    except DataError as error:
        raise DataError(f"{error}{_near_hint(units, near_duplicates)}") from None
    train, val, test = (examples.take(np.flatnonzero(parts == part)) for part in range(3))
    shares = " / ".join(f"{share:.0%}" for share in fractions)
    note = f"No parts were given: split {shares} into train / val / test, {how}, seed {seed}."
    by_time = "time" in examples.metadata
    require_every_class({"train": train} if by_time else dict(zip(PARTS, (train, val, test), strict=True)), classes)
    return make_splits(train, val, test, classes, (*notes, note, *_together(units)), skipped)


def complete_splits(
    parts: Mapping[str, Examples],
    classes: Sequence[str],
    *,
    seed: int,
    near_duplicates: bool = True,
    notes: Iterable[str] = (),
    skipped: Iterable[Skipped] = (),
) -> Splits:
    """Make three parts out of those that were given: `train` with or without `val` and `test`.

    A copy or near copy of a validation or test example is left out of the training part, one of a test example out of the
    validation part, because it would flatter the result.

    Raises:
        DataError: A class is too small to be divided, nothing is left of it, or a group lies in two parts.
    """
    given = {name: parts[name] for name in PARTS if len(parts.get(name, ()))}
    if list(given) == ["train"]:
        return split_examples(given["train"], classes, seed=seed, near_duplicates=near_duplicates, notes=notes, skipped=skipped)
    _refuse_straddling_groups(given)
    decided = list(notes)
    if "test" not in given:
        given["test"] = given.pop("val")
        decided.append("There is no test part: the validation part is taken for testing.")
    given = _without_copies(given, near_duplicates, decided)
    if "val" not in given:
        units = find_units(given["train"], seed=seed, near_duplicates=near_duplicates)
        taken, how = _deal(given["train"], classes, units, FRACTIONS[1:2])
        given["val"] = given["train"].take(np.flatnonzero(taken == 1))
        given["train"] = given["train"].take(np.flatnonzero(taken == 0))
        decided.append(f"The validation part is {FRACTIONS[1]:.0%} of the training part, {how}, seed {seed}.")
    require_every_class(given, classes)
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
        digest.update(f"\n{name}\n".encode())
        for piece in listing(zip(part.ids, content_digests(part), part.targets.cells(classes), strict=True)):
            digest.update(piece)
    return Splits(train, val, test, tuple(classes), digest.hexdigest(), tuple(notes), tuple(skipped))


def remake_splits(splits: Splits, parts: Mapping[str, Examples], notes: Iterable[str]) -> Splits:
    """Return the splits with other parts: their fingerprint computed anew, notes added, everything else as it was."""
    made = make_splits(parts["train"], parts["val"], parts["test"], splits.classes, (*splits.notes, *notes), splits.skipped)
    pool = splits.unlabelled
    fingerprint = made.fingerprint if pool is None else pool_fingerprint(made.fingerprint, pool)
    return replace(made, fingerprint=fingerprint, unlabelled=pool)


def _deal(examples: Examples, classes: Sequence[str], units: Units, shares: Sequence[float]) -> tuple[np.ndarray, str]:
    """Return the part of each example, 0 for the rest and 1 … for the shares, and how it was chosen, in words."""
    if "time" in examples.metadata:
        times = np.asarray(examples.metadata["time"], np.float64)
        missing = np.flatnonzero(np.isnan(times))
        if len(missing):
            raise DataError(
                f"{len(missing):,} examples have no time, the first: {examples.store.where(int(missing[0]))}. "
                "Fill the time column, or leave it out and let the split be random."
            )
        return deal_by_time(units, times, shares)[units.of], "by time, the newest last"
    names = class_names(examples, classes)
    how = "stratified by class" if names is not None else "stratified"
    return deal(units, shares, names, where=examples.store.where)[
        units.of
    ], f"{how}, by group" if "group" in examples.metadata else how


def _near_hint(units: Units, near_duplicates: bool) -> str:
    """What else may help where near copies (texts of one form, pictures of one series) leave too few units."""
    if not near_duplicates or units.sizes.max(initial=0) <= 0.2 * units.sizes.sum():
        return ""
    return (
        f" {units.sizes.max():,} of {units.sizes.sum():,} examples are so alike that they are kept together as near copies; "
        "if they are not copies, let them be parted: --no-near-duplicates (near_duplicates=False)."
    )


def _together(units: Units) -> Iterable[str]:
    several = units.sizes[units.sizes > 1]
    if len(several):
        yield (
            f"{several.sum():,} examples are copies, near copies or of one group with others: "
            f"they form {len(several):,} groups, none of which was parted."
        )


def _refuse_straddling_groups(parts: Mapping[str, Examples]) -> None:
    seen: dict[str, str] = {}
    straddling: dict[str, str] = {}
    for name, part in parts.items():
        groups = set(part.metadata["group"].astype(str).tolist()) - {""} if "group" in part.metadata else set()
        straddling.update({group: f"{seen[group]} and {name}" for group in groups if group in seen})
        seen.update(dict.fromkeys(groups, name))
    if straddling:
        listed = ", ".join(f"{group!r} (in {where})" for group, where in sorted(straddling.items())[:5])
        raise DataError(
            f"{len(straddling):,} groups lie in more than one part, so that testing would not be on anything new: {listed}"
            f"{' …' if len(straddling) > 5 else ''}. Move each group into one part, or leave the parts out of the data and let "
            "tlkeras split it by group."
        )


def require_every_class(parts: Mapping[str, Examples], classes: Sequence[str]) -> None:
    """Check that each part holds examples of each class.

    Raises:
        DataError: One does not; the message names the part and the classes.
    """
    for name, part in parts.items():
        if not isinstance(part.targets, ClassTargets):
            continue
        held = set(part.labels.tolist())
        empty = [classes[label] for label in range(len(classes)) if label not in held]
        if empty:
            raise DataError(
                f"The {name} part holds no example of {', '.join(map(repr, empty))} (copies of examples in a later part are "
                "left out, groups stay together). Add examples to it, or bring all examples in one part and let tlkeras "
                "split them; if it did, another seed may do."
            )


def _without_copies(parts: Mapping[str, Examples], near_duplicates: bool, notes: list[str]) -> dict[str, Examples]:
    names = [name for name in ("test", "val", "train") if name in parts]
    ends = np.cumsum([len(parts[name]) for name in names])[:-1]
    units = np.split(connect_alike([parts[name] for name in names], near_duplicates=near_duplicates), ends)
    seen: set[int] = set()
    exact: set[str] = set()
    kept = {}
    for name, unit in zip(names, units, strict=True):
        digests = content_digests(parts[name]).tolist()
        fresh = [row for row, number in enumerate(unit.tolist()) if number not in seen]
        if len(fresh) < len(unit):
            left = sorted(set(range(len(unit))) - set(fresh))
            near = sum(digests[row] not in exact for row in left)
            also = f" ({near:,} of them as near copies)" if near else ""
            notes.append(f"{len(left):,} examples left out of {name}: they also occur in a later part{also}.")
        kept[name] = parts[name].take(fresh)
        seen.update(unit.tolist())
        exact.update(digests)
    return kept
