"""Data by name: read, whatever it is, into splits; what was found is logged."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tlkeras.data.archives import ARCHIVE_SUFFIXES, called_by_archive, unpack
from tlkeras.data.catalogues import read_tfds
from tlkeras.data.columns import TableOptions
from tlkeras.data.examples import IN_QUARANTINE, LeftOut, Splits, nothing_left_out
from tlkeras.data.folders import IMAGE_SUFFIXES, load_image_folder
from tlkeras.data.image_tables import images_from_table
from tlkeras.data.location import Location, locate, look_into
from tlkeras.data.quarantine import apply_quarantine, in_list, read_quarantine
from tlkeras.data.samples import load_image_sample, load_text_sample
from tlkeras.data.saved_datasets import read_saved_dataset
from tlkeras.data.split_files import as_listed, load_splits
from tlkeras.data.splits import PARTS
from tlkeras.data.table import Table
from tlkeras.data.table_files import TABLE_KINDS, TABLE_SUFFIXES, parse_table
from tlkeras.data.table_folders import read_picture_metadata, read_tables_by_part
from tlkeras.data.tables import load_text_folder, texts_from_table
from tlkeras.data.targets import MultiLabelTargets, ValueTargets
from tlkeras.errors import DataError
from tlkeras.files import printable

_LOGGER = logging.getLogger("tlkeras")
MOST_BROKEN = 100
"""So many examples that cannot be read are left out with a warning, or 1 % if that is more; beyond it, loading stops."""

_OFFICE = (".xls", ".xlsb", ".ods", ".numbers", ".doc", ".docx", ".pdf")
_TEXT_SUFFIXES = TABLE_SUFFIXES | {".txt"}


def load_images(
    data: str | Path,
    *,
    image_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    time_column: str | None = None,
    target: str | None = None,
    label_separator: str | None = None,
    encoding: str | None = None,
    slice: str | Sequence[str] | None = None,
    splits: str | Path | None = None,
    quarantine: str | Path | None = None,
    near_duplicates: bool = True,
    seed: int = 0,
) -> Splits:
    """Return pictures and what is to be predicted, and log what was found.

    Args:
        data: A folder, a table, an archive, a catalogue or the sample; the grammar is in `tlkeras.data.location`.
        image_column: Of a table: the column of paths to pictures, or of pictures; guessed and shown if not given, as are:
        label_column: The column of labels; several columns (`a,b`) of 0 and 1 are labels of their own.
        split_column: The column that says train, val, test or unlabelled.
        group_column: The column whose equal values stay on one side of a split.
        time_column: The column by which a split puts the newest last. Not guessed.
        target: `"class"` (one of several), `"labels"` (any number of them) or `"value"` (a number); if not given, lists and
            several label columns are labels, anything else is a class.
        label_separator: What separates several labels in a cell; found if not given.
        encoding: The encoding of a CSV, TSV or JSONL file; UTF-8 if not given.
        slice: Columns (`site,camera`) on whose values the model is measured apart; see `tlkeras.evaluation.slices`.
        splits: A `splits.csv` to be followed, as `save_splits` writes it.
        quarantine: A list of examples to leave out before anything is split, as `tlkeras check` writes it.
        near_duplicates: False lets near copies lie in two parts; exact copies never do.
        seed: Seed of the split, where one has to be made.

    Raises:
        DataError: The data is missing or cannot be used; the message names the file or row, and says why and what to do.
    """
    columns = (image_column, label_column, split_column, group_column, time_column)
    options = TableOptions(*columns, target, label_separator, encoding, slice)
    loaded = _load(data, "image", options, quarantine, seed, near_duplicates)
    return _report(_arrange(loaded, splits, quarantine, seed, near_duplicates), data)


def load_texts(
    data: str | Path,
    *,
    text_column: str | Sequence[str] | None = None,
    label_column: str | Sequence[str] | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    time_column: str | None = None,
    target: str | None = None,
    label_separator: str | None = None,
    encoding: str | None = None,
    slice: str | Sequence[str] | None = None,
    splits: str | Path | None = None,
    quarantine: str | Path | None = None,
    near_duplicates: bool = True,
    seed: int = 0,
) -> Splits:
    """Return texts and what is to be predicted, and log what was found.

    Args:
        data: A table, a folder of `.txt` files for each class, an archive, a catalogue or the sample; see `load_images`.
        text_column: The column of the texts; several ones (`title,body`) are joined. Guessed and shown if not given.
        label_column: See `load_images`, as for all that follow.
        split_column: The column of parts.
        group_column: The column of groups.
        time_column: The column of times.
        target: What is to be predicted.
        label_separator: What separates several labels in a cell.
        encoding: The encoding of the file.
        slice: Columns on whose values the model is measured apart.
        splits: A `splits.csv` to be followed.
        quarantine: A list of examples to leave out.
        near_duplicates: Whether near copies stay in one part.
        seed: Seed of the split, where one has to be made.

    Raises:
        DataError: The data is missing or cannot be used; the message names the file or row, and says why and what to do.
    """
    columns = (text_column, label_column, split_column, group_column, time_column)
    options = TableOptions(*columns, target, label_separator, encoding, slice)
    loaded = _load(data, "text", options, quarantine, seed, near_duplicates)
    return _report(_arrange(loaded, splits, quarantine, seed, near_duplicates), data)


def read_data_table(location: Location, options: TableOptions) -> Table:
    """Read data of any kind that ends in a table.

    Args:
        location: Its place and kind, neither a sample nor class folders nor an archive.
        options: What the user says about it.

    Raises:
        DataError: It cannot be read; the message says why and what to do.
    """
    readers: dict[str, Callable[[], Table]] = {
        "tables": lambda: read_tables_by_part(location.path, encoding=options.encoding),
        "imagefolder": lambda: read_picture_metadata(location.path, encoding=options.encoding),
        "hf": lambda: read_saved_dataset(location.path),
        "tfds": lambda: read_tfds(location.name),
    }
    if location.kind in readers:
        return readers[location.kind]()
    return parse_table(location.path, kind=location.kind, encoding=options.encoding)


def find_data(data: str | Path, modality: str) -> tuple[Location, Path | None]:
    """Return where data lies, after unpacking if it is an archive, and the folder that was unpacked; it is not trusted.

    Raises:
        DataError: It does not exist, or is of no kind that can be read.
    """
    location = locate(data, modality)
    if location.kind != "archive":
        return location, None
    inside = unpack(location.path)
    return look_into(inside, modality, enter=True), inside


def _load(
    data: str | Path,
    modality: str,
    options: TableOptions,
    quarantine: str | Path | None,
    seed: int,
    near_duplicates: bool,
) -> Splits:
    left_out = in_list(quarantine) if quarantine else nothing_left_out
    location, inside = find_data(data, modality)
    if location.kind in ("sample", "folder"):
        _refuse_options(location, options)
    if location.kind == "sample":
        return (load_image_sample if modality == "image" else load_text_sample)(location.name, seed=seed)
    with called_by_archive(data, inside):
        return _load_files(location, inside, modality, options, left_out, seed, near_duplicates)


def _load_files(
    location: Location,
    inside: Path | None,
    modality: str,
    options: TableOptions,
    left_out: LeftOut,
    seed: int,
    near_duplicates: bool,
) -> Splits:
    if location.kind == "folder":
        return _load_folder(location.path, modality, seed, near_duplicates, left_out)
    if location.kind == "file":
        raise DataError(_wrong_file(location.path, modality))
    table = read_data_table(location, options)
    if modality == "text":
        return texts_from_table(table, options, seed=seed, near_duplicates=near_duplicates, left_out=left_out)
    return images_from_table(
        table,
        options,
        folder=picture_folder(location),
        inside=inside,
        seed=seed,
        near_duplicates=near_duplicates,
        left_out=left_out,
    )


def picture_folder(location: Location) -> Path:
    """Return where the relative paths of a table of pictures begin."""
    return location.path.parent if location.kind in TABLE_KINDS else location.path


def _arrange(
    loaded: Splits, file: str | Path | None, quarantine: str | Path | None, seed: int, near_duplicates: bool
) -> Splits:
    refuse_many(loaded, quarantine)
    arranged = load_splits(loaded, file, seed=seed, near_duplicates=near_duplicates) if file else loaded
    return apply_quarantine(arranged, quarantine) if quarantine else arranged


def refuse_many(loaded: Splits, quarantine: str | Path | None = None) -> None:
    """Stop where so much cannot be read that what is left may be another data set than was meant.

    Raises:
        DataError: More than `MOST_BROKEN` examples and 1 % cannot be used and are in no quarantine list.
    """
    known = {line.where for line in read_quarantine(quarantine)} if quarantine else set()
    broken = [one for one in loaded.skipped if not (one.stray or one.reason == IN_QUARANTINE or as_listed(one.where) in known)]
    examples = sum(len(getattr(loaded, name)) for name in PARTS)
    if len(broken) > max(MOST_BROKEN, (examples + len(broken)) // 100):
        raise DataError(
            f"{len(broken):,} of {examples + len(broken):,} examples cannot be used. More than {MOST_BROKEN} and 1 % are not "
            f"left out unasked. The first, {broken[0].where}: {broken[0].reason}. Look at them with tlkeras check; then mend "
            "them, or set them aside with --quarantine and the list that it writes."
        )


def _load_folder(folder: Path, modality: str, seed: int, near_duplicates: bool, left_out: LeftOut) -> Splits:
    load = load_image_folder if modality == "image" else load_text_folder
    try:
        return load(folder, seed=seed, near_duplicates=near_duplicates, left_out=left_out)
    except DataError as error:
        if modality == "image" and _holds_only(folder, _TEXT_SUFFIXES, IMAGE_SUFFIXES):
            raise DataError(_other_recipe(folder, "texts, no pictures", "text_classification")) from None
        if modality == "text" and _holds_only(folder, IMAGE_SUFFIXES, _TEXT_SUFFIXES):
            raise DataError(_other_recipe(folder, "pictures, no texts", "image_classification")) from None
        tables = [file.name for file in sorted(folder.iterdir()) if file.suffix.lower() in TABLE_SUFFIXES]
        if tables:
            listed = ", ".join(map(repr, tables[:10]))
            raise DataError(f"{error} There are tables in {str(folder)!r}. Name one if it is meant: {listed}.") from None
        raise


def _refuse_options(location: Location, options: TableOptions) -> None:
    names = {
        **{"inputs": "text_column or image_column", "labels": "label_column", "split": "split_column"},
        **{"group": "group_column", "time": "time_column", "separator": "label_separator", "encoding": "encoding"},
        "slices": "slice",
    }
    given = [name for field, name in names.items() if getattr(options, field)]
    given += ["target"] if options.target not in (None, "class") else []
    if given:
        what = "the sample" if location.kind == "sample" else f"the class folders of {location.name!r}"
        raise DataError(
            f"Columns, targets and encodings are for tables; {what} have none. Received: {', '.join(given)}. Leave them out, "
            "or give a table."
        )


def _wrong_file(path: Path, modality: str) -> str:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return (
            f"{str(path)!r} is one picture. Expected a folder with a folder of pictures for each class, or a table; for "
            "pictures: tlkeras run image_classification --data FOLDER"
        )
    if suffix in _OFFICE:
        return f"{str(path)!r} cannot be read. Open it and save it as XLSX or CSV, then give that file."
    expected = "a folder, a table or an archive" if modality == "image" else "a table, a folder or an archive"
    return (
        f"{str(path)!r} is a file of no known kind. Expected {expected} ({', '.join(sorted(TABLE_SUFFIXES))}; "
        f"{', '.join(ARCHIVE_SUFFIXES)}). If it is one of them under another name, say so: --data csv:{path}"
    )


def _other_recipe(path: Path, what: str, recipe: str) -> str:
    return f"{str(path)!r} holds {what}. The recipe for it: tlkeras run {recipe} --data {path}"


def _holds_only(folder: Path, wanted: frozenset[str], unwanted: frozenset[str]) -> bool:
    suffixes = {file.suffix.lower() for file in folder.rglob("*")}
    return bool(suffixes & wanted) and not suffixes & unwanted


def _report(splits: Splits, data: str | Path) -> Splits:
    report_splits(splits)
    if not str(data).startswith("sample"):
        _LOGGER.info("What else may be wrong with it (copies, blank or mislabelled examples …): tlkeras check %s", data)
    return splits


def report_splits(splits: Splits) -> None:
    """Log what was found, decided and left out."""
    kind = "pictures" if splits.modality == "image" else "texts"
    counts = ", ".join(f"{len(getattr(splits, name)):,} {name}" for name in PARTS)
    _LOGGER.info("Data: %s %s; %s", counts, kind, printable(_targets_in_words(splits)))
    for note in splits.notes:
        _LOGGER.info("%s", printable(note))
    if splits.skipped:
        reasons = Counter(skipped.reason for skipped in splits.skipped).most_common(5)
        _LOGGER.warning("Skipped %d: %s", len(splits.skipped), printable("; ".join(f"{n} x {why}" for why, n in reasons)))
        for skipped in splits.skipped[:3]:
            _LOGGER.warning("  %s: %s", printable(skipped.where), printable(skipped.reason))


def _targets_in_words(splits: Splits) -> str:
    targets = splits.train.targets
    if isinstance(targets, ValueTargets):
        return f"values from {targets.values.min():g} to {targets.values.max():g}"
    classes = ", ".join(splits.classes[:10]) + (", …" if len(splits.classes) > 10 else "")
    kind = "labels, any number of them each" if isinstance(targets, MultiLabelTargets) else "classes"
    return f"{len(splits.classes)} {kind}: {classes}"
