"""Files that are there whole or not at all, whatever happens while they are written."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


def write_file(path: Path, writer: Callable[[Path], object]) -> None:
    """Let `writer` write a file or folder, and put it at `path` only when it is complete and on the disk.

    Args:
        path: Where it is to be; its folder is made if need be, what lies there is replaced.
        writer: Called with a path of the same name in a temporary folder beside it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        temporary = Path(folder) / path.name
        writer(temporary)
        for file in sorted(temporary.rglob("*")) if temporary.is_dir() else [temporary]:
            if file.is_file():
                with file.open("rb+") as stream:
                    os.fsync(stream.fileno())
        if path.is_dir() and not path.is_symlink():  # a folder that holds something cannot be replaced in one step
            path.rename(Path(folder) / "replaced")
        temporary.replace(path)
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; what cannot be encoded is escaped."""
    write_file(path, lambda temporary: temporary.write_text(encodable(text), encoding="utf-8", newline="\n"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all; dataclasses, paths and NumPy values are welcome, NaN and infinity become null."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Turn dataclasses, mappings, sequences, paths and NumPy values into what JSON and YAML know."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, os.PathLike) else value


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network file systems cannot
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def encodable(text: str) -> str:
    r"""Return a text in which the bytes of file names that are not UTF-8 are escaped as in JSON: a\udcff.jpg."""
    return text.encode("utf-8", "backslashreplace").decode()


def safe_cell(value: object) -> str:
    """Return a value as a table cell that no spreadsheet runs as a formula: such a start gets an apostrophe in front.

    What cannot be encoded is escaped, see `encodable`.
    """
    text = encodable(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def printable(text: str) -> str:
    """Return a text for a terminal or a log: what could move a cursor or cannot be encoded is escaped, but for line breaks.

    Names of files, classes and columns may hold anything.
    """
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)
