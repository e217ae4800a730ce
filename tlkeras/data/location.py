"""Where data lies and of what kind it is: the grammar of `--data`.

    sample, sample:N         the embedded sample, N training examples of it
    PATH                     a folder, a table or an archive: what it holds decides
    KIND:PATH                the same, read as KIND whatever it looks like
    tfds:NAME[:CONFIG]       a data set of TensorFlow Datasets

The kinds:

    folder                   a folder for each class, with or without train, val and test above them
    csv tsv jsonl xlsx       a table with a column of texts, or of paths to pictures, and one of labels
    parquet arrow            such a table, which may hold the pictures themselves
    tables                   a folder of tables named after the parts (train.csv, test.csv; also in data/ in it)
    imagefolder              pictures with metadata.csv, .jsonl or .parquet beside them (column `file_name`)
    hf                       a folder that `datasets` wrote with save_to_disk
    tfds                     a folder that TensorFlow Datasets has prepared
    archive                  a zip, tar, tar.gz … of any of these, unpacked once into a cache

A path that begins like a kind is written with its folder: `./csv:odd name`.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from tlkeras.data.archives import ARCHIVE_SUFFIXES, OTHER_ARCHIVES
from tlkeras.data.catalogues import is_tfds_folder
from tlkeras.data.layout import is_clutter
from tlkeras.data.saved_datasets import is_saved_dataset
from tlkeras.data.table_files import TABLE_KINDS, TABLE_SUFFIXES
from tlkeras.data.table_folders import metadata_files, tables_by_part
from tlkeras.errors import DataError

KINDS = ("sample", "folder", *TABLE_KINDS, "tables", "imagefolder", "hf", "tfds", "archive")
"""What may stand before the colon."""

_ALIASES = {"zip": "archive", "tar": "archive", "datasets": "hf", "table": "csv"}


@dataclass(frozen=True)
class Location:
    """A kind and what it is applied to: a path, or the rest of the name for `sample` and `tfds`."""

    kind: str
    name: str

    @property
    def path(self) -> Path:
        """The path that the name stands for."""
        return Path(self.name).expanduser()


def locate(data: str | Path, modality: str) -> Location:
    """Return where data lies and of what kind it is; see the grammar above.

    Args:
        data: What the user gave.
        modality: `"image"` or `"text"`: what is looked for in a folder.

    Raises:
        DataError: It does not exist, or is of no kind that can be read; the message says why and what to do.
    """
    text = str(data)
    if isinstance(data, str) and not data.strip():
        raise DataError("No data was named. Give a folder, a table or an archive, or use 'sample'.")
    kind, colon, rest = text.partition(":")
    kind = _ALIASES.get(kind, kind)
    if isinstance(data, str) and (text == "sample" or (colon and kind == "sample")):
        return Location("sample", text)
    if isinstance(data, str) and colon and kind in KINDS:
        if kind != "tfds" and not Path(rest).expanduser().exists():
            raise DataError(_missing(rest))
        return Location(kind, rest)
    if "://" in text:
        raise DataError(f"{text!r} is an address. Download it first and give the file or folder.")
    path = Path(data).expanduser()
    if not path.exists():
        raise DataError(_missing(text))
    return look_into(path, modality, enter=False) if path.is_dir() else Location(_file_kind(path), str(path))


def recognise(folder: Path, modality: str) -> str:
    """Return the kind of a folder, by what it holds."""
    if is_saved_dataset(folder):
        return "hf"
    if is_tfds_folder(folder):
        return "tfds"
    entries = [entry for entry in folder.iterdir() if not is_clutter(entry.name)]
    if modality == "image" and metadata_files(folder):
        return "imagefolder"
    if {entry.name for entry in entries if entry.is_dir()} <= {"data"} and tables_by_part(folder):
        return "tables"
    below = (*folder.glob("*/features.json"), *folder.glob("*/*/features.json"))  # NAME/VERSION, NAME/CONFIG/VERSION
    return "tfds" if any(is_tfds_folder(file.parent) for file in below) else "folder"


def look_into(folder: Path, modality: str, *, enter: bool) -> Location:
    """Return what a folder holds: the only table in it, or itself.

    Args:
        folder: The folder.
        modality: `"image"` or `"text"`.
        enter: Whether a single folder in it is what is meant, as in most archives.
    """
    entries = [entry for entry in sorted(folder.iterdir()) if not is_clutter(entry.name)]
    if enter and len(entries) == 1 and entries[0].is_dir():
        inner = [entry for entry in entries[0].iterdir() if not is_clutter(entry.name)]
        if any(entry.is_dir() or entry.suffix.lower() in TABLE_SUFFIXES for entry in inner):
            return look_into(entries[0], modality, enter=True)
    kind = recognise(folder, modality)
    tables = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in TABLE_SUFFIXES]
    if kind == "folder" and len(tables) == 1 and sum(entry.is_dir() for entry in entries) < 2:
        return Location(_file_kind(tables[0]), str(tables[0]))
    return Location(kind, str(folder))


def _file_kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(ARCHIVE_SUFFIXES):
        return "archive"
    for kind, suffixes in TABLE_KINDS.items():
        if name.endswith(suffixes):
            return kind
    if name.endswith(OTHER_ARCHIVES):
        raise DataError(
            f"{str(path)!r} is an archive that cannot be unpacked here. Unpack it and give what is in it, or pack it as zip or "
            "tar.gz."
        )
    return "file"


def _missing(text: str) -> str:
    kind = text.partition(":")[0]
    hint = f" {kind!r} is no kind of data; the kinds: {', '.join(KINDS)}." if ":" in text and len(kind) > 1 else ""
    path = Path(text).expanduser()
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.7)
    if near:
        hint += f" Did you mean {str(path.parent / near[0])!r}?"
    return f"{text!r} does not exist (looked for {path.absolute()}).{hint} Check the path, or use 'sample'."
