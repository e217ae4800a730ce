"""Arrays that are kept on disk under a key of their content, so that what was computed once need not be computed again.

The folder is `TLKERAS_CACHE`, or `~/.cache/tlkeras` (below `XDG_CACHE_HOME` where that is set); `TLKERAS_CACHE=off` keeps
nothing. Over the budget (`TLKERAS_CACHE_GB`, 2 if not set) the entries that were not used for longest go. Deleting the folder
is always safe.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.files import plain, write_file

log = logging.getLogger("tlkeras")

BUDGET_GB = 2.0


def cache_folder() -> Path | None:
    """Return the folder of the cache; None where it is switched off."""
    chosen = os.environ.get("TLKERAS_CACHE")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tlkeras"


def cache_key(**parts: Any) -> str:
    """Return a hex digest of everything that an entry depends on; the parts are what JSON knows.

    Example:
        >>> cache_key(kind="features", weights="53aa51…", size=224, engine="litert 2.3") != cache_key(kind="latency")
        True
    """
    text = json.dumps(plain(parts), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read_arrays(key: str) -> dict[str, np.ndarray] | None:
    """Return the arrays of an entry, or None where there is none; one that is damaged is removed."""
    path = _path(key)
    if path is None or not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream) as archive:  # no pickles; the archive's checksums are verified
            arrays = {name: archive[name] for name in archive.files}
        os.utime(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        log.warning("The cached file %s is damaged (%s): it is removed and computed anew", path, error)
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return arrays


def write_arrays(key: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep arrays as an entry, whole or not at all; without room on the disk, nothing is kept and a warning says so."""
    path = _path(key)
    if path is None:
        return

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]

    try:
        write_file(path, write)
        keep_within_budget([path])
    except OSError as error:
        log.warning("Nothing was kept in the cache %s: %s", path.parent, error)


def cached_rows(key: str, digests: np.ndarray, compute: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, int]:
    """Return a row for each example; those of contents that the entry has are read, the others computed and added.

    So a run over more examples, or in another order, computes only what is new.

    Args:
        key: What the rows depend on besides the examples, see `cache_key`.
        digests: A digest of each example's content, str, shape `(n,)`; examples with the same digest share a row.
        compute: From the indices of examples, int64, shape `(m,)`, to their rows, shape `(m, ...)`.

    Returns:
        The rows, shape `(n, ...)`, and how many were computed.
    """
    entry = read_arrays(key) or {}
    known: dict[str, int] = {digest: row for row, digest in enumerate(entry.get("digests", np.empty(0, str)).tolist())}
    first = {digest: index for index, digest in reversed(list(enumerate(digests.tolist())))}
    missing = np.array(sorted(index for digest, index in first.items() if digest not in known), np.int64)
    rows = entry.get("rows")
    if len(missing):
        computed = compute(missing)
        rows = computed if rows is None else np.concatenate([rows, computed])
        known.update({digest: len(known) + place for place, digest in enumerate(digests[missing].tolist())})
        write_arrays(key, {"digests": np.array(list(known)), "rows": rows})
    if rows is None:
        raise ValueError("There are no rows to return. Received: no examples")
    return rows[[known[digest] for digest in digests.tolist()]], len(missing)


def _path(key: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "arrays" / f"{key}.npz"


def budget_bytes() -> float:
    """Return how many bytes the cache may hold."""
    return float(os.environ.get("TLKERAS_CACHE_GB") or BUDGET_GB) * 1e9


def keep_within_budget(newest: Collection[Path]) -> None:
    """Remove the entries that were not used for longest until the rest fits; the newest always stay."""
    folder = cache_folder()
    if folder is None:
        return
    entries = []
    for item in [*folder.glob("arrays/*.npz"), *folder.glob("activations/*/*/entry.json")]:
        with contextlib.suppress(OSError):  # another process may have removed it
            entry = item if item.suffix == ".npz" else item.parent
            files = [item] if entry == item else list(entry.iterdir())
            entries.append((entry.stat().st_mtime_ns, sum(file.stat().st_size for file in files), entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total <= budget_bytes():
            return
        if entry not in newest:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
            total -= size
