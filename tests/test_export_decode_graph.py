"""Picture files decoded by TensorFlow, against the definition of pixels in tlkeras.data.decode."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tlkeras.data.decode import decode_image
from tlkeras.export.decode_graph import decode_batch

SIZE = 40


@pytest.fixture(scope="module")
def decoders():
    """One compiled function for each resize mode."""
    signature = [tf.TensorSpec((None,), tf.string)]

    def compiled(resize):
        return tf.function(lambda data: decode_batch(data, SIZE, resize), input_signature=signature)

    return {resize: compiled(resize) for resize in ("crop", "pad", "squash")}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth gradient with edges and some noise, another one in each quarter."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * x / width, 255 * y / height, 200 * ((x * 5 // width + y * 3 // height) % 2)]
    pixels = np.stack(planes, axis=-1) + random.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def compare(decoder, files: list[bytes], resize: str = "crop") -> np.ndarray:
    """Return the pixels by TensorFlow after checking them against the definition: none off by more than 1, few by that."""
    found = decoder(tf.constant(files)).numpy().astype(int)
    expected = np.stack([decode_image(data, SIZE, resize=resize) for data in files]).astype(int)
    difference = np.abs(found - expected)
    assert difference.max() <= 1
    assert difference.mean() < 0.1  # values at one half may round either way
    return found


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_jpeg_files_of_any_shape_and_scale_give_the_same_pixels(decoders, resize):
    # Sides of 80, 160, 320 and 640 pixels are where the decoder's own scaling sets in.
    shapes = [(30, 50), (79, 90), (80, 81), (161, 159), (330, 700), (641, 643), (99, 1200)]
    files = [
        encoded(picture(*shape, seed), "jpeg", quality=60 + 5 * seed, subsampling=seed % 3, progressive=seed % 2 == 0)
        for seed, shape in enumerate(shapes)
    ]
    compare(decoders[resize], files, resize)


def test_every_kind_of_png_and_grey_and_cmyk_jpeg_gives_the_same_pixels(decoders):
    image = picture(120, 90)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 120).astype(np.uint8), (90, 1)))
    wide = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256 + 77)
    files = [encoded(image.convert(mode), "png") for mode in ("RGB", "L", "P", "1")]
    files += [encoded(image.quantize(colours), "png", bits=bits) for colours, bits in ((16, 4), (4, 2), (2, 1))]
    files += [encoded(Image.merge("RGBA", (*image.split(), alpha)), "png"), encoded(wide, "png")]
    files += [encoded(Image.merge("LA", (image.convert("L"), alpha)), "png")]
    files += [encoded(image.convert("P"), "png", transparency=3), encoded(image.convert("L"), "png", transparency=128)]
    files += [grey_png(depth) for depth in (1, 2, 4)]
    files += [encoded(image.convert(mode), "jpeg") for mode in ("L", "CMYK")]
    compare(decoders["crop"], files)


def grey_png(depth: int) -> bytes:
    """A grey PNG of 64 x 64 pixels with samples of 1, 2 or 4 bits, which Pillow does not write."""
    rows = np.random.default_rng(depth).integers(0, 256, (64, 8 * depth), dtype=np.uint8)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 64, 64, depth, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def exif(orientation: int, order: str) -> bytes:
    """An EXIF segment with another entry before the orientation, in either byte order."""
    start = b"MM\0*" if order == ">" else b"II*\0"
    entries = struct.pack(order + "HHIHH", 0x010F, 2, 1, 0, 0) + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    directory = struct.pack(order + "H", 2) + entries + struct.pack(order + "I", 0)
    return b"Exif\0\0" + start + struct.pack(order + "I", 8) + directory


@pytest.mark.parametrize("order", ["<", ">"])
def test_all_orientations_in_both_byte_orders_are_applied(decoders, order):
    image = picture(100, 60)
    found = compare(decoders["crop"], [encoded(image, "jpeg", exif=exif(orientation, order)) for orientation in range(10)])
    upright = found[1]
    np.testing.assert_array_equal(found[0], upright)  # 0 and 9 mean nothing
    np.testing.assert_array_equal(found[9], upright)
    np.testing.assert_array_equal(found[3], upright[::-1, ::-1])
    np.testing.assert_array_equal(found[6], np.rot90(upright, -1))
    np.testing.assert_array_equal(found[8], np.rot90(upright))
    assert len({pixels.tobytes() for pixels in found}) == 8


def test_an_orientation_after_other_segments_is_found_and_a_damaged_one_is_no_harm(decoders):
    plain = encoded(picture(100, 60), "jpeg")
    turned = encoded(picture(100, 60), "jpeg", exif=exif(6, ">"))
    comment = b"\xff\xfe" + struct.pack(">H", 30_002) + b"x" * 30_000
    compare(decoders["crop"], [turned[:2] + comment + turned[2:], plain[:2] + comment + plain[2:]])
    data = exif(6, ">")
    for broken in (data[:14] + b"\xff\xff\xff\xff", data[:10], data[:18] + b"\xff\xff" + data[20:], b"Exif\0\0"):
        segment = b"\xff\xe1" + struct.pack(">H", len(broken) + 2) + broken
        decoders["crop"](tf.constant([plain[:2] + segment + plain[2:]]))


def test_what_is_neither_jpeg_nor_png_is_an_error(decoders):
    for wrong in (b"", b"hello", encoded(picture(50, 50), "webp"), encoded(picture(50, 50), "jpeg")[:300]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decoders["crop"](tf.constant([wrong]))
