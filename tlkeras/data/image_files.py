"""Picture files: their bytes, and what their first bytes say they are."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

MAX_FILE_BYTES = 256 * 2**20
"""Larger files are refused unread."""

FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF"

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
_NO_PICTURES = {
    (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--"): "an HTML page (a failed download?)",
    (b"<?xml",): "an XML message (a failed download?)",
    (b"{",): "a JSON message (a failed download?)",
    (b"version https://git-lfs",): "a pointer of Git LFS (git lfs pull fetches the file itself)",
    (b"%pdf",): "a PDF document (save its pages as PNG)",
}
"""How files begin that are often found in the place of pictures, in small letters."""
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"heif")


def sniff_format(head: bytes) -> str | None:
    """Return the format that the first 64 bytes of a file say it has, or None; a file's suffix says nothing."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        # A HEIF container may hold AV1 pictures under its general brand; then `avif` is among the compatible ones.
        if b"avif" in head[8:64] or b"avis" in head[8:64]:
            return "AVIF"
        if head[8:12] in _HEIF_BRANDS:
            return "HEIF"
    return None


def read_image_file(path: str | Path) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        ValueError: With a plain reason: gone, no permission, empty, too large, or not a picture (then only the head is read).
    """
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 a Path costs as much as reading a small file
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise ValueError(f"{size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
            require_format(stream.read(512))
            stream.seek(0)  # reading all of it anew costs less than joining the rest to the head
            return stream.readall()
    except FileNotFoundError:
        raise ValueError("the file does not exist (moved, deleted, or a link to nothing)") from None
    except PermissionError:
        raise ValueError("no permission to read it") from None
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror or error})") from None


def require_format(head: bytes) -> str:
    """Return the format of a picture file from its first bytes (512 at most).

    Raises:
        ValueError: It is no picture; the reason says what it seems to be.
    """
    kind = sniff_format(head[:64])
    if kind:
        return kind
    if not head:
        raise ValueError("the file is empty")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in start:
        raise ValueError("an SVG drawing, not a picture of pixels; save it as PNG")
    for marks, what in _NO_PICTURES.items():
        if start.startswith(marks):
            raise ValueError(f"{what}, not a picture")
    if b"\x00" not in head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        raise ValueError("text, not a picture")
    raise ValueError(f"not a picture in a known format ({FORMATS})")


def modification_times(paths: Sequence[str]) -> np.ndarray:
    """Return when each file was last written, in ns since 1970, int64, shape `(n,)`; -1 where there is none."""
    return np.fromiter(map(_modified, paths), np.int64, len(paths))


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 likewise
    except OSError:
        return -1
