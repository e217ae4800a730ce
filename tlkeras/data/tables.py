"""Texts and labels in tables (CSV, TSV, JSONL, XLSX) or in folders of `.txt` files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.cells import Cells, pack
from tlkeras.data.columns import TableOptions, choose_columns
from tlkeras.data.examples import ClassTargets, Examples, LeftOut, NoTargets, Skipped, Splits, Texts, nothing_left_out
from tlkeras.data.layout import Found, Layout, leave_out, require_same_classes, scan_folder
from tlkeras.data.splits import complete_splits
from tlkeras.data.table import Table
from tlkeras.data.table_files import parse_table
from tlkeras.data.table_splits import splits_from_rows, with_pool

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
    table: Table,
    options: TableOptions | None = None,
    *,
    seed: int = 0,
    near_duplicates: bool = True,
    left_out: LeftOut = nothing_left_out,
) -> Splits:
    """Return the texts of a table as splits; identities are `row <physical row>`, after the file where there are several.

    Parts that the table gives are followed; otherwise a stratified split is made. Exact copies of a text never lie in two
    parts.

    Args:
        table: The table.
        options: What the user says about its columns.
        seed: Seed of the split, where one has to be made.
        near_duplicates: False lets near copies lie in two parts.
        left_out: Says of an identity whether its row is left out.

    Raises:
        DataError: The table or its columns cannot be right; the message names the row and the way out.
    """
    options = options or TableOptions()
    roles = choose_columns(table, options, "text")
    store = texts_of_table(table, roles.inputs)
    faults = ["" if size else "empty text" for size in map(len, store.texts)]
    return splits_from_rows(
        table,
        roles,
        options,
        store=store,
        ids=table.ids(),
        faults=faults,
        seed=seed,
        near_duplicates=near_duplicates,
        left_out=left_out,
    )


def texts_of_table(table: Table, columns: Sequence[str]) -> Texts:
    """Return the texts of a table without blanks around them; several columns are joined, each on a line of its own."""
    cells = table.column(columns[0])
    if len(columns) == 1 and isinstance(cells, Cells):
        texts = cells.stripped()
    else:
        pieces = zip(*map(table.column, columns), strict=True)
        texts = pack("\n".join(filter(None, map(str.strip, cells))) for cells in pieces)
    return Texts(texts, np.asarray(table.numbers, np.int64), origin=table.origin, files=table.files)


def load_text_folder(
    root: str | Path, *, seed: int = 0, near_duplicates: bool = True, left_out: LeftOut = nothing_left_out
) -> Splits:
    """Return the texts of `root/<class>/*.txt` or `root/<part>/<class>/*.txt`, UTF-8; identities are relative paths.

    Raises:
        DataError: See `scan_folder` and `require_same_classes`.
    """
    layout = leave_out(scan_folder(Path(root)), left_out)
    skipped = list(layout.skipped)
    contents: dict[str, str] = {}
    for found in (*(found for files in layout.parts.values() for found in files), *layout.pool):
        try:
            contents[found.path] = read_text_file(found.path)
        except ValueError as error:
            skipped.append(Skipped(found.path, str(error), stray="not a .txt file" in str(error)))
    usable = {name: tuple(found for found in files if found.path in contents) for name, files in layout.parts.items()}
    classes = require_same_classes(layout, usable, "texts (.txt)")
    parts = {name: _examples(layout, files, contents, classes) for name, files in usable.items()}
    pool = _examples(layout, tuple(found for found in layout.pool if found.path in contents), contents, ())
    splits = complete_splits(parts, classes, seed=seed, near_duplicates=near_duplicates, notes=layout.notes, skipped=skipped)
    return with_pool(splits, replace(pool, targets=NoTargets(len(pool)))) if len(pool) else splits


def _examples(layout: Layout, files: tuple[Found, ...], contents: Mapping[str, str], classes: Sequence[str]) -> Examples:
    paths = tuple(found.path for found in files)
    whole = np.full(len(files), -1, np.int64)
    store = Texts(tuple(contents[path] for path in paths), whole, str(layout.root), files=paths)
    labels = ClassTargets(_indices([found.class_name for found in files], classes))
    return Examples(np.array([found.id for found in files], dtype=str), store, labels)


def read_text_file(path: str) -> str:
    """Return the text of a `.txt` file in UTF-8, without blanks around it.

    Raises:
        ValueError: With a plain reason: another suffix, another encoding, empty, no permission.
    """
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


def _indices(labels: Iterable[str], classes: Sequence[str]) -> np.ndarray:
    """Return the index of each label; -1 for the empty labels of rows that are left out."""
    index = {name: place for place, name in enumerate(classes)}
    return np.array([index.get(label, -1) for label in labels], np.int32)
