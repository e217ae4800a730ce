import io
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tlkeras.data import decode
from tlkeras.data.decode import decode_image, decode_sizes, iterate_pixels, read_pixels, read_sizes, resize_pixels
from tlkeras.data.examples import ImageArrays, ImageFiles, Texts
from tlkeras.data.image_files import read_image_file, sniff_format
from tlkeras.errors import DataError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def stripes(width, height, colours):
    """Return a picture of vertical stripes of equal width."""
    array = np.zeros((height, width, 3), np.uint8)
    for place, colour in enumerate(colours):
        array[:, place * width // len(colours) : (place + 1) * width // len(colours)] = colour
    return Image.fromarray(array)


def smooth(width, height):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 / width, y * 255 / height, (x + y) * 127 / (width + height)], -1).astype(np.uint8))


def bare_png(width, height):
    """Return a PNG header that claims a size, and no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO"])
def test_every_format_gives_the_same_picture(format):
    picture = stripes(96, 48, [GREEN, RED, BLUE, GREEN])
    options = {"quality": 95} if format in ("JPEG", "WEBP", "AVIF", "MPO") else {}
    pixels = decode_image(encode(picture, format, **options), 48)
    assert pixels.shape == (48, 48, 3) and pixels.dtype == np.uint8
    # The central square of 96 x 48 is the red and the blue stripe; away from edges lossy formats keep flat colours.
    assert np.abs(pixels[8:40, 6:18].astype(int) - RED).max() <= 12
    assert np.abs(pixels[8:40, 30:42].astype(int) - BLUE).max() <= 12


def test_heic_is_read():
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(stripes(128, 64, [GREEN, RED, BLUE, GREEN])).save(stream, quality=95)
    pixels = decode_image(stream.getvalue(), 32)
    assert sniff_format(stream.getvalue()[:64]) == "HEIF"
    assert np.abs(pixels[:, 4:12].astype(int) - RED).max() <= 12 and np.abs(pixels[:, 20:28].astype(int) - BLUE).max() <= 12


def test_halving_averages_as_worked_out_by_hand():
    # Anti-aliased bilinear at half size weighs source pixels 1, 3, 3, 1 eighths around each target pixel; at the left edge
    # 3, 3, 1 sevenths.
    row = np.array([0, 70, 140, 210], np.uint8)
    pixels = resize_pixels(np.tile(row, (4, 1)), 2)
    left = (3 * 0 + 3 * 70 + 140) / 7
    right = (70 + 3 * 140 + 3 * 210) / 7
    np.testing.assert_array_equal(pixels[0, :, 0], np.rint([left, right]))
    assert pixels.shape == (2, 2, 3)


def test_arrays_and_files_give_the_same_pixels():
    picture = smooth(90, 61)
    np.testing.assert_array_equal(decode_image(encode(picture, "PNG"), 37), resize_pixels(np.asarray(picture), 37))


def test_scaled_jpeg_decoding_stays_close_to_full_decoding():
    # Fine diagonal stripes: decoding at too small a scale would blur them.
    y, x = np.mgrid[:800, :800]
    picture = Image.fromarray((127.5 + 120 * np.sin((x + 2 * y) / 14)).astype(np.uint8))
    data = encode(picture, "JPEG", quality=95)
    full = resize_pixels(np.asarray(Image.open(io.BytesIO(data))), 100)
    difference = np.abs(decode_image(data, 100).astype(int) - full)
    assert difference.mean() < 3  # 2.1 here; 5.0 where an eighth is decoded


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_pillow_applies_it(orientation):
    from PIL import ImageOps

    picture = smooth(64, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(picture, "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    expected = resize_pixels(np.asarray(upright), 20)
    # Turning before or after the resize may round a half differently.
    assert np.abs(decode_image(data, 20).astype(int) - expected).max() <= 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_orientation_data_does_not_reject_the_picture():
    data = encode(smooth(16, 16), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert decode_image(data, 8).shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode):
    picture = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 8, 4))
    pixels = decode_image(encode(picture.convert(mode), "PNG"), 8)
    assert (pixels[:2] == 0).all() and (pixels[6:] == 255).all()


def test_half_transparency_is_mixed_with_white():
    pixels = decode_image(encode(Image.new("RGBA", (4, 4), (255, 0, 0, 51)), "PNG"), 4)
    np.testing.assert_array_equal(pixels[0, 0], [255, 204, 204])  # 0.2 of red over white


def test_palette_colour_marked_transparent_in_rgb_becomes_white():
    picture = stripes(8, 8, [RED, BLUE])
    pixels = decode_image(encode(picture, "PNG", transparency=RED), 8)
    assert (pixels[:, :3] == 255).all() and (pixels[:, 5:] == BLUE).all()


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    grey = np.array([[0, 257], [32768, 65535]], np.uint16)
    pixels = decode_image(encode(Image.fromarray(grey), "PNG"), 2)
    np.testing.assert_array_equal(pixels[..., 0], [[0, 1], [128, 255]])
    assert (pixels[..., 0] == pixels[..., 2]).all()
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(grey), "TIFF"), 2), pixels)
    # TIFF in the other byte order, which Pillow reads as another mode and does not write: header, samples, entries.
    entries = [(256, 4, 2), (257, 4, 2), (258, 3, 16), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 2), (279, 4, 8)]
    packed = b"".join(
        struct.pack(">HHI", tag, kind, 1) + struct.pack(">HH" if kind == 3 else ">I", *((value, 0)[: 5 - kind]))
        for tag, kind, value in entries
    )
    data = (
        b"MM\0*" + struct.pack(">I", 16) + grey.astype(">u2").tobytes() + struct.pack(">H", len(entries)) + packed + b"\0" * 4
    )
    np.testing.assert_array_equal(decode_image(data, 2), pixels)


def test_cmyk_and_one_bit_and_grey_become_rgb():
    assert (decode_image(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), 4)[0, 0] == RED).all()
    assert (decode_image(encode(Image.new("1", (8, 8), 1), "PNG"), 4) == 255).all()
    assert (decode_image(encode(Image.new("L", (8, 8), 77), "PNG"), 4) == 77).all()
    red = decode_image(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95), 4)[0, 0]
    assert np.abs(red.astype(int) - RED).max() <= 8


@pytest.mark.parametrize(("colours", "bits"), [(2, 1), (4, 2), (16, 4), (256, 8)])
def test_palettes_of_every_depth_give_their_colours(colours, bits):
    palette = np.random.default_rng(0).integers(0, 256, (colours, 3), np.uint8)
    places = (np.arange(64 * 64) % colours).astype(np.uint8).reshape(64, 64)
    picture = Image.frombytes("P", (64, 64), places.tobytes())
    picture.putpalette(palette.tobytes())
    data = encode(picture, "PNG")
    assert data[24] == bits  # of a sample, in the header
    np.testing.assert_array_equal(decode_image(data, 64), palette[places])


def test_an_animation_gives_its_first_frame():
    data = encode(Image.new("RGB", (8, 8), RED), "GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), BLUE)])
    assert (decode_image(data, 4)[0, 0] == RED).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_truncated_picture_is_refused(format):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format)
    decode_image(data, 16)
    with pytest.raises(ValueError, match="truncated"):
        decode_image(data[: len(data) // 2], 16)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "HTML page .*, not a picture"),
        (b"\xef\xbb\xbf\n<HTML>404", "HTML page"),
        (b'<?xml version="1.0"?><Error>AccessDenied</Error>', "XML message"),
        (b'<?xml version="1.0"?><svg xmlns="x"></svg>', "SVG drawing.*as PNG"),
        (b'{"message": "Not Found"}', "JSON message"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF document"),
        (b"hello, this is a note\n", "text, not a picture"),
        (b"\x00\x01\x02\x03", "not a picture in a known format"),
        (b"\xff\xd8\xff", "damaged or truncated"),
        (bare_png(20_000, 20_000), "100,000,000 pixels"),
        (bare_png(10_001, 10_000), "100,000,000"),
        (encode(Image.new("L", (510, 10)), "PNG"), "longer than 50 to 1"),
        (encode(Image.new("I", (4, 4)), "TIFF"), "32 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_what_cannot_be_decoded_is_refused_with_a_plain_reason(data, reason):
    with pytest.raises(ValueError, match=reason):
        decode_image(data, 8)


def test_a_pixel_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr(decode, "MAX_PIXELS", 99)
    with pytest.raises(ValueError, match="10 x 10"):
        decode_image(encode_without_load(), 8)


def encode_without_load():
    return bare_png(10, 10)


def test_a_missing_file_a_folder_and_a_big_file_have_plain_reasons(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="does not exist"):
        read_image_file(tmp_path / "gone.jpg")
    with pytest.raises(ValueError, match="cannot be read"):
        read_image_file(tmp_path)
    path = tmp_path / "a.png"
    path.write_bytes(encode(smooth(8, 8), "PNG"))
    assert read_image_file(path) == path.read_bytes()
    monkeypatch.setattr("tlkeras.data.image_files.MAX_FILE_BYTES", 10)
    with pytest.raises(ValueError, match="the limit is 10"):
        read_image_file(path)


def test_pictures_are_read_in_order_from_files_and_arrays(tmp_path):
    arrays = np.arange(150, dtype=np.uint8)[:, None, None, None] * np.ones((1, 6, 6, 3), np.uint8)
    paths = []
    for row, array in enumerate(arrays):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(array).save(paths[-1])
    reports = []
    from_files = read_pixels(ImageFiles(tuple(paths)), 4, on_progress=lambda done, total: reports.append((done, total)))
    np.testing.assert_array_equal(from_files[:, 0, 0, 0], np.arange(150))
    np.testing.assert_array_equal(from_files, read_pixels(ImageArrays(arrays), 4))
    assert reports[-1] == (150, 150)
    batches = list(iterate_pixels(ImageFiles(tuple(paths)), 4, 40))
    assert [len(batch) for batch in batches] == [40, 40, 40, 30]
    np.testing.assert_array_equal(np.concatenate(batches), from_files)


def test_an_unreadable_picture_is_named(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_text("no picture")
    with pytest.raises(DataError, match=r"broken\.jpg: text, not a picture"):
        read_pixels(ImageFiles((str(path),)), 4)


def test_iterating_asks_for_at_most_three_batches_at_once(monkeypatch):
    asked = []

    class Pool(ThreadPoolExecutor):
        def submit(self, *arguments, **options):
            asked.extend(arguments[3])
            return super().submit(*arguments, **options)

    monkeypatch.setattr(decode, "ThreadPoolExecutor", Pool)
    batches = iterate_pixels(ImageArrays(np.zeros((100, 4, 4, 3), np.uint8)), 2, 10)
    next(batches)
    assert asked == list(range(30))
    next(batches)
    assert asked == list(range(40))


def test_texts_have_no_pixels():
    with pytest.raises(TypeError, match="Texts"):
        read_pixels(Texts(("a",), np.zeros(1)), 4)


def test_decoding_imports_neither_tensorflow_nor_pandas_nor_the_heif_library():
    heavy = ("tensorflow", "keras", "pandas", "pillow_heif")
    code = f"import sys, tlkeras.data.decode; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def _as_png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="png")
    return stream.getvalue()


@pytest.mark.parametrize(("mode", "corner", "edge"), [("crop", 200, 200), ("squash", 10, 200), ("pad", 0, 0)])
def test_the_resize_mode_says_what_becomes_of_a_wide_picture(mode, corner, edge):
    # 40 x 20: a bright square in the middle, dark wings left and right.
    pixels = np.full((20, 40, 3), 10, np.uint8)
    pixels[:, 10:30] = 200
    square = resize_pixels(pixels, 20, resize=mode)
    assert square.shape == (20, 20, 3)
    assert abs(int(square[10, 0, 0]) - {"crop": 200, "squash": 10, "pad": 10}[mode]) < 12
    assert abs(int(square[0, 10, 0]) - edge) < 12
    assert abs(int(square[0, 0, 0]) - corner) < 12
    np.testing.assert_array_equal(decode_image(_as_png(pixels), 20, resize=mode), square)


def test_an_unknown_resize_mode_is_refused():
    with pytest.raises(ValueError, match="unknown resize mode 'zoom'; allowed: crop, pad, squash"):
        decode_image(_as_png(np.zeros((4, 4, 3), np.uint8)), 4, resize="zoom")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF"])
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_several_sizes_of_a_picture_are_what_each_alone_is(format, resize):
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if format == "JPEG" else {}
    data = encode(smooth(700, 420), format, **options)
    for sizes in ((40, 90, 200, 105), (200, 40)):  # JPEG is decoded at three scales for them
        for size, square in zip(sizes, decode_sizes(data, sizes, resize=resize), strict=True):
            np.testing.assert_array_equal(square, decode_image(data, size, resize=resize))


def test_a_picture_is_decoded_once_for_each_scale_only(monkeypatch):
    loaded: list[tuple[int, int]] = []
    to_rgb = decode._to_rgb

    def note(image):
        loaded.append(image.size)
        return to_rgb(image)

    monkeypatch.setattr(decode, "_to_rgb", note)
    decode_sizes(encode(smooth(800, 800), "JPEG"), (200, 190, 100, 96))
    assert loaded == [(400, 400), (200, 200)]
    loaded.clear()
    decode_sizes(encode(smooth(800, 800), "PNG"), (200, 100))
    assert loaded == [(800, 800)]


def test_a_store_is_read_at_several_sizes_in_order():
    store = ImageArrays(np.random.default_rng(0).integers(0, 256, (70, 20, 24, 3)).astype(np.uint8))
    for size, pixels in zip((9, 16), read_sizes(store, (9, 16)), strict=True):
        np.testing.assert_array_equal(pixels, read_pixels(store, size))
