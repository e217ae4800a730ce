"""What a picture's header says: size, colours, depth, orientation, frames; nothing is decoded."""

import io
import re
import struct
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from PIL import Image

from tlkeras.data.decode import MAX_PIXELS
from tlkeras.data.examples import EncodedImages, ImageFiles, cannot_read
from tlkeras.data.image_files import require_format

# Pillow finds these plugins only by importing all of its forty formats.
_PLUGINS = {"WEBP": "PIL.WebPImagePlugin", "TIFF": "PIL.TiffImagePlugin", "AVIF": "PIL.AvifImagePlugin"}
_ORIENTATION = 0x0112  # EXIF tag, CIPA DC-008


@dataclass(frozen=True)
class PictureHeader:
    """The header of a picture.

    Attributes:
        kind: The format that its first bytes say it has, as in `"JPEG"`.
        width: In pixels, as stored: before the orientation is applied.
        height: In pixels, as stored.
        mode: Pillow's name for its colours, as in `"RGB"`, `"CMYK"`, `"I;16"`.
        bits: Bits in a sample.
        orientation: The EXIF orientation, 1 (upright) to 8.
        animated: Whether it has several frames.
        profile: The name of its colour profile; empty where there is none.
    """

    kind: str
    width: int
    height: int
    mode: str
    bits: int = 8
    orientation: int = 1
    animated: bool = False
    profile: str = ""


def read_header(data: bytes) -> PictureHeader:
    """Read the header of an encoded picture.

    Raises:
        ValueError: It is no picture, or its header is damaged.
    """
    return open_header(data)[0]


def stored_header(store: ImageFiles | EncodedImages, row: int) -> PictureHeader:
    """Read the header of a picture of a store.

    Raises:
        DataError: It cannot be read; the message names it.
    """
    try:
        return read_header(store.encoded(row))
    except ValueError as error:
        raise cannot_read(store, row, error) from None


def open_header(data: bytes) -> tuple[PictureHeader, Image.Image | None]:
    """Read the header of an encoded picture, and return a JPEG opened, for `decode_image`; None for other formats.

    Raises:
        ValueError: See `read_header`.
    """
    kind = require_format(data[:512])
    try:
        if kind == "HEIF":
            return _heif_header(data), None
        if kind in _PLUGINS:
            import_module(_PLUGINS[kind])
        image = Image.open(io.BytesIO(data), formats=[kind])
    except Image.DecompressionBombError as error:
        raise ValueError(_bomb(kind, data, str(error))) from error
    except Exception as error:  # Pillow raises anything from SyntaxError to struct.error on damaged files
        raise ValueError(f"the {kind} file is damaged or truncated at its head") from error
    header = PictureHeader(
        kind=kind,
        width=image.width,
        height=image.height,
        mode=image.mode,
        bits=_bits(kind, image, data),
        orientation=_orientation(image),
        animated=bool(getattr(image, "is_animated", False)),
        profile=_profile_name(image.info.get("icc_profile")),
    )
    return header, image if image.format == "JPEG" else None


def _bomb(kind: str, data: bytes, message: str) -> str:
    """Say how large a picture is that Pillow refuses to open; it names the number of pixels."""
    if kind == "PNG":
        size = "{} x {}".format(*struct.unpack_from(">II", data, 16))
    else:
        size = next(iter(re.findall(r"\d+", message)), "too many")
    return f"{size} pixels; the limit is {MAX_PIXELS:,}"


def _heif_header(data: bytes) -> PictureHeader:
    import pillow_heif

    heif = pillow_heif.open_heif(io.BytesIO(data))
    width, height = heif.size
    return PictureHeader("HEIF", width, height, heif.mode, bits=int(heif.info.get("bit_depth", 8)))


def _bits(kind: str, image: Image.Image, data: bytes) -> int:
    if kind == "PNG":
        return data[24]  # the bit depth of IHDR, which comes first
    if image.mode == "1":
        return 1
    if image.mode.startswith("I;16"):
        return 16
    return 32 if image.mode in ("I", "F") else 8


def _orientation(image: Image.Image) -> int:
    # Pillow's getexif builds an object even where there is nothing to read.
    if not {"exif", "Raw profile type exif", "xmp"} & image.info.keys() and image.format not in ("TIFF", "MPO"):
        return 1
    try:
        value: Any = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF says nothing about the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _profile_name(profile: bytes | None) -> str:
    """Return the description of an ICC profile (ICC.1:2022, 9.2.41), or "unnamed"."""
    if not profile:
        return ""
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        for place in range(min(count, 100)):
            tag, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * place)
            if tag == b"desc":
                content = profile[start : start + size]
                if content[:4] == b"desc":
                    return content[12:].split(b"\0", 1)[0].decode("ascii", "replace")
                length, offset = struct.unpack_from(">II", content, 20)
                return content[offset : offset + length].decode("utf-16-be", "replace").strip("\0")
    except struct.error:
        pass
    return "unnamed"
