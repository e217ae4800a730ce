"""Texts and labels in tables (CSV, TSV, JSONL, XLSX) or in folders of `.txt` files."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.checks import require_classes
from tlkeras.data.columns import choose_columns, find_split_column
from tlkeras.data.examples import ClassTargets, Examples, Skipped, Splits, Texts
from tlkeras.data.layout import PART_NAMES, Found, require_same_classes, scan_folder
from tlkeras.data.splits import complete_splits
from tlkeras.data.table_files import Table, parse_table
from tlkeras.errors import DataError

if TYPE_CHECKING:
    import pandas


def read_table(path: str | Path) -> "pandas.DataFrame":
    """Return a table whose cells are all str, as they stand in the file; the index is the physical row number.

    Rows that cannot be used are left out and listed in `frame.attrs["skipped"]`.

    Raises:
        DataError: See `parse_table`.
    """
    import pandas

    table = parse_table(path)
    frame = pandas.DataFrame(table.rows, columns=list(table.columns), index=pandas.Index(table.numbers, name="row"), dtype=str)
    frame.attrs["skipped"] = [(skipped.where, skipped.reason) for skipped in table.skipped]
    return frame


def texts_from_table(
    path: str | Path, *, text_column: str | None = None, label_column: str | None = None, seed: int = 0
) -> Splits:
    """Return the texts of a table as splits; identities are `row <physical row>`.

    A column `split` that says train, val or test in each row is followed; otherwise a stratified split is made. Exact copies
    of a text never lie in two parts.

    Args:
        path: A CSV, TSV, JSONL or XLSX file.
        text_column: The column of the texts; guessed if not given, and shown in the notes.
        label_column: The column of the labels; guessed if not given, and shown in the notes.
        seed: Seed of the split, where one has to be made.

    Raises:
        DataError: The table or its columns cannot be right; the message names the row and the way out.
    """
    table = parse_table(path)
    text, label, notes = choose_columns(table, text_column, label_column)
    split = find_split_column(table, (text, label))
    texts = [cell.strip() for cell in table.column(text)]
    labels = [cell.strip() for cell in table.column(label)]
    parts = [PART_NAMES[cell.strip().casefold()] for cell in table.column(split)] if split else ["train"] * len(texts)
    usable = [row for row in range(len(texts)) if texts[row] and labels[row]]
    skipped = list(table.skipped)
    for row in sorted(set(range(len(texts))) - set(usable)):
        reason = f"empty {'text' if not texts[row] else 'label'}"
        skipped.append(Skipped(f"{table.origin}, row {table.numbers[row]}", reason))
    classes = _check_labels(table, label, [labels[row] for row in usable])
    if split:
        notes += (f"Parts are taken from the column {split!r}.",)
    store = Texts(tuple(texts), np.array(table.numbers, np.int64), origin=table.origin)
    ids = np.array([f"row {number}" for number in table.numbers])
    examples = Examples(ids, store, ClassTargets(_indices(labels, classes)))
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in usable:
        rows_of[parts[row]].append(row)
    if "train" not in rows_of:
        raise DataError(f"The column {split!r} of {table.origin!r} has no row with 'train'. Received: {', '.join(rows_of)}.")
    given = {name: examples.take(rows) for name, rows in rows_of.items()}
    return complete_splits(given, classes, seed=seed, notes=notes, skipped=skipped)


def load_text_folder(root: str | Path, *, seed: int = 0) -> Splits:
    """Return the texts of `root/<class>/*.txt` or `root/<part>/<class>/*.txt`, UTF-8; identities are relative paths.

    Raises:
        DataError: See `scan_folder` and `require_same_classes`.
    """
    layout = scan_folder(Path(root))
    skipped = list(layout.skipped)
    usable: dict[str, tuple[Found, ...]] = {}
    contents: dict[str, str] = {}
    for name, files in layout.parts.items():
        for found in files:
            try:
                contents[found.path] = _read_text(found.path)
            except ValueError as error:
                skipped.append(Skipped(found.path, str(error)))
        usable[name] = tuple(found for found in files if found.path in contents)
    classes = require_same_classes(layout, usable, "texts (.txt)")
    parts = {}
    for name, files in usable.items():
        paths = tuple(found.path for found in files)
        store = Texts(tuple(contents[path] for path in paths), np.zeros(len(files), np.int64), str(root), files=paths)
        targets = ClassTargets(_indices([found.class_name for found in files], classes))
        parts[name] = Examples(np.array([found.id for found in files]), store, targets)
    return complete_splits(parts, classes, seed=seed, notes=layout.notes, skipped=skipped)


def _read_text(path: str) -> str:
    if Path(path).suffix.lower() != ".txt":
        raise ValueError(f"not a .txt file ({Path(path).suffix or 'no suffix'})")
    try:
        text = Path(path).read_bytes().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte at offset {error.start})") from None
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    if not text:
        raise ValueError("empty text")
    return text


def _check_labels(table: Table, column: str, labels: Sequence[str]) -> tuple[str, ...]:
    kinds = set(labels)
    where = f"the column {column!r} of {table.origin!r}"
    if len(kinds) > 2 and len(kinds) > len(labels) / 2:
        raise DataError(
            f"{where[0].upper()}{where[1:]} has {len(kinds):,} different values in {len(labels):,} rows: these are hardly "
            f"labels. Name the right one (label_column, --label-column) of: {', '.join(map(repr, table.columns))}."
        )
    if column in kinds:
        raise DataError(
            f"{table.origin!r} seems to have no header: its first row {list(table.columns)} holds a label ({column!r}) that "
            "other rows have as well. Put the names of the columns into the first row."
        )
    return require_classes(kinds, where)


def _indices(labels: Iterable[str], classes: Sequence[str]) -> np.ndarray:
    """Return the index of each label; -1 for the empty labels of rows that are left out."""
    index = {name: place for place, name in enumerate(classes)}
    return np.array([index.get(label, -1) for label in labels], np.int32)
