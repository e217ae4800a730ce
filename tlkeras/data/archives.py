"""Archives (zip, tar, gz): unpacked once, safely, into a cache folder named after their content.

Nothing in an archive is trusted: names must stay inside, links and devices are refused, and what is really written is counted
against limits, because the sizes that an archive states are claims.
"""

import errno
import gzip
import hashlib
import json
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tlkeras.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".gz")
"""What can be unpacked, by suffix; what a file really is, its first bytes say."""

OTHER_ARCHIVES = (".7z", ".rar", ".bz2", ".xz", ".zst", ".lz4")
"""Archives that cannot be unpacked here."""

_DONE = ".unpacked.json"
_CONTRADICTIONS = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)

Member = tuple[str, Callable[[], Any]]
"""The name of a file in an archive, and what opens it."""


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to: `files` of them, `size` bytes together, and `ratio` bytes for each byte of the archive."""

    files: int = 2_000_000
    size: int = 200 * 2**30
    ratio: int = 300
    free_ratio: int = 100 * 2**20
    """Bytes below which the ratio does not count: small files of zeros are no attack."""


LIMITS = Limits()


def unpack(path: str | Path, *, limits: Limits = LIMITS) -> Path:
    """Return the folder that holds what is in an archive; unpacks it the first time, completely or not at all.

    The folder lies in the cache (see `cache_folder`), named after the sha256 of the archive.

    Args:
        path: A zip, tar (plain, gz, bz2, xz) or gz file.
        limits: What it may unpack to.

    Raises:
        DataError: It is damaged, encrypted, too large, or holds a name that leads out, a link or a device.
    """
    path = Path(path)
    target = cache_folder() / "archives" / _sha256(path)[:32]
    if _is_whole(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as temporary:
        inside = Path(temporary) / "content"
        inside.mkdir()
        with _explained(path):
            files, size = _extract(path, inside, limits)
        (inside / _DONE).write_text(json.dumps({"archive": path.name, "files": files, "bytes": size}), encoding="utf-8")
        if target.exists():  # what a crash of the machine has left incomplete
            target.rename(Path(temporary) / "incomplete")
        try:
            inside.rename(target)
        except OSError:
            if not _is_whole(target):  # another process was faster with the same archive
                raise
    return target


def cache_folder() -> Path:
    """Return the folder for what can be made again: `TLKERAS_CACHE`, or `tlkeras` in the user's cache folder."""
    own = os.environ.get("TLKERAS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tlkeras"


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


def _extract(path: Path, folder: Path, limits: Limits) -> tuple[int, int]:
    """Write the members of an archive below a folder; return how many files and bytes there are."""
    with path.open("rb") as stream:
        head = stream.read(262 + 6)
    budget = min(limits.size, shutil.disk_usage(folder).free - 2**28)
    allowed = min(budget, max(limits.free_ratio, limits.ratio * path.stat().st_size))
    seen: set[str] = set()
    size = 0
    for name, source in _members(path, head):
        place = safe_name(name)
        if len(seen) >= limits.files:
            raise ValueError(f"more than {limits.files:,} files")
        # A file system that ignores case would let one member replace another.
        folded = str(place).casefold()
        if folded in seen:
            raise ValueError(f"two members named {str(place)!a}")
        seen.add(folded)
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        with source() as reader, target.open("xb") as writer:
            size += _copy(reader, writer, allowed - size, f"more than {allowed:,} bytes unpacked, which is the limit")
    return len(seen), size


def _members(path: Path, head: bytes) -> Iterator[Member]:
    """Yield the name of each regular file in an archive and how to open it; refuse anything else but folders."""
    if head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            yield from _zip_members(archive)
    elif tarfile.is_tarfile(path):
        if head[257:262] == b"ustar" and not _ends_with_zeros(path):
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


def _copy(reader: IO[bytes], writer: IO[bytes], allowed: int, refusal: str) -> int:
    size = 0
    while chunk := reader.read(2**20):
        size += len(chunk)
        if size > allowed:
            raise ValueError(refusal)
        writer.write(chunk)
    return size


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn whatever unpacking raises on a damaged or hostile archive into one message."""
    try:
        yield
    except ValueError as error:
        raise DataError(
            f"The archive {str(path)!r} is refused: it holds {error}. If you trust it, unpack it yourself and give the folder."
        ) from None
    except Exception as error:  # zipfile and tarfile raise anything from struct.error to NotImplementedError
        if isinstance(error, OSError) and error.errno in _CONTRADICTIONS:
            reason = "names that contradict each other or cannot be files here"
        elif isinstance(error, OSError) and error.errno is not None:  # the disk, not the archive
            raise
        else:
            reason = str(error) or type(error).__name__
        raise DataError(f"The archive {str(path)!r} is damaged or of an unknown kind: {reason}. Copy it again.") from None


def _is_whole(folder: Path) -> bool:
    """Say whether a folder still holds what was unpacked into it, by number and size of its files."""
    try:
        noted = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        found = [file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != _DONE]
        return bool(noted["files"] == len(found) and noted["bytes"] == sum(found))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
