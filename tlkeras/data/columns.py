"""Which column of a table holds the texts and which the labels: named by the user, or guessed and shown."""

import difflib
from collections.abc import Sequence

from tlkeras.data.layout import PART_NAMES
from tlkeras.data.table_files import Table
from tlkeras.errors import DataError

_TEXT_NAMES = (
    *("text", "texts", "review", "reviews", "sentence", "content", "comment", "body", "message", "tweet", "document"),
    *("review_text", "comment_text", "description", "utterance", "question", "snippet", "phrase", "abstract", "title"),
)
_LABEL_NAMES = (
    *("label", "labels", "class", "category", "sentiment", "target", "intent", "topic", "emotion", "tag", "rating", "y"),
    *("stars", "airline_sentiment", "polarity", "type"),
)
_SPLIT_NAMES = ("split", "part", "set", "subset", "partition", "fold")


def choose_columns(table: Table, text_column: str | None, label_column: str | None) -> tuple[str, str, tuple[str, ...]]:
    """Return the names of the text and label columns, and notes that say which were guessed.

    Names are tried first; then the texts are the column with the longest cells, and the labels the column with the fewest
    different values.

    Raises:
        DataError: A named column does not exist, or no column can be the labels.
    """
    if len(table.columns) < 2:
        raise DataError(
            f"{table.origin!r} has one column, {table.columns[0][:80]!r}. Expected a column of texts and one of labels, "
            "separated by comma, semicolon, tab or bar."
        )
    for column in (text_column, label_column):
        if column is not None and column not in table.columns:
            near = difflib.get_close_matches(column, table.columns, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{table.origin!r} has no column {column!r}.{hint} Its columns: {_quoted(table.columns)}.")
    text = text_column or _guess_text(table, label_column)
    label = label_column or _guess_label(table, text)
    if text == label:
        raise DataError(f"The column {text!r} of {table.origin!r} cannot hold both texts and labels. Name two columns.")
    notes = []
    if text_column is None or label_column is None:
        notes.append(
            f"Columns of {table.origin!r}: texts in {text!r}, labels in {label!r} (guessed among {_quoted(table.columns)}; "
            "text_column and label_column choose others)."
        )
    return text, label, tuple(notes)


def find_split_column(table: Table, taken: Sequence[str]) -> str | None:
    """Return the column that says train, val or test for every row, or None."""
    for column in table.columns:
        if column.strip().casefold() in _SPLIT_NAMES and column not in taken:
            words = {cell.strip().casefold() for cell in table.column(column)}
            if words <= PART_NAMES.keys():
                return column
    return None


def _guess_text(table: Table, label_column: str | None) -> str:
    candidates = [column for column in table.columns if column != label_column]
    named = _by_name(candidates, _TEXT_NAMES)
    if named or not candidates:
        return named or table.columns[0]
    return max(candidates, key=lambda column: sum(map(len, table.column(column))))


def _guess_label(table: Table, text: str) -> str:
    candidates = [column for column in table.columns if column != text]
    named = _by_name(candidates, _LABEL_NAMES)
    if named:
        return named
    kinds = {column: len(set(table.column(column))) for column in candidates if find_split_column(table, ()) != column}
    fitting = {column: count for column, count in kinds.items() if 2 <= count <= max(2, len(table.rows) // 2)}
    if not fitting:
        raise DataError(
            f"No column of {table.origin!r} looks like labels. Its columns: {_quoted(table.columns)}. Name it: label_column "
            "(on the command line --label-column)."
        )
    return min(fitting, key=lambda column: fitting[column])


def _by_name(columns: Sequence[str], names: Sequence[str]) -> str | None:
    folded = {column.strip().casefold(): column for column in columns}
    return next((folded[name] for name in names if name in folded), None)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
