"""Units: examples that a split must not part, because they are copies, near copies or of one group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.data.cells import join_texts
from tlkeras.data.contents import content_digests, looks, rank_keys
from tlkeras.data.duplicates import connect, equal_rows, near_pictures, near_texts
from tlkeras.data.examples import ClassTargets, Examples, Texts


@dataclass(frozen=True)
class Units:
    """What is dealt out as a whole.

    Attributes:
        of: The unit of each example, int64, shape `(n,)`.
        keys: What units are ranked by, bytes, shape `(units,)`: a seeded hash that does not depend on other examples.
        strata: The stratum that most examples of a unit have, int64, shape `(units,)`.
        sizes: The examples in each unit, int64, shape `(units,)`.
    """

    of: np.ndarray
    keys: np.ndarray
    strata: np.ndarray
    sizes: np.ndarray


def find_units(examples: Examples, *, seed: int, groups: np.ndarray | None = None, near_duplicates: bool = True) -> Units:
    """Find what must stay together: exact copies, near copies, and examples of one group.

    Args:
        examples: The examples; the metadata column `group` counts if `groups` is not given.
        seed: Seed of the keys.
        groups: One value for each example.
        near_duplicates: False lets near copies be parted; exact ones never are.
    """
    groups = examples.metadata.get("group") if groups is None else groups
    of = connect_alike([examples], groups=groups, near_duplicates=near_duplicates)
    names: Iterable[str] = content_digests(examples)
    if groups is not None:
        pairs = zip(map(str, np.asarray(groups).tolist()), names, strict=True)
        names = (f"group {group}" if group else name for group, name in pairs)
    ranks = rank_keys(names, seed, len(examples))
    order = np.lexsort((ranks, of))
    keys = ranks[order][np.unique(of[order], return_index=True)[1]]
    return Units(of, keys, _most_frequent(of, examples.targets.strata(), len(keys)), np.bincount(of, minlength=len(keys)))


def connect_alike(parts: Sequence[Examples], *, groups: np.ndarray | None = None, near_duplicates: bool = True) -> np.ndarray:
    """Return the number of the unit of each example of all parts, one after the other, int64.

    Near copies are looked for among texts, and among pictures whose look is known (see `looks`).
    """
    pairs = [equal_rows(np.concatenate([content_digests(part) for part in parts]))]
    if groups is not None:
        named = np.flatnonzero(np.asarray(groups).astype(str) != "")
        pairs.append(named[equal_rows(np.asarray(groups)[named])])
    if near_duplicates:
        pairs.append(near_copies(parts))
    return connect(sum(map(len, parts)), *pairs)


def near_copies(parts: Sequence[Examples]) -> np.ndarray:
    """Return pairs of near copies, counted through all parts, int64, shape `(pairs, 2)`."""
    if all(isinstance(part.store, Texts) for part in parts):
        return near_texts(join_texts([part.store.texts for part in parts]))  # type: ignore[attr-defined]
    found = [looks(part) for part in parts]
    known = [look for look in found if look is not None]
    return near_pictures(np.concatenate(known)) if len(known) == len(found) else np.empty((0, 2), np.int64)


def class_names(examples: Examples, classes: Sequence[str]) -> Sequence[str] | None:
    """Return the classes where each example has one of them, so that strata are classes; None for other targets."""
    return classes if isinstance(examples.targets, ClassTargets) else None


def _most_frequent(of: np.ndarray, strata: np.ndarray, units: int) -> np.ndarray:
    """Return the stratum that occurs most in each unit, the smallest of equals."""
    base = int(strata.max(initial=0)) + 1
    pairs, counts = np.unique(of * base + strata, return_counts=True)
    order = np.lexsort((pairs, -counts))[::-1]  # the best comes last, and is what remains
    result = np.zeros(units, np.int64)
    result[pairs[order] // base] = pairs[order] % base
    return result
