"""Data by name: the embedded sample, a folder, or a table; what was found is logged."""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tlkeras.data.columns import TableOptions
from tlkeras.data.examples import Splits
from tlkeras.data.folders import IMAGE_SUFFIXES, load_image_folder
from tlkeras.data.samples import is_sample, load_image_sample, load_text_sample
from tlkeras.data.splits import PARTS
from tlkeras.data.table_files import TABLE_SUFFIXES, parse_table
from tlkeras.data.tables import load_text_folder, texts_from_table
from tlkeras.errors import DataError

_LOGGER = logging.getLogger("tlkeras")
_TEXT_SUFFIXES = TABLE_SUFFIXES | {".txt"}
_ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"))


def load_images(data: str | Path, *, seed: int = 0) -> Splits:
    """Return pictures and their classes, and log what was found.

    Args:
        data: `"sample"`, `"sample:N"`, or a folder: `root/{train,val,test}/<class>/…` or `root/<class>/…`.
        seed: Seed of the split, where one has to be made.

    Raises:
        DataError: The folder is missing or cannot be used; the message says why and what to do.
    """
    if is_sample(str(data)):
        return _report(load_image_sample(str(data), seed=seed))
    path = _existing(data)
    if path.is_file():
        raise DataError(_wrong_file(path, "a folder with a folder of pictures for each class"))
    try:
        return _report(load_image_folder(path, seed=seed))
    except DataError:
        if _holds_only(path, _TEXT_SUFFIXES, IMAGE_SUFFIXES):
            raise DataError(_other_recipe(path, "texts, no pictures", "text_classification")) from None
        raise


def load_texts(data: str | Path, *, text_column: str | None = None, label_column: str | None = None, seed: int = 0) -> Splits:
    """Return texts and their classes, and log what was found.

    Args:
        data: `"sample"`, `"sample:N"`, a table (CSV, TSV, JSONL, XLSX), or a folder: `root/<class>/*.txt`.
        text_column: The column of the texts; guessed if not given.
        label_column: The column of the labels; guessed if not given.
        seed: Seed of the split, where one has to be made.

    Raises:
        DataError: The table is missing or cannot be used; the message names the row and what to do.
    """
    if is_sample(str(data)):
        return _report(load_text_sample(str(data), seed=seed))
    path = _existing(data)
    if path.suffix.lower() in IMAGE_SUFFIXES | _ARCHIVES and path.is_file():
        raise DataError(_wrong_file(path, f"a table ({', '.join(sorted(TABLE_SUFFIXES))})"))
    if path.is_file():
        options = TableOptions(inputs=text_column, labels=label_column)
        return _report(texts_from_table(parse_table(path), options, seed=seed))
    try:
        return _report(load_text_folder(path, seed=seed))
    except DataError:
        if _holds_only(path, IMAGE_SUFFIXES, _TEXT_SUFFIXES):
            raise DataError(_other_recipe(path, "pictures, no texts", "image_classification")) from None
        tables = [file.name for file in sorted(path.iterdir()) if file.suffix.lower() in TABLE_SUFFIXES]
        if tables:
            raise DataError(f"{str(path)!r} is a folder with tables. Name one: {', '.join(map(repr, tables))}.") from None
        raise


def _existing(data: str | Path) -> Path:
    path = Path(data).expanduser()
    if "://" in str(data):
        raise DataError(f"{str(data)!r} is an address. Download it first and give the file or folder.")
    if not path.exists():
        raise DataError(f"{str(data)!r} does not exist (looked for {path.absolute()}). Check the path, or use 'sample'.")
    return path


def _wrong_file(path: Path, expected: str) -> str:
    suffix = path.suffix.lower()
    if suffix in _ARCHIVES:
        return f"{str(path)!r} is an archive. Unpack it and give what is in it: {expected}."
    if suffix in TABLE_SUFFIXES:
        return _other_recipe(path, "a table", "text_classification")
    if suffix in IMAGE_SUFFIXES:
        return (
            f"{str(path)!r} is one picture. Expected {expected}; for pictures: tlkeras run image_classification --data FOLDER"
        )
    return f"{str(path)!r} is a file. Expected {expected}."


def _other_recipe(path: Path, what: str, recipe: str) -> str:
    return f"{str(path)!r} holds {what}. The recipe for it: tlkeras run {recipe} --data {path}"


def _holds_only(folder: Path, wanted: frozenset[str], unwanted: frozenset[str]) -> bool:
    suffixes = {file.suffix.lower() for file in folder.rglob("*")}
    return bool(suffixes & wanted) and not suffixes & unwanted


def _report(splits: Splits) -> Splits:
    kind = "pictures" if splits.modality == "image" else "texts"
    counts = ", ".join(f"{len(getattr(splits, name)):,} {name}" for name in PARTS)
    classes = ", ".join(splits.classes[:10]) + (", …" if len(splits.classes) > 10 else "")
    _LOGGER.info("Data: %s %s; %d classes: %s", counts, kind, len(splits.classes), _printable(classes))
    for note in splits.notes:
        _LOGGER.info("%s", _printable(note))
    if splits.skipped:
        reasons = Counter(skipped.reason for skipped in splits.skipped).most_common(5)
        _LOGGER.warning("Skipped %d: %s", len(splits.skipped), _printable("; ".join(f"{n} x {why}" for why, n in reasons)))
        for skipped in splits.skipped[:3]:
            _LOGGER.warning("  %s: %s", _printable(skipped.where), _printable(skipped.reason))
    return splits


def _printable(text: Iterable[str]) -> str:
    """Escape what could move a terminal's cursor or cannot be encoded; file names may hold anything."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
