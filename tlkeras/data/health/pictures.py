"""Findings about single pictures: files that cannot be read, and pictures that are not what they seem."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tlkeras.data.checks import FileCheck
from tlkeras.data.decode import resize_pixels
from tlkeras.data.duplicates import picture_looks
from tlkeras.data.examples import ImageArrays
from tlkeras.data.folders import IMAGE_SUFFIXES
from tlkeras.data.health.finding import Finding, Severity
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.picture_headers import PictureHeader

SMALLEST = 8
"""Pictures with a shorter side than this, in pixels, show nothing."""

LONG = 3.0
"""Of a picture longer than this, the central square that a network sees shows less than a third."""

_BLANK = 2.0
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif"),
    "AVIF": (".avif",),
}

_Test = Callable[[PictureHeader], str]
"""Returns what is to be said of a picture with this header; nothing if it is of no interest."""


def examine_pictures(inventory: Inventory, checks: Sequence[FileCheck]) -> Iterator[Finding]:
    """Yield what is wrong with the files and pictures of an inventory.

    Args:
        inventory: The pictures.
        checks: What reading each has shown.
    """
    yield from _unreadable(inventory, checks)
    yield from _blank(inventory, checks)
    for key, severity, title, remedy, explanation, test in _HEADER_TESTS:
        rows = [
            (row, test(check.header))
            for row, check in enumerate(checks)
            if check.header is not None and check.reason is None and test(check.header)
        ]
        share = f"{len(rows) / max(1, len(checks)):.1%} of all. "
        yield from _of(inventory, rows, key, severity, title, remedy, explanation=(share + explanation).rstrip())
    yield from _mistyped(inventory, checks)


def _unreadable(inventory: Inventory, checks: Sequence[FileCheck]) -> Iterator[Finding]:
    broken: list[tuple[int, str]] = []
    others: list[tuple[int, str]] = []
    for row, check in enumerate(checks):
        if check.reason is not None:
            suffix = Path(inventory.store.where(row)).suffix.lower()
            stray = "not a picture" in check.reason and suffix not in IMAGE_SUFFIXES
            (others if stray else broken).append((row, check.reason if not stray else suffix or "no suffix"))
    yield from _of(
        inventory,
        broken,
        "unreadable",
        "error",
        "Pictures that cannot be read",
        "Download, copy or export them again, or set them aside with the quarantine list.",
        quarantine=True,
    )
    yield from _of(
        inventory,
        others,
        "not_pictures",
        "note",
        "Files among the pictures that are no pictures",
        "Nothing needs to be done: they are left out.",
    )


def _blank(inventory: Inventory, checks: Sequence[FileCheck]) -> Iterator[Finding]:
    rows = [
        (row, "one colour" if check.spread == 0 else "nearly one colour")
        for row, check in enumerate(checks)
        if check.reason is None and check.header is not None and check.spread < _BLANK
    ]
    yield from _of(
        inventory,
        rows,
        "blank",
        "warning",
        "Pictures that are blank, or nearly so",
        "Look at them; set them aside with the quarantine list if they show nothing of their class.",
        quarantine=True,
    )


def _mistyped(inventory: Inventory, checks: Sequence[FileCheck]) -> Iterator[Finding]:
    rows = []
    for row, check in enumerate(checks):
        suffix = Path(inventory.store.where(row)).suffix.lower()
        if check.header is not None and suffix in IMAGE_SUFFIXES and suffix not in _SUFFIXES[check.header.kind]:
            rows.append((row, f"{suffix}, but {check.header.kind} inside"))
    yield from _of(
        inventory,
        rows,
        "mistyped",
        "warning",
        "Files whose suffix is not their format",
        "tlkeras goes by their content, so nothing needs to be done here; rename them if other tools are to read them.",
    )


def _tiny(header: PictureHeader) -> str:
    return f"{header.width} x {header.height} pixels" if min(header.width, header.height) < SMALLEST else ""


def _long(header: PictureHeader) -> str:
    ratio = max(header.width, header.height) / min(header.width, header.height)
    return f"{header.width} x {header.height} pixels, {ratio:.1f} to 1" if ratio > LONG else ""


def _rotated(header: PictureHeader) -> str:
    return f"orientation {header.orientation}" if header.orientation != 1 else ""


def _deep(header: PictureHeader) -> str:
    return f"{header.bits} bits" if header.bits > 8 else ""


def _cmyk(header: PictureHeader) -> str:
    return header.mode if header.mode in ("CMYK", "YCCK") else ""


def _transparent(header: PictureHeader) -> str:
    return header.mode if header.mode in ("RGBA", "LA", "PA", "RGBa", "La") else ""


def _animated(header: PictureHeader) -> str:
    return header.kind if header.animated else ""


def _profiled(header: PictureHeader) -> str:
    name = header.profile
    usual = not name or name == "unnamed" or "srgb" in name.lower().replace(" ", "") or "gray" in name.lower()
    return "" if usual or header.mode == "CMYK" else name


_HEADER_TESTS: tuple[tuple[str, Severity, str, str, str, _Test], ...] = (
    (
        "tiny_pictures",
        "warning",
        f"Pictures smaller than {SMALLEST} pixels",
        "Look for larger ones: these may be icons or thumbnails that came along by mistake.",
        "",
        _tiny,
    ),
    (
        "long_pictures",
        "warning",
        f"Pictures longer than {LONG:.0f} to 1",
        "Crop them to what matters, or cut them into several.",
        "The network sees their central square, which is less than a third of them.",
        _long,
    ),
    (
        "rotated",
        "note",
        "Pictures turned upright as their EXIF orientation says",
        "Nothing needs to be done here; apply the tag as well wherever else you read them.",
        "This is done in training as in predictions. Keras, TensorFlow and many phone apps do not do it.",
        _rotated,
    ),
    (
        "deep_colours",
        "note",
        "Pictures with more than 8 bits in a sample",
        "Nothing needs to be done if their whole range is used; stretch dark ones (12 bits stored in 16) before.",
        "They are scaled to 8 bits from their full range; some tools clip them to white instead.",
        _deep,
    ),
    (
        "cmyk",
        "note",
        "CMYK pictures, made for printing",
        "Convert them to RGB if their colours look wrong in the report.",
        "They are converted without a colour profile, so that colours may shift.",
        _cmyk,
    ),
    (
        "transparent",
        "note",
        "Pictures with a transparent channel",
        "Nothing needs to be done if a white background is right; otherwise put them on another one first.",
        "They are composed on white; other tools show what lies under the transparency.",
        _transparent,
    ),
    (
        "animated",
        "warning",
        "Pictures with several frames",
        "Save the frame that matters as a picture of its own.",
        "Only the first frame is used.",
        _animated,
    ),
    (
        "colour_profile",
        "note",
        "Pictures with a colour profile other than sRGB",
        "Convert them to sRGB if colours matter.",
        "The profile is not applied: their colours are a little paler than meant.",
        _profiled,
    ),
)


def _of(
    inventory: Inventory,
    rows: Sequence[tuple[int, str]],
    key: str,
    severity: Severity,
    title: str,
    remedy: str,
    *,
    quarantine: bool = False,
    explanation: str = "",
) -> Iterator[Finding]:
    """Yield a finding about these rows, or none if there are none."""
    if rows:
        offenders = tuple(inventory.offender(row, detail) for row, detail in rows)
        yield Finding(key, severity, title, len(rows), remedy, offenders, quarantine, explanation)


def inspect_arrays(store: ImageArrays) -> list[FileCheck]:
    """Look at pictures in memory as `inspect_encoded` looks at encoded ones."""
    height, width = store.pixels.shape[1:3]
    mode = "RGB" if store.pixels.ndim == 4 else "L"
    checks = []
    for picture in store.pixels:
        pixels = resize_pixels(picture, 32)
        digest = hashlib.blake2b(np.ascontiguousarray(picture).tobytes(), digest_size=16).hexdigest()
        look = picture_looks(pixels[None], [min(height, width)]).tobytes()
        checks.append(FileCheck(None, digest, PictureHeader("array", width, height, mode), look, float(pixels.std())))
    return checks
