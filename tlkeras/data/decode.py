"""The one definition of pixels: encoded picture or array in, a square of uint8 RGB out.

Training, evaluation, `tlkeras predict` and the parity check all read pictures through this module, so they see the same pixels.
It needs Pillow and NumPy only, and starts in a few hundredths of a second.
"""

import io
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from tlkeras.data.examples import EncodedImages, ImageArrays, ImageFiles, Store, cannot_read
from tlkeras.data.image_files import require_format
from tlkeras.data.resize import RESIZE_MODES, require_mode, to_square

__all__ = [
    "MAX_ASPECT",
    "MAX_PIXELS",
    "RESIZE_MODES",
    "decode_image",
    "decode_sizes",
    "iterate_pixels",
    "least_side",
    "read_picture",
    "read_pixels",
    "read_sizes",
    "resize_pixels",
]

MAX_PIXELS = 100_000_000
"""Pictures with more pixels are refused from their header, before anything is decoded."""

MAX_ASPECT = 50
"""A central square of a picture longer than this would keep less than 2 % of it."""

_PIECE = 4  # pictures that a thread takes at a time

# Pillow finds these plugins only by importing all of its forty formats, which takes longer than decoding.
_PLUGINS = {"WEBP": "PIL.WebPImagePlugin", "TIFF": "PIL.TiffImagePlugin", "AVIF": "PIL.AvifImagePlugin"}
# The number is the EXIF orientation (CIPA DC-008, tag 0x0112).
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# MAX_PIXELS is checked right after the header, so Pillow's own warning would only be noise on the console.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode_image(data: bytes, size: int, *, resize: str = "crop", opened: Image.Image | None = None) -> np.ndarray:
    """Return an encoded picture as a square, uint8, shape `(size, size, 3)`, RGB; its central square unless `resize` says else.

    The orientation tag is applied, transparency is composed on white, 16-bit grey is scaled, an animation gives its first
    frame. JPEG is decoded at the smallest of 1, 1/2, 1/4, 1/8 of its scale that leaves `least_side` pixels; then crop and
    resize (bilinear with anti-aliasing) are one call.

    Args:
        data: The content of a picture file.
        size: The side of the result in pixels.
        resize: One of `RESIZE_MODES`.
        opened: The same JPEG, opened with Pillow but not decoded, where its header has been read already.

    Raises:
        ValueError: With a plain reason: empty, not a picture, truncated, damaged, too many pixels, extreme shape.
    """
    return decode_sizes(data, (size,), resize=resize, opened=opened)[0]


def decode_sizes(
    data: bytes, sizes: Sequence[int], *, resize: str = "crop", opened: Image.Image | None = None
) -> list[np.ndarray]:
    """Return an encoded picture at several sizes, each as `decode_image` returns it, decoded only once as far as that is equal.

    Args:
        data: The content of a picture file.
        sizes: The sides of the results in pixels.
        resize: One of `RESIZE_MODES`.
        opened: See `decode_image`.

    Raises:
        ValueError: See `decode_image`.
    """
    require_mode(resize)
    kind = require_format(data[:512])
    decoded: dict[tuple[int, int], tuple[Image.Image, Image.Image]] = {}
    squares = []
    try:
        for size in sizes:
            image, rgb = _decode(data, kind, size, decoded, opened)
            opened = None
            square = to_square(rgb, size, resize)
            squares.append(np.array(square if kind == "HEIF" else _upright(square, image)))
    except _RefusedError as error:
        raise ValueError(str(error)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"more than {MAX_PIXELS:,} pixels, which is the limit") from None
    except Exception as error:  # Pillow raises anything from SyntaxError to struct.error on damaged files
        raise ValueError(_plain_reason(kind, error)) from None
    return squares


def _decode(
    data: bytes,
    kind: str,
    size: int,
    decoded: dict[tuple[int, int], tuple[Image.Image, Image.Image]],
    opened: Image.Image | None,
) -> tuple[Image.Image, Image.Image]:
    """The picture at the scale for a size, as it is and as RGB; from `decoded` where that has this scale already."""
    if kind == "HEIF" and decoded:
        return next(iter(decoded.values()))
    image = _open_heif(data) if kind == "HEIF" else _open(data, kind, opened)
    image.draft(None, (least_side(size),) * 2)
    if image.size not in decoded:
        image.load()
        decoded[image.size] = image, _to_rgb(image)
    return decoded[image.size]


def least_side(size: int) -> int:
    """Return how many pixels the shorter side of a JPEG keeps at the least when it is decoded at a smaller scale.

    A third more than asked for. On 22 photographs of 512 pixels and sizes from 32 to 224, the result then differs from that of
    the whole picture by 0.1 to 1.5 of 255 on average (with none more, by 2.8; with twice as many, by 1.3), and a picture of 12
    megapixels is decoded at an eighth for 224 pixels, which takes 0.8 of the time of a quarter (2026-11-24).
    """
    return size * 4 // 3


def resize_pixels(array: np.ndarray, size: int, *, resize: str = "crop") -> np.ndarray:
    """Return the central square of a picture in memory, resized as `decode_image` does.

    Args:
        array: uint8, shape `(height, width, 3)` or `(height, width)`.
        size: The side of the result in pixels.
        resize: One of `RESIZE_MODES`.

    Returns:
        uint8, shape `(size, size, 3)`.
    """
    return np.array(to_square(Image.fromarray(array), size, resize).convert("RGB"))


def read_picture(store: Store, row: int, size: int, *, resize: str = "crop") -> np.ndarray:
    """Return one picture of a store, uint8, shape `(size, size, 3)`.

    Args:
        store: See `read_pixels`.
        row: Its place.
        size: The side in pixels.
        resize: One of `RESIZE_MODES`.

    Raises:
        DataError: It cannot be decoded; the message names it.
    """
    return _read_row(store, (size,), row, resize)[0]


def read_pixels(
    store: Store, size: int, *, resize: str = "crop", on_progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Return all pictures of a store, uint8, shape `(n, size, size, 3)`, in order.

    Args:
        store: `ImageFiles`, `EncodedImages` or `ImageArrays`.
        size: The side in pixels.
        resize: One of `RESIZE_MODES`.
        on_progress: Called now and then with the number of pictures done and of all.

    Raises:
        DataError: A picture cannot be decoded; the message names it.
    """
    return read_sizes(store, (size,), resize=resize, on_progress=on_progress)[0]


def read_sizes(
    store: Store, sizes: Sequence[int], *, resize: str = "crop", on_progress: Callable[[int, int], None] | None = None
) -> list[np.ndarray]:
    """Return all pictures of a store at several sizes: for each what `read_pixels` returns, in less time.

    Args:
        store: See `read_pixels`.
        sizes: The sides in pixels.
        resize: One of `RESIZE_MODES`.
        on_progress: See `read_pixels`.

    Raises:
        DataError: A picture cannot be decoded; the message names it.
    """
    pixels = [np.empty((len(store), size, size, 3), np.uint8) for size in sizes]
    done = 0
    for rows in _iterate(store, sizes, 64, resize):
        for whole, squares in zip(pixels, zip(*rows, strict=True), strict=True):
            whole[done : done + len(rows)] = squares
        done += len(rows)
        if on_progress:
            on_progress(done, len(store))
    return pixels


def iterate_pixels(store: Store, size: int, batch_size: int, *, resize: str = "crop") -> Iterator[np.ndarray]:
    """Yield the pictures of a store in order, in batches of uint8, shape `(at most batch_size, size, size, 3)`.

    Memory stays flat: threads (Pillow decodes outside the interpreter lock) are at most two batches ahead of the reader.

    Raises:
        DataError: A picture cannot be decoded; the message names it.
    """
    for rows in _iterate(store, (size,), batch_size, resize):
        yield np.stack([square for (square,) in rows])


def _iterate(store: Store, sizes: Sequence[int], batch_size: int, resize: str) -> Iterator[list[list[np.ndarray]]]:
    pool = ThreadPoolExecutor((os.cpu_count() or 1) + 1)  # more only push each other out of the cache
    waiting: deque[list[Future[list[list[np.ndarray]]]]] = deque()
    try:
        for start in range(0, len(store), batch_size):
            rows = range(start, min(start + batch_size, len(store)))
            pieces = [rows[first : first + _PIECE] for first in range(0, len(rows), _PIECE)]
            waiting.append([pool.submit(_read_rows, store, sizes, piece, resize) for piece in pieces])
            if len(waiting) > 2:
                yield [squares for future in waiting.popleft() for squares in future.result()]
        while waiting:
            yield [squares for future in waiting.popleft() for squares in future.result()]
    finally:
        pool.shutdown(cancel_futures=True)


def _read_rows(store: Store, sizes: Sequence[int], rows: range, resize: str) -> list[list[np.ndarray]]:
    return [_read_row(store, sizes, row, resize) for row in rows]


def _read_row(store: Store, sizes: Sequence[int], row: int, resize: str) -> list[np.ndarray]:
    if isinstance(store, ImageArrays):
        return [resize_pixels(store.pixels[row], size, resize=resize) for size in sizes]
    if not isinstance(store, (ImageFiles, EncodedImages)):
        raise TypeError(f"Pixels come from ImageFiles, EncodedImages or ImageArrays. Received: {type(store).__name__}")
    try:
        return decode_sizes(store.encoded(row), sizes, resize=resize)
    except ValueError as error:
        raise cannot_read(store, row, error) from None


class _RefusedError(Exception):
    """A picture that is refused by rule, not because decoding failed."""


def _open(data: bytes, kind: str, opened: Image.Image | None) -> Image.Image:
    if kind in _PLUGINS:
        import_module(_PLUGINS[kind])
    image: Any = opened or Image.open(io.BytesIO(data), formats=[kind])
    image.decodermaxblock = max(image.decodermaxblock, len(data))  # one piece: threads ask for the interpreter lock less often
    _check_shape(*image.size)
    return image


def _open_heif(data: bytes) -> Image.Image:
    import pillow_heif

    heif = pillow_heif.open_heif(io.BytesIO(data))
    _check_shape(*heif.size)
    return heif.to_pillow()  # libheif has turned it upright already


def _check_shape(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _RefusedError(f"{width} x {height} pixels; the limit is {MAX_PIXELS:,}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise _RefusedError(
            f"{width} x {height} pixels: longer than {MAX_ASPECT} to 1, its central square shows next to nothing"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return the picture as RGB or, as a cheaper equal of it, as grey."""
    if image.mode in ("RGB", "L") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):  # convert("RGB") would clip at 255 instead of scaling
        grey = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise _RefusedError("samples of 32 bits have no defined white; save it with 8 or 16 bits")
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _upright(square: Image.Image, image: Image.Image) -> Image.Image:
    """Apply the orientation of `image` to its central square: the same as turning first, and cheaper."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF says nothing about the pixels
        orientation = 1
    turned = square.transpose(_ORIENTATIONS[orientation]) if orientation in _ORIENTATIONS else square
    return turned if turned.mode == "RGB" else turned.convert("RGB")


def _plain_reason(kind: str, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"the {kind} file is damaged or truncated at its head"
    detail = (str(error) or type(error).__name__).splitlines()[0]
    if "truncated" in detail.lower() or isinstance(error, EOFError):
        return f"the {kind} file is truncated: it ends too early (an unfinished download or copy?)"
    return f"the {kind} file is damaged or truncated ({detail})"
