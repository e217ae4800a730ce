"""Data frames of pandas: their rows as splits, as if they stood in a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.data.columns import TableOptions
from tlkeras.data.examples import Splits
from tlkeras.data.image_tables import images_from_table
from tlkeras.data.load import refuse_many, report_splits
from tlkeras.data.table import Table, as_cell, check_table, number_cells
from tlkeras.data.tables import texts_from_table

if TYPE_CHECKING:
    import pandas


def splits_from_frame(
    frame: "pandas.DataFrame",
    *,
    text_column: str | Sequence[str] | None = None,
    image_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    time_column: str | None = None,
    target: str | None = None,
    label_separator: str | None = None,
    slice: str | Sequence[str] | None = None,
    folder: str | Path = ".",
    seed: int = 0,
) -> Splits:
    """Return the rows of a data frame as splits of texts, or of pictures if `image_column` is given, and log what was found.

    Args:
        frame: The frame; missing values are empty cells. Rows are counted from 0, as by `frame.iloc`.
        text_column: The column of the texts; several ones are joined.
        image_column: The column of paths to pictures.
        label_column: The column of labels; lists are several labels, as are several columns of 0 and 1.
        split_column: The column that says train, val, test or unlabelled.
        group_column: The column whose equal values stay on one side of a split.
        time_column: The column by which a split puts the newest last.
        target: `"class"`, `"labels"` or `"value"`, as in `load_images`.
        label_separator: What separates several labels in a cell.
        slice: Columns on whose values the model is measured apart.
        folder: Where relative paths begin.
        seed: Seed of the split, where one has to be made.

    Raises:
        DataError: The columns cannot be right; the message names the row and the way out.

    Example:
        splits = tl.splits_from_frame(pandas.read_sql(query, connection), text_column="body", label_column="topic")
    """
    table = frame_table(frame)
    columns = (label_column, split_column, group_column, time_column, target, label_separator, None, slice)
    if image_column is not None:
        splits = images_from_table(table, TableOptions(image_column, *columns), folder=Path(folder), seed=seed)
    else:
        splits = texts_from_table(table, TableOptions(text_column, *columns), seed=seed)
    refuse_many(splits)
    report_splits(splits)
    return splits


def frame_table(frame: "pandas.DataFrame") -> Table:
    """Return a data frame as a table of text cells; rows are counted from 0."""
    columns = [list(_cells(frame.iloc[:, place])) for place in range(frame.shape[1])]
    table = Table(
        origin="frame",
        columns=tuple(map(str, frame.columns)),
        rows=tuple(zip(*columns, strict=True)),
        numbers=tuple(range(len(frame))),
    )
    check_table(table)
    return table


def _cells(column: "pandas.Series") -> Iterable[str]:
    missing = column.isna().tolist()
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f":
        return number_cells(None if absent else value for value, absent in zip(values, missing, strict=True))
    return ("" if absent else as_cell(_plain(value)) for value, absent in zip(values, missing, strict=True))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
