"""Archives (zip, tar, gz): unpacked once, safely, into a cache folder named after their content.

Nothing in an archive is trusted: names must stay inside, links and devices are refused, and what is really written is counted
against limits, because the sizes that an archive states are claims.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tlkeras.data.archive_members import iterate_members, safe_name
from tlkeras.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".gz")
"""What can be unpacked, by suffix; what a file really is, its first bytes say."""

OTHER_ARCHIVES = (".7z", ".rar", ".bz2", ".xz", ".zst", ".lz4")
"""Archives that cannot be unpacked here."""

_DONE = ".unpacked.json"
_CONTRADICTIONS = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


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


@contextmanager
def called_by_archive(data: str | Path, inside: Path | None) -> Iterator[None]:
    """Let errors about what an archive holds name the archive, not the folder in the cache that it was unpacked into."""
    try:
        yield
    except DataError as error:
        if inside is None or str(inside) not in str(error):
            raise
        message = str(error).replace(str(inside), str(data))
        raise DataError(f"{message} To give a part of the archive, unpack it first.") from None


def cache_folder() -> Path:
    """Return the folder for what can be made again: `TLKERAS_CACHE`, or `tlkeras` in the user's cache folder."""
    own = os.environ.get("TLKERAS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tlkeras"


def _extract(path: Path, folder: Path, limits: Limits) -> tuple[int, int]:
    """Write the members of an archive below a folder; return how many files and bytes there are."""
    budget = min(limits.size, shutil.disk_usage(folder).free - 2**28)
    allowed = min(budget, max(limits.free_ratio, limits.ratio * path.stat().st_size))
    seen: set[str] = set()
    size = 0
    for name, source in iterate_members(path):
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
