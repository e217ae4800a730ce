"""Splits on disk: `splits.csv`, written, read again, and compared with what would be made now."""

import csv
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlkeras.data.contents import content_digests
from tlkeras.data.dealing import deal_beside
from tlkeras.data.examples import Examples, Splits
from tlkeras.data.joined import join_examples
from tlkeras.data.part_names import PART_NAMES
from tlkeras.data.splits import PARTS, complete_splits, remake_splits
from tlkeras.data.table_files import parse_table
from tlkeras.data.units import find_units
from tlkeras.errors import DataError
from tlkeras.files import safe_cell, write_file, write_text

_COLUMNS = ("id", "split", "label", "where", "digest")
_LOGGER = logging.getLogger("tlkeras")
_MOST_COMPARED, _RUNS_COMPARED = 20_000_000, 3  # bytes, files: looking back must not take long
_NAMED = ("id", "where", "path", "file", "file_name", "filename")


@dataclass(frozen=True)
class SplitChange:
    """How splits differ from an earlier `splits.csv`, in numbers of examples.

    Attributes:
        kept: In the same part as before.
        moved: In another part.
        added: Not in the file.
        removed: In the file only.
    """

    kept: int
    moved: int
    added: int
    removed: int

    def __str__(self) -> str:
        return f"{self.kept:,} examples stay in their part, {self.moved:,} moved, {self.added:,} are new, {self.removed:,} gone"


def save_splits(splits: Splits, path: str | Path) -> None:
    """Write `splits.csv` (columns `id, split, label, where, digest`), completely or not at all.

    A cell that a spreadsheet would take for a formula gets a leading apostrophe. Inputs that were left out are listed beside it
    in `bad_inputs.jsonl`, with the reason, if there are any. Where a folder beside that of `path` holds splits of an earlier
    state of the same data, it is logged how many examples moved.
    """
    path = Path(path)
    _report_moves(splits, path)
    write_file(path, lambda temporary: _write(splits, temporary))
    if splits.skipped:
        lines = [json.dumps({"where": as_listed(one.where), "reason": as_listed(one.reason)}) for one in splits.skipped]
        write_text(path.with_name("bad_inputs.jsonl"), "\n".join(lines) + "\n")


def _report_moves(splits: Splits, path: Path) -> None:
    """Compare with the newest `splits.csv` in a neighbouring folder that lists at least half of these examples by content."""
    files = [file for file in path.parent.parent.glob(f"*/{path.name}") if file.parent != path.parent]
    small = [file for file in files if file.stat().st_size < _MOST_COMPARED]
    digests = [digest for name in PARTS if small for digest in content_digests(getattr(splits, name)).tolist()]
    for file in sorted(small, key=lambda one: one.stat().st_mtime, reverse=True)[:_RUNS_COMPARED]:
        try:
            known = set(_read(file).digests)
            if sum(digest in known for digest in digests) < len(digests) / 2:
                continue
            change = compare_splits(splits, file)
        except DataError:  # a list of other data, or of another program
            continue
        if change.moved or change.added or change.removed:
            _LOGGER.info("Beside the splits of %s: %s. (--splits keeps them: %s)", file.parent.name, change, file)
        return


def load_splits(splits: Splits, path: str | Path, *, seed: int = 0, near_duplicates: bool = True) -> Splits:
    """Return the same examples, divided as a `splits.csv` says.

    Examples are found by identity and digest, so that a row that has moved in its table is still known. New examples are dealt
    out so that the shares stay what they are in the file, and no other example moves; a copy of a known one goes to its part.

    Args:
        splits: The examples, however they are divided now.
        path: What `save_splits` wrote; or a table with a column `split` (train, val, test) and a column `id` or `path`.
        seed: Seed for the new examples.
        near_duplicates: False lets near copies lie in two parts.

    Raises:
        DataError: The table lacks a column, knows another part, or fits none of the examples; or the parts that it makes
            cannot be used (see `complete_splits`).
    """
    examples = join_examples([getattr(splits, name) for name in PARTS])
    listing = _read(path)
    part_of = _look_up(listing, examples)
    assigned = deal_beside(find_units(examples, seed=seed, near_duplicates=near_duplicates), part_of)
    parts = {name: examples.take(np.flatnonzero(assigned == place)) for place, name in enumerate(PARTS)}
    known = int((part_of >= 0).sum())
    notes = [f"Parts are taken from {path}: {known:,} examples."]
    if known < len(examples):
        notes.append(f"{len(examples) - known:,} examples are not in {path}: they were dealt out in the same shares.")
    gone = _gone(listing, examples)
    if gone:
        notes.append(f"{gone:,} rows of {path} are no longer in the data.")
    made = complete_splits(parts, splits.classes, seed=seed, near_duplicates=near_duplicates, notes=notes)
    # What was said of the split that this file replaces would contradict it.
    kept = replace(splits, notes=tuple(note for note in splits.notes if not note.startswith("No parts were given")))
    return remake_splits(kept, {name: getattr(made, name) for name in PARTS}, made.notes)


def compare_splits(splits: Splits, path: str | Path) -> SplitChange:
    """Say how many examples lie in another part than in an earlier `splits.csv`.

    Raises:
        DataError: The file cannot be read as one, or fits none of the examples.
    """
    examples = join_examples([getattr(splits, name) for name in PARTS])
    now = np.repeat(np.arange(len(PARTS)), [len(getattr(splits, name)) for name in PARTS])
    listing = _read(path)
    before = _look_up(listing, examples)
    known = before >= 0
    moved = int((known & (before != now)).sum())
    return SplitChange(int(known.sum()) - moved, moved, int((~known).sum()), _gone(listing, examples))


def parts_in_file(path: str | Path, examples: Examples) -> list[str]:
    """Return the part that a `splits.csv` gives each example, `""` where it lists none.

    Raises:
        DataError: The file cannot be read as one, or fits none of the examples.
    """
    return [PARTS[place] if place >= 0 else "" for place in _look_up(_read(path), examples).tolist()]


def as_listed(value: object) -> str:
    """Return a value as it stands in a list of examples: harmless in a spreadsheet, and UTF-8 whatever a file name holds."""
    return safe_cell(value)


@dataclass(frozen=True)
class _Listing:
    """The rows of a `splits.csv`: the names that each may be known by, its digest, and its part as a place in PARTS."""

    names: Sequence[tuple[str, ...]]
    digests: Sequence[str]
    parts: Sequence[int]
    origin: str


def _read(path: str | Path) -> _Listing:
    table = parse_table(path)
    named = [column for column in _NAMED if column in table.columns]
    if "split" not in table.columns or not named:
        raise DataError(
            f"{str(path)!r} is no list of splits. Its columns: {', '.join(map(repr, table.columns))}; expected `split` and "
            f"`id` (or `path`), as in the splits.csv of a run."
        )
    parts = []
    for place, cell in enumerate(table.column("split")):
        word = PART_NAMES.get(cell.strip().casefold())
        if word is None:
            raise DataError(f"{table.where(place)}: the part {cell!r} is not known. Write train, val or test.")
        parts.append(PARTS.index(word))
    digests = table.column("digest") if "digest" in table.columns else [""] * len(parts)
    return _Listing(list(zip(*map(table.column, named), strict=True)), digests, parts, str(path))


def _look_up(listing: _Listing, examples: Examples) -> np.ndarray:
    """Return the place in PARTS of each example, int64, -1 where it is not listed.

    Raises:
        DataError: None is.
    """
    by_name: dict[str, int] = {}
    by_digest: dict[str, int] = {}
    for row, (names, digest) in enumerate(zip(listing.names, listing.digests, strict=True)):
        by_name.update({name: row for name in names if name})
        if digest:
            by_digest.setdefault(digest, row)
    found = np.full(len(examples), -1, np.int64)
    for place, (name, digest) in enumerate(zip(_names(examples), content_digests(examples).tolist(), strict=True)):
        row = by_name.get(name, -1)
        # A table's row 7 may be another text by now: then the digest knows better.
        if row < 0 or listing.digests[row] not in ("", digest):
            row = by_digest.get(digest, row)
        if row >= 0:
            found[place] = listing.parts[row]
    if not (found >= 0).any():
        raise DataError(
            f"{listing.origin!r} fits none of the {len(examples):,} examples: it lists {listing.names[0][0]!r}, the data has "
            f"{examples.ids[0]!r}. Give the splits.csv of this data, or leave it out to have a new split."
        )
    return found


def _gone(listing: _Listing, examples: Examples) -> int:
    names, digests = set(_names(examples)), set(content_digests(examples).tolist())
    rows = zip(listing.names, listing.digests, strict=True)
    return sum(digest not in digests and not names.intersection(own) for own, digest in rows)


def _names(examples: Examples) -> list[str]:
    return [as_listed(identity) for identity in examples.ids.tolist()]


def _write(splits: Splits, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for name in PARTS:
            part: Examples = getattr(splits, name)
            columns = (part.ids.tolist(), part.targets.cells(splits.classes), content_digests(part).tolist())
            for row, (identity, label, digest) in enumerate(zip(*columns, strict=True)):
                writer.writerow(map(as_listed, (identity, name, label, part.store.where(row), digest)))
