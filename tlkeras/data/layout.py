"""Folders of classes, with or without parts: which file belongs to which part and class. Reads no file."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tlkeras.data.checks import require_classes
from tlkeras.data.examples import IN_QUARANTINE, LeftOut, Skipped
from tlkeras.data.part_names import PART_NAMES, part_of_folder, parts_of_folders
from tlkeras.errors import DataError

_CLUTTER = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Found:
    """A file: where it is, its identity (path relative to the root, with `/`) and its class."""

    path: str
    id: str
    class_name: str


@dataclass(frozen=True)
class Layout:
    """The files of each part (all of them under `train` where there are no parts), what was left out, and the class folders."""

    root: Path
    parts: Mapping[str, tuple[Found, ...]]
    class_folders: Mapping[str, tuple[str, ...]]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    pool: tuple[Found, ...] = ()
    """Files without labels: those of folders named `unlabelled` or `unsup`; their class is `""`."""


def is_clutter(name: str) -> bool:
    """Say whether a file or folder is hidden or the leaving of an operating system, which is never data."""
    return name.startswith(".") or name.casefold() in _CLUTTER


def left_out_splits(names: Iterable[str]) -> list[str]:
    """Return a note on splits of a catalogue that are no parts, if there are any."""
    others = [name for name in names if name.casefold() not in PART_NAMES]
    return (
        [f"Splits that are neither train, validation nor test are left out: {', '.join(map(repr, others))}."] if others else []
    )


def scan_folder(root: Path) -> Layout:
    """Find the files of `root/<part>/<class>/…` or `root/<class>/…`; `unlabelled` beside parts or classes is a pool.

    Hidden files and the leavings of macOS and Windows are ignored. Links to folders are not followed, links to files only
    inside the root.

    Raises:
        DataError: There is no such folder, it is empty, its files lie loose, or a training part is missing.
    """
    if not root.exists():
        raise DataError(f"The folder {str(root)!r} does not exist (looked for {root.absolute()}). Check the path.")
    if not root.is_dir():
        raise DataError(f"{str(root)!r} is a file. Expected a folder that holds a folder for each class.")
    skipped: list[Skipped] = []
    folders, loose = _list(root, root, skipped)
    pool = [folder for folder in folders if _is_pool(folder)]
    folders = [folder for folder in folders if folder not in pool]
    if not folders:
        raise DataError(_no_class_folders(root, loose))
    parts = _find_parts(root, folders)
    notes = []
    if parts:
        others = [folder.name for folder in folders if folder not in parts.values()]
        if others:
            notes.append(f"Folders beside train, val and test were left out: {', '.join(map(repr, others))}.")
        parts = {name: _unwrap(folder, root) for name, folder in parts.items()}
    else:
        parts = {"train": root}
    skipped += [Skipped(str(path), "it lies beside the folders, not in a class folder", stray=True) for path in loose]
    files, class_folders = {}, {}
    for name, folder in parts.items():
        classes, stray = _list(folder, root, []) if folder != root else (folders, [])
        pool += [one for one in classes if _is_pool(one)] if folder != root else []
        classes = [one for one in classes if not _is_pool(one)]
        if not classes:
            raise DataError(_no_class_folders(folder, stray))
        skipped += [Skipped(str(path), "it lies beside the class folders", stray=True) for path in stray]
        class_folders[name] = tuple(one.name for one in classes)
        files[name] = tuple(
            Found(str(path), path.relative_to(root).as_posix(), one.name)
            for one in classes
            for path in _walk(one, root, skipped)
        )
    bare = tuple(
        Found(str(path), path.relative_to(root).as_posix(), "") for folder in pool for path in _walk(folder, root, skipped)
    )
    return Layout(root, files, class_folders, tuple(skipped), tuple(notes), bare)


def leave_out(layout: Layout, left_out: LeftOut) -> Layout:
    """Return a layout without the files that are left out; they are among what was skipped."""
    out = [found for files in (*layout.parts.values(), layout.pool) for found in files if left_out(found.id)]
    if not out:
        return layout
    gone = set(out)
    return replace(
        layout,
        parts={name: tuple(found for found in files if found not in gone) for name, files in layout.parts.items()},
        pool=tuple(found for found in layout.pool if found not in gone),
        skipped=(*layout.skipped, *(Skipped(found.path, IN_QUARANTINE) for found in out)),
    )


def require_same_classes(layout: Layout, usable: Mapping[str, tuple[Found, ...]], kind: str) -> tuple[str, ...]:
    """Return the class names, sorted, after checking that every part has usable files of each.

    Args:
        layout: The folders.
        usable: The files of each part that can be read.
        kind: What the files are, as in `"pictures"`.

    Raises:
        DataError: A class folder is empty or missing in a part, or there is only one class.
    """
    for name, folders in layout.class_folders.items():
        filled = {found.class_name for found in usable[name]}
        empty = sorted(set(folders) - filled)
        if empty:
            where = "" if len(layout.parts) == 1 else f" of the {name} part"
            raise DataError(
                f"Class folders{where} in {str(layout.root)!r} without any readable {kind}: {', '.join(map(repr, empty))}. "
                f"Add {kind} or remove these folders.{_reasons(layout, usable, set(empty))}"
            )
    everywhere = {name for folders in layout.class_folders.values() for name in folders}
    for name, folders in layout.class_folders.items():
        missing = sorted(everywhere - set(folders))
        if missing:
            raise DataError(
                f"The parts of {str(layout.root)!r} do not have the same classes: "
                f"{name} lacks {', '.join(map(repr, missing))}. Add these to it, or remove them from the other parts."
            )
    if len(everywhere) == 1:
        (only,) = everywhere
        inner = sorted({found.id.split("/")[1] for found in layout.parts["train"] if found.id.count("/") > 1})
        if len(layout.parts) == 1 and len(inner) > 1:
            raise DataError(
                f"{str(layout.root)!r} holds one class folder, {only!r}, which holds folders itself. "
                f"Did you mean {str(layout.root / only)!r}?"
            )
    return require_classes(everywhere, repr(str(layout.root)))


def _is_pool(folder: Path) -> bool:
    return part_of_folder(folder.name) == "unlabelled"


def _find_parts(root: Path, folders: list[Path]) -> dict[str, Path]:
    """Return the folders that are parts; none if `train` and the like are class names here (vehicles: bus, car, train)."""
    parts: dict[str, Path] = {}
    names = parts_of_folders([folder.name for folder in folders])
    for folder in folders:
        name = names.get(folder.name)
        if name and name in parts:
            raise DataError(
                f"{str(root)!r} holds two {name} parts: {parts[name].name!r} and {folder.name!r}. Remove one, or give it "
                "the name of the part that it is."
            )
        if name:
            parts[name] = folder
    only_parts = len(parts) == len(folders)
    if parts and only_parts and "train" not in parts:
        raise DataError(
            f"{str(root)!r} holds {' and '.join(parts)} but no train folder. Add `train/<class>/…`, or put the class folders "
            "directly into the folder and let tlkeras split them."
        )
    holds_folders = "train" in parts and bool(_list(parts["train"], root, [])[0])
    if only_parts or (holds_folders and len(parts) > 1):
        return {name: parts[name] for name in ("train", "val", "test") if name in parts}
    return {}


def _unwrap(folder: Path, root: Path) -> Path:
    """Go into the folder of the same name, or of the same part, that a part consists of: `train/train/<class>/…`."""
    folders, files = _list(folder, root, [])
    if len(folders) != 1 or files:
        return folder
    part = part_of_folder(folder.name)
    same = folders[0].name == folder.name or (part is not None and part_of_folder(folders[0].name) == part)
    return _unwrap(folders[0], root) if same else folder


def _list(folder: Path, root: Path, skipped: list[Skipped]) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, each sorted by name; what is neither is noted."""
    folders, files = [], []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        skipped.append(Skipped(str(folder), "no permission to read the folder"))
        return [], []
    inside = root.resolve()
    for entry in entries:
        path = folder / entry.name
        if is_clutter(entry.name):
            continue
        if entry.is_symlink() and entry.is_dir():
            skipped.append(Skipped(str(path), "a link to a folder, which is not followed", stray=True))
        elif entry.is_symlink() and not path.resolve().is_relative_to(inside):
            skipped.append(Skipped(str(path), "a link that leads out of the data folder", stray=True))
        elif entry.is_dir():
            folders.append(path)
        elif entry.is_file() or entry.is_symlink():  # a link to nothing is named when it is read
            files.append(path)
        else:
            skipped.append(Skipped(str(path), "not a regular file", stray=True))
    return folders, files


def _walk(folder: Path, root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    folders, files = _list(folder, root, skipped)
    yield from files
    for inner in folders:
        yield from _walk(inner, root, skipped)


def _no_class_folders(folder: Path, files: list[Path]) -> str:
    found = f"{len(files):,} files lie loose in it" if files else "it is empty"
    labels = _labels_in_names(files)
    hint = (
        f" Their names seem to begin with labels ({', '.join(map(repr, labels[:5]))}{' …' if len(labels) > 5 else ''}): move "
        "each file into a folder of that name, or list path and label in a table."
        if labels
        else ""
    )
    return (
        f"{str(folder)!r} holds no class folders: {found}. Expected a folder for each class, such as "
        f"{str(folder / 'cat' / '1.jpg')!r} and {str(folder / 'dog' / '1.jpg')!r}.{hint}"
    )


def _labels_in_names(files: list[Path]) -> list[str]:
    """Return the words that file names begin with, if these are few and each occurs several times: `cat_1.jpg`, `dog_1.jpg`."""
    words = Counter(match.group().casefold() for file in files if (match := re.match(r"[^\W\d_]+", file.stem)))
    few = 2 <= len(words) <= len(files) / 3
    return sorted(words) if few and sum(words.values()) == len(files) and min(words.values()) > 1 else []


def _reasons(layout: Layout, usable: Mapping[str, tuple[Found, ...]], classes: set[str]) -> str:
    good = {found for files in usable.values() for found in files}
    bad = [one.id for files in layout.parts.values() for one in files if one.class_name in classes and one not in good]
    return f" Not readable: {', '.join(bad[:3])}{' …' if len(bad) > 3 else ''}" if bad else ""
