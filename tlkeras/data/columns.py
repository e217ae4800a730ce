"""Which column of a table holds what: named by the user, or guessed and shown."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tlkeras.data.part_names import PART_NAMES
from tlkeras.data.table import Table
from tlkeras.errors import DataError

_TEXT_NAMES = (
    *("text", "texts", "review", "reviews", "sentence", "content", "comment", "body", "message", "tweet", "document"),
    *("review_text", "comment_text", "description", "utterance", "question", "snippet", "phrase", "abstract", "title"),
)
_IMAGE_NAMES = (
    *("image", "file_name", "filename", "file", "path", "filepath", "file_path", "image_path", "image_file", "image_name"),
    *("img", "img_path", "picture", "photo", "images", "image_id"),
)
_LABEL_NAMES = (
    *("label", "labels", "class", "category", "sentiment", "target", "intent", "topic", "emotion", "tag", "tags", "rating"),
    *("stars", "star_rating", "y", "airline_sentiment", "polarity", "species", "breed", "diagnosis", "class_name", "type"),
)
_SPLIT_NAMES = ("split", "part", "set", "subset", "partition", "fold")
_GROUP_NAMES = ("group", "groups", "group_id")
_RECIPES = {"text": "tlkeras run text_classification", "image": "tlkeras run image_classification"}
_PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")


@dataclass(frozen=True)
class TableOptions:
    """What the user says about a table; what is None is found out and shown.

    Attributes:
        inputs: The column of the texts or pictures; several text columns are joined.
        labels: The column of the labels; several columns of 0 and 1 are labels of their own.
        split: The column that says train, val, test or unlabelled.
        group: The column whose equal values must stay on one side of a split.
        time: The column that orders the rows in time.
        target: `"class"`, `"labels"` or `"value"`.
        separator: What separates several labels in a cell.
        encoding: The encoding of a text file.
        slices: Columns that test examples are to be sliced by.
    """

    inputs: str | Sequence[str] | None = None
    labels: str | Sequence[str] | None = None
    split: str | None = None
    group: str | None = None
    time: str | None = None
    target: str | None = None
    separator: str | None = None
    encoding: str | None = None
    slices: str | Sequence[str] | None = None


@dataclass(frozen=True)
class Roles:
    """The columns that were chosen, and what was guessed, in words."""

    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    split: str | None
    group: str | None
    time: str | None
    notes: tuple[str, ...]
    slices: tuple[str, ...] = ()


def choose_columns(table: Table, options: TableOptions, modality: str) -> Roles:
    """Return which columns of a table hold what.

    Names are tried first; then texts are the column with the longest cells, pictures the one whose cells end like picture
    files, and labels the column with the fewest different values.

    Args:
        table: The table.
        options: What the user says.
        modality: `"text"` or `"image"`.

    Raises:
        DataError: A named column does not exist, or no column can be the inputs or the labels.
    """
    kind = "texts" if modality == "text" else "pictures"
    if modality == "text" and table.pictures:
        raise DataError(f"{table.origin!r} holds pictures. The recipe for it: {_RECIPES['image']} --data {table.origin}")
    if len(table.columns) + len(table.pictures) < 2:
        only = (*table.pictures, *table.columns)[0]
        raise DataError(
            f"{table.origin!r} has one column, {only[:80]!r}. Expected a column of {kind} and one of labels, separated by "
            "comma, semicolon, tab or bar."
        )
    split = _named(table, options.split) or find_split_column(table, (*_listed(options.inputs), *_listed(options.labels)))
    group = _named(table, options.group) or _by_name(table.columns, _GROUP_NAMES)
    time = _named(table, options.time)
    taken = [name for name in (split, group, time) if name]
    inputs = _several(table, options.inputs) or (_guess_input(table, [*taken, *_listed(options.labels)], modality),)
    if modality == "text" and options.inputs is None and _share_of_pictures(table.column(inputs[0])) > 0.5:
        raise DataError(
            f"The column {inputs[0]!r} of {table.origin!r} holds the paths of pictures, not texts. The recipe for them: "
            f"{_RECIPES['image']} --data {table.origin}. If they are texts all the same, name the column (text_column)."
        )
    labels = _several(table, options.labels) or (_guess_label(table, [*taken, *inputs], options.target),)
    if set(inputs) & set(labels):
        raise DataError(f"The column {inputs[0]!r} of {table.origin!r} cannot hold both {kind} and labels. Name two columns.")
    notes = _notes(table, options, kind, inputs, labels, group)
    return Roles(inputs, labels, split, group, time, notes, _slice_columns(table, options.slices))


def _slice_columns(table: Table, wish: str | Sequence[str] | None) -> tuple[str, ...]:
    names = _several(table, wish)
    pictures = sorted(set(names) & set(table.pictures))
    if pictures:
        raise DataError(f"The column {pictures[0]!r} of {table.origin!r} holds pictures, which nothing can be sliced by.")
    return names


def find_split_column(table: Table, taken: Sequence[str]) -> str | None:
    """Return the column that says train, val, test or unlabelled and hardly anything else, or None."""
    for column in table.columns:
        if column.strip().casefold() in _SPLIT_NAMES and column not in taken:
            cells = [cell.strip().casefold() for cell in table.column(column)]
            filled, known = sum(map(bool, cells)), sum(cell in PART_NAMES for cell in cells)
            # A few others are misspelt: to be named, not to be split anew.
            if filled and known >= 0.9 * filled and ("train" in map(PART_NAMES.get, cells) or known == filled):
                return column
    return None


def _notes(
    table: Table, options: TableOptions, kind: str, inputs: Sequence[str], labels: Sequence[str], group: str | None
) -> tuple[str, ...]:
    notes = []
    option = "text_column" if kind == "texts" else "image_column"
    guesses = {kind: (options.inputs, option), "labels": (options.labels, "label_column")}
    guessed = {name: option for name, (given, option) in guesses.items() if given is None}
    if guessed:
        notes.append(
            f"Columns of {table.origin!r}: {kind} in {quoted(inputs)}, labels in {quoted(labels)} ({' and '.join(guessed)} "
            f"guessed among {quoted((*table.pictures, *table.columns))}; {' and '.join(guessed.values())} can say otherwise)."
        )
    flags = _flags_beside(table, labels[0], inputs) if options.labels is None else []
    if flags:
        wish = ",".join((labels[0], *flags))
        notes.append(
            f"Other columns of 0 and 1: {quoted(flags)}. If they are labels as well: label_column={wish!r} (--label-column)."
        )
    if len(inputs) > 1:
        notes.append(f"The columns {quoted(inputs)} are joined, each on a line of its own; do the same before you predict.")
    if group and options.group is None:
        notes.append(f"Rows that are equal in the column {group!r} are taken as a group; group_column names another.")
    return tuple(notes)


def _guess_input(table: Table, taken: Sequence[str], modality: str) -> str:
    candidates = [column for column in table.columns if column not in taken]
    if modality == "image":
        return _guess_image(table, candidates)
    named = _by_name(candidates, _TEXT_NAMES)
    if named or not candidates:
        return named or table.columns[0]
    return max(candidates, key=lambda column: sum(map(len, table.column(column))))


def _guess_image(table: Table, candidates: Sequence[str]) -> str:
    named = _by_name(list(table.pictures), _IMAGE_NAMES)
    if table.pictures:
        return named or next(iter(table.pictures))
    shares = {column: _share_of_pictures(table.column(column)) for column in candidates}
    best = max(candidates, key=lambda column: shares[column], default=None)
    if best is not None and shares[best] > 0.5:
        return best
    named = _by_name(candidates, _IMAGE_NAMES)
    if named is None:
        raise DataError(
            f"No column of {table.origin!r} holds the paths of pictures. Its columns: {quoted(table.columns)}. Name it: "
            f"image_column (on the command line --image-column). For texts: {_RECIPES['text']} --data {table.origin}"
        )
    return named


def _share_of_pictures(cells: Sequence[str]) -> float:
    return sum(cell.strip().lower().endswith(_PICTURE_ENDINGS) for cell in cells) / max(1, len(cells))


def _guess_label(table: Table, taken: Sequence[str], target: str | None) -> str:
    candidates = [column for column in table.columns if column not in taken]
    named = _by_name(candidates, _LABEL_NAMES)
    if named:
        return named
    most = len(table.rows) if target == "value" else max(2, len(table.rows) // 2)
    kinds = {column: _count_kinds(table.column(column), most) for column in candidates}
    fitting = {column: count for column, count in kinds.items() if 2 <= count <= most}
    if not fitting:
        numbers = [column for column in candidates if all(map(_is_number, table.column(column)))]
        values = f" To predict the numbers of {numbers[0]!r}: target='value' (--target value)." if numbers else ""
        raise DataError(
            f"No column of {table.origin!r} looks like labels. Its columns: {quoted(table.columns)}. Name it: label_column "
            f"(on the command line --label-column).{values}"
        )
    return min(fitting, key=lambda column: fitting[column])


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell or "nan"))
    except ValueError:
        return False


def _flags_beside(table: Table, label: str, taken: Sequence[str]) -> list[str]:
    """Return the other columns of 0 and 1, where the column of labels is one: they may be labels as well."""
    flags = [name for name in table.columns if name not in taken and set(table.column(name)) == {"0", "1"}]
    return [name for name in flags if name != label] if label in flags else []


def _count_kinds(cells: Sequence[str], most: int) -> int:
    """Return the number of different cells, or `most + 1` if there are more; of long texts only hashes are kept."""
    seen: set[int] = set()
    for cell in cells:
        seen.add(hash(cell))
        if len(seen) > most:
            break
    return len(seen)


def _several(table: Table, wish: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns that a wish names; `a,b` names two unless one column is called so."""
    if isinstance(wish, str) and wish not in (*table.columns, *table.pictures):
        wish = [name.strip() for name in wish.split(",")] if "," in wish else [wish]
    names = [_named(table, name) for name in _listed(wish)]
    return tuple(dict.fromkeys(name for name in names if name))


def _named(table: Table, name: str | None) -> str | None:
    known = (*table.columns, *table.pictures)
    if name is not None and name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{table.origin!r} has no column {name!r}.{hint} Its columns: {quoted(known)}.")
    return name


def _listed(wish: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if wish is None else (wish,) if isinstance(wish, str) else tuple(wish)


def _by_name(columns: Sequence[str], names: Sequence[str]) -> str | None:
    folded = {column.strip().casefold(): column for column in columns}
    return next((folded[name] for name in names if name in folded), None)


def quoted(names: Sequence[str]) -> str:
    """Return names in quotes, for messages."""
    return ", ".join(repr(name) for name in names)
