"""Cheap checks made while data is loaded, so that what is wrong with it is said before training and not in the middle of it."""

import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from tlkeras.data.decode import decode_image
from tlkeras.data.duplicates import LOOK, picture_looks
from tlkeras.data.examples import EncodedImages, ImageFiles, Skipped, Store
from tlkeras.data.image_files import modification_times
from tlkeras.data.picture_headers import PictureHeader, open_header
from tlkeras.data.targets import natural_order
from tlkeras.errors import DataError

_CHUNK = 16


@dataclass(frozen=True)
class FileCheck:
    """What reading a picture once has shown.

    Attributes:
        reason: Why it cannot be used; None if it can.
        digest: A hash of its bytes; empty where there are none.
        header: What its header says, if it has one.
        look: What near copies are found by, the bytes of a `LOOK`.
        spread: The standard deviation of its pixels in levels of 255, as seen at 32 x 32.
        modified: When its file was last written, in ns since 1970; -1 where it has none of its own.
    """

    reason: str | None
    digest: str
    header: PictureHeader | None = None
    look: bytes = bytes(LOOK.itemsize)
    spread: float = 0.0
    modified: int = -1


def inspect_pictures(paths: Sequence[str]) -> list[FileCheck]:
    """Read, hash and decode each picture, in parallel.

    Headers alone do not show a damaged file, so everything is decoded, JPEG at an eighth of its scale, which takes about two
    thirds of the time of decoding it for training.
    """
    return inspect_encoded(ImageFiles(tuple(paths)))


def inspect_encoded(
    store: ImageFiles | EncodedImages, *, on_progress: Callable[[int, int], None] | None = None
) -> list[FileCheck]:
    """Read, hash and decode each picture of a store, as `inspect_pictures` does.

    Args:
        store: The pictures.
        on_progress: Called now and then with the number of pictures done and of all.
    """
    checks: list[FileCheck] = []
    chunks = [range(start, min(start + _CHUNK, len(store))) for start in range(0, len(store), _CHUNK)]
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        for found in pool.map(lambda rows: _inspect(store, rows), chunks):
            checks += found
            if on_progress:
                on_progress(len(checks), len(store))
    return checks


def picture_columns(checks: Sequence[FileCheck]) -> dict[str, np.ndarray]:
    """Return the metadata columns that tell copies (`digest`), near copies (`look`) and changes (`modified`) of pictures."""
    return {
        "digest": np.array([check.digest for check in checks], dtype=str),
        "look": np.frombuffer(b"".join(check.look for check in checks), LOOK),
        "modified": np.array([check.modified for check in checks], np.int64),
    }


def find_unreadable(store: Store) -> list[Skipped]:
    """Return the pictures of a store that cannot be decoded, with the reason; nothing for pictures in memory."""
    if not isinstance(store, (ImageFiles, EncodedImages)):
        return []
    checks = inspect_encoded(store)
    return [Skipped(store.where(row), check.reason) for row, check in enumerate(checks) if check.reason]


def require_classes(classes: Iterable[str], origin: str) -> tuple[str, ...]:
    """Return the class names, sorted, numbers within them by their value.

    Raises:
        DataError: There are fewer than two, two differ in case, blanks or Unicode form only, or one is not valid text.
    """
    names = natural_order(set(classes))
    if len(names) < 2:
        came = f"one class: {names[0]!r}" if names else "none"
        raise DataError(f"Classification needs at least two classes. {origin} has {came}. Add examples of another class.")
    alike = defaultdict(list)
    for name in names:
        # File names that are not valid UTF-8 arrive with surrogates, and could not be written into any label file.
        if any(0xD800 <= ord(character) < 0xE000 for character in name):
            raise DataError(f"The class name {name!a} in {origin} is not valid UTF-8. Rename it.")
        alike[unicodedata.normalize("NFC", name).casefold().strip()].append(name)
    for twins in alike.values():
        if len(twins) > 1:
            listed = " and ".join(ascii(name) if not name.isascii() else repr(name) for name in twins)
            raise DataError(f"The classes {listed} in {origin} look alike. Give them one name, or clearly different ones.")
    return tuple(names)


def _inspect(store: ImageFiles | EncodedImages, rows: range) -> list[FileCheck]:
    """Inspect some pictures; what is computed from their pixels is computed for all of them at once."""
    read = [_read(store, row) for row in rows]
    good = [place for place, (_, pixels) in enumerate(read) if pixels is not None]
    if not good:
        return [check for check, _ in read]
    checks = [check for check, _ in read]
    pixels = np.stack([part for _, part in read if part is not None])
    sides = [min(header.width, header.height) for place in good if (header := checks[place].header)]
    looks, spreads = picture_looks(pixels, sides), pixels.reshape(len(pixels), -1).astype(np.float32).std(axis=1)
    for place, look, spread in zip(good, looks, spreads.tolist(), strict=True):
        checks[place] = replace(checks[place], look=look.tobytes(), spread=spread)
    return checks


def _read(store: ImageFiles | EncodedImages, row: int) -> tuple[FileCheck, np.ndarray | None]:
    modified = int(modification_times((store.paths[row],))[0]) if isinstance(store, ImageFiles) else -1
    try:
        data = store.encoded(row)
    except ValueError as error:
        return FileCheck(str(error), ""), None
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    header = None
    try:
        header, opened = open_header(data)
        return FileCheck(None, digest, header, modified=modified), decode_image(data, 32, opened=opened)
    except ValueError as error:
        return FileCheck(str(error), digest, header), None
