"""Dealing units out to the parts of a split: by class, by time, beside what is dealt already, or in folds."""

from collections.abc import Callable, Sequence

import numpy as np

from tlkeras.data.units import Units
from tlkeras.errors import DataError


def deal(
    units: Units, shares: Sequence[float], names: Sequence[str] | None, *, where: Callable[[int], str] | None = None
) -> np.ndarray:
    """Return the part of each unit, int64: 0 for the rest, 1 … for the shares.

    In each stratum, units are taken in the order of their keys: from the front for the first share, from the back for the
    second. So neither the order of the files nor the machine matters, and where examples are added, others move over the
    boundary only as the counts demand. Every part gets at least one unit of each stratum.

    Args:
        units: What to deal out.
        shares: The shares of the examples of a stratum.
        names: The names of the strata if they are classes; a class that has too few units is then an error.
        where: Says where an example lies, for that error.

    Raises:
        DataError: A class, or everything together, has fewer units than there are parts.
    """
    strata = units.strata if names is not None else _pool_small(units.strata, len(shares) + 1)
    parts = np.zeros(len(units.keys), np.int64)
    for stratum in np.unique(strata).tolist():
        members = np.flatnonzero(strata == stratum)
        if len(members) <= len(shares):
            first = f", the first: {where(int(np.flatnonzero(np.isin(units.of, members))[0]))}" if where else ""
            raise DataError(_too_few(names, stratum, len(members), int(units.sizes[members].sum()), len(shares) + 1, first))
        total = int(units.sizes[members].sum())
        waiting = members[np.argsort(units.keys[members], kind="stable")].tolist()
        for part, share in enumerate(shares, 1):
            chosen = _take(waiting, units.sizes, max(1, int(total * share + 0.5)), len(waiting) - len(shares) + part - 1)
            if not chosen:
                chosen = [min(waiting, key=lambda unit: units.sizes[unit])]
            parts[chosen] = part
            taken = set(chosen)
            waiting = [unit for unit in reversed(waiting) if unit not in taken]
    return parts


def deal_by_time(units: Units, times: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return the part of each unit: the newest are the last share, then come the others, the oldest are the rest.

    A unit is as new as its newest example. Units of the same time stay together, so the shares are met as closely as times
    allow.

    Args:
        units: What to deal out.
        times: The time of each example, float64, shape `(n,)`; the larger the newer.
        shares: The shares of all examples.

    Raises:
        DataError: There are fewer different times than parts.
    """
    newest = np.full(len(units.keys), -np.inf)
    np.maximum.at(newest, units.of, times)
    moments, place = np.unique(newest, return_inverse=True)
    if len(moments) <= len(shares):
        raise DataError(
            f"A split by time needs at least {len(shares) + 1} different times. Received: {len(moments)}. "
            "Give a finer time, or leave the time column out and let the split be random."
        )
    counts = np.bincount(place.reshape(-1), weights=units.sizes)
    parts, stop = np.zeros(len(moments), np.int64), len(moments)
    for part in range(len(shares), 0, -1):
        taken = np.cumsum(counts[part:stop][::-1])
        number = int(np.argmin(np.abs(taken - shares[part - 1] * units.sizes.sum()))) + 1
        parts[stop - number : stop] = part
        stop -= number
    return parts[place.reshape(-1)]


def deal_beside(units: Units, known: np.ndarray) -> np.ndarray:
    """Return the part of each example, int64: the known ones stay where they are, new ones fill the parts up.

    A new example goes to the part of the known examples of its unit; new units are dealt out so that each part keeps its share.

    Args:
        units: The units of all examples.
        known: The part of each example, 0, 1 or 2; -1 where it is new.
    """
    part_of = np.full(len(units.keys), -1, np.int64)
    np.maximum.at(part_of, units.of, known)
    shares = np.bincount(known[known >= 0], minlength=3) / max(1, int((known >= 0).sum()))
    for stratum in np.unique(units.strata[part_of < 0]).tolist():
        members = np.flatnonzero(units.strata == stratum)
        total = units.sizes[members].sum()
        waiting = members[part_of[members] < 0]
        waiting = waiting[np.argsort(units.keys[waiting], kind="stable")]
        for part in (1, 2):
            held = int(units.sizes[members[part_of[members] == part]].sum())
            wanted = int(total * shares[part] + 0.5) - held
            chosen = _take(waiting.tolist(), units.sizes, wanted, len(waiting)) if wanted > 0 else []
            part_of[chosen] = part
            waiting = waiting[part_of[waiting] < 0][::-1]
        part_of[waiting] = 0
    return np.where(known >= 0, known, part_of[units.of])


def deal_folds(units: Units, names: Sequence[str] | None, folds: int) -> np.ndarray:
    """Return the fold of each unit: in the order of their keys, each goes to the fold with the fewest examples so far.

    Raises:
        DataError: A class has fewer units than there are folds.
    """
    fold_of = np.zeros(len(units.keys), np.int64)
    total = np.zeros(folds, np.int64)
    for stratum in np.unique(units.strata).tolist():
        members = np.flatnonzero(units.strata == stratum)
        if names is not None and len(members) < folds:
            raise DataError(
                f"Class {names[stratum]!r} has {len(members)} different examples, fewer than {folds} folds. "
                "Ask for fewer folds, add examples, or leave the class out."
            )
        filled = np.zeros(folds, np.int64)
        for unit in members[np.argsort(units.keys[members], kind="stable")].tolist():
            fold = int(np.lexsort((total, filled))[0])
            fold_of[unit] = fold
            filled[fold] += units.sizes[unit]
            total[fold] += units.sizes[unit]
    return fold_of


def _take(waiting: Sequence[int], sizes: np.ndarray, target: int, most: int) -> list[int]:
    """Take units in order, at most `most`, each if it brings the number of examples nearer to the target."""
    chosen: list[int] = []
    taken = 0
    for unit in waiting:
        if len(chosen) == most or taken >= target:
            break
        if taken + sizes[unit] / 2 <= target:
            chosen.append(unit)
            taken += int(sizes[unit])
    return chosen


def _pool_small(strata: np.ndarray, parts: int) -> np.ndarray:
    """Put the strata that have fewer units than there are parts into one, and that into the next if it is still too small."""
    kinds, place, counts = np.unique(strata, return_inverse=True, return_counts=True)
    small = counts < parts
    target = np.where(small, -1, kinds)
    if 0 < counts[small].sum() < parts and not small.all():
        target[small] = kinds[~small][0]
    return target[place.reshape(-1)]


def _too_few(names: Sequence[str] | None, stratum: int, units: int, examples: int, parts: int, first: str) -> str:
    who = f"Class {names[stratum]!r} has" if names is not None else "There are only"
    copies = f" ({examples} in all; copies, near copies and members of one group count once)" if examples > units else ""
    return (
        f"{who} {units} different examples{copies}{first}; to be in each of {parts} parts it needs at least {parts}. "
        "Add examples, merge it with another class, or leave it out."
    )
