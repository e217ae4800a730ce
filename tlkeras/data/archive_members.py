"""What lies in an archive, one file after the other; a name that leads out, a link or a device is refused."""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

_COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}

Member = tuple[str, Callable[[], Any]]
"""The name of a file in an archive, and what opens it."""


def iterate_members(path: Path) -> Iterator[Member]:
    """Yield the name of each regular file in an archive and how to open it, in order; each must be read before the next.

    Raises:
        ValueError: It holds anything but files and folders, or is encrypted.
        Exception: It is damaged: `zipfile`, `tarfile` and the rest raise anything from `struct.error` to `EOFError`.
    """
    with path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            yield from _zip_members(archive)
    elif _is_tar(path, head):
        if not head.startswith(tuple(_COMPRESSED)) and not _ends_with_zeros(path):
            raise tarfile.ReadError("it ends too early")
        # As a stream, so that nothing is read twice, and nothing that lies behind what was refused.
        with tarfile.open(path, "r|*", tarinfo=_TarInfo) as tar:
            yield from _tar_members(tar)
    elif head.startswith(b"\x1f\x8b"):
        yield path.name.removesuffix(".gz") or "content", partial(gzip.open, path)
    else:
        raise tarfile.ReadError("no zip, tar or gz file")


class _TarInfo(tarfile.TarInfo):
    """A tar header that may not ask for much memory: extended ones are read as a whole, however long they say they are."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_TarInfo":
        header = super().frombuf(buf, encoding, errors)
        if header.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE) and header.size > 2**20:
            raise ValueError(f"a header of {header.size:,} bytes")
        return header


def _is_tar(path: Path, head: bytes) -> bool:
    """Say whether a file, or what is compressed in it, begins like a tar; `tarfile.is_tarfile` reads as much as it is told."""
    opener = next((opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)), Path.open)
    with opener(path, "rb") as stream:
        block = stream.read(tarfile.BLOCKSIZE)
    try:
        _TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _ends_with_zeros(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 1024))
        return not stream.read().strip(b"\0")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for entry in archive.infolist():
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"a link or device: {entry.filename!a}")
        if entry.flag_bits & 1:
            raise ValueError("encrypted members")
        if entry.is_dir():
            safe_name(entry.filename)
        else:
            yield entry.filename, partial(archive.open, entry)


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for entry in tar:
        if entry.isdir():
            safe_name(entry.name)
        elif entry.isfile():
            yield entry.name, partial(tar.extractfile, entry)
        else:
            raise ValueError(f"a link or device: {entry.name!a}")


def safe_name(name: str) -> PurePosixPath:
    """Return the relative path that the name of an archive's member means, whatever system wrote it.

    Raises:
        ValueError: It is absolute, leads out of the folder, or cannot be the name of a file.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or (len(name) > 1 and name[1] == ":"):
        raise ValueError(f"an absolute path: {name!a}")
    if ".." in path.parts:
        raise ValueError(f"a path that leads out of the folder: {name!a}")
    if any(ord(character) < 32 for character in name) or any(len(os.fsencode(part)) > 255 for part in path.parts):
        raise ValueError(f"a name that no file can have: {name[:100]!a}")
    return path
