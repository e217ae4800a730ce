"""Folders of pictures: `root/{train,val,test}/<class>/…` or `root/<class>/…`."""

from pathlib import Path

import numpy as np

from tlkeras.data.checks import FileCheck, inspect_pictures, picture_columns
from tlkeras.data.examples import ClassTargets, Examples, ImageFiles, LeftOut, NoTargets, Skipped, Splits, nothing_left_out
from tlkeras.data.layout import Found, leave_out, require_same_classes, scan_folder
from tlkeras.data.splits import complete_splits
from tlkeras.data.table_splits import with_pool

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".mpo")
)
"""Suffixes of pictures, for messages; what a file is, its first bytes say."""


def load_image_folder(
    root: str | Path, *, seed: int = 0, near_duplicates: bool = True, left_out: LeftOut = nothing_left_out
) -> Splits:
    """Return the pictures of a folder; every one has been decoded once, so that training meets no unreadable file.

    Identities are paths relative to the root; the metadata columns are `digest` and `look`.

    Args:
        root: A folder with a folder for each class, or with `train`, `val`, `test` that hold such folders.
        seed: Seed of the split, where one has to be made.
        near_duplicates: False lets near copies lie in two parts.
        left_out: Says of an identity whether its file is left out.

    Raises:
        DataError: See `scan_folder` and `require_same_classes`.
    """
    layout = leave_out(scan_folder(Path(root)), left_out)
    usable: dict[str, tuple[Found, ...]] = {}
    inspected: dict[str, list[FileCheck]] = {}
    skipped = list(layout.skipped)
    for name, files in layout.parts.items():
        checks = inspect_pictures([found.path for found in files])
        usable[name] = tuple(found for found, check in zip(files, checks, strict=True) if check.reason is None)
        inspected[name] = [check for check in checks if check.reason is None]
        for found, check in zip(files, checks, strict=True):
            if check.reason is not None:
                skipped.append(_skipped(found.path, check.reason))
    classes = require_same_classes(layout, usable, "pictures")
    parts = {name: _examples(files, inspected[name], classes) for name, files in usable.items()}
    pool = _pool(layout.pool, skipped)
    splits = complete_splits(parts, classes, seed=seed, near_duplicates=near_duplicates, notes=layout.notes, skipped=skipped)
    return with_pool(splits, pool) if len(pool) else splits


def _examples(files: tuple[Found, ...], checks: list[FileCheck], classes: tuple[str, ...]) -> Examples:
    index = {name: label for label, name in enumerate(classes)}
    return Examples(
        ids=np.array([found.id for found in files]),
        store=ImageFiles(tuple(found.path for found in files)),
        targets=ClassTargets(np.array([index[found.class_name] for found in files], np.int32)),
        metadata=picture_columns(checks),
    )


def _pool(files: tuple[Found, ...], skipped: list[Skipped]) -> Examples:
    """Return the files without labels that can be read, and note the others."""
    checks = inspect_pictures([found.path for found in files])
    for found, check in zip(files, checks, strict=True):
        if check.reason is not None:
            skipped.append(_skipped(found.path, check.reason))
    kept = [(found, check) for found, check in zip(files, checks, strict=True) if check.reason is None]
    return Examples(
        ids=np.array([found.id for found, _ in kept], dtype=str),
        store=ImageFiles(tuple(found.path for found, _ in kept)),
        targets=NoTargets(len(kept)),
        metadata=picture_columns([check for _, check in kept]),
    )


def _skipped(path: str, reason: str) -> Skipped:
    suffix = Path(path).suffix.lower()
    if suffix in IMAGE_SUFFIXES or "not a picture" not in reason:
        return Skipped(path, reason)
    return Skipped(path, f"not a picture ({suffix or 'no suffix'})", stray=True)
