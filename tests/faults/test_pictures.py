"""Picture faults of the catalogue that no other test checks."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.test_data_health import findings, photos, scene
from tlkeras.data import image_files
from tlkeras.data.decode import decode_image
from tlkeras.data.image_files import read_image_file
from tlkeras.data.load import load_images


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "data", {"cat": 12, "dog": 12})


def ids(splits):
    return {*splits.train.ids.tolist(), *splits.val.ids.tolist(), *splits.test.ids.tolist()}


def test_a_tiff_named_jpg_is_read_and_told_once(folder):
    scene(50).save(folder / "cat" / "t.jpg", "TIFF")
    assert "cat/t.jpg" in ids(load_images(folder))
    found = findings(folder)["mistyped"]
    assert found.count == 1 and found.offenders[0].detail == ".jpg, but TIFF inside"


def test_an_upper_case_suffix_is_like_any_other(folder):
    scene(50).save(folder / "cat" / "UPPER.JPG", "JPEG")
    assert "cat/UPPER.JPG" in ids(load_images(folder)) and "mistyped" not in findings(folder)


@pytest.mark.parametrize("suffix", ["webp", "tiff", "avif"])
def test_newer_formats_count_like_the_others(folder, suffix):
    scene(50).save(folder / "cat" / f"new.{suffix}")
    assert f"cat/new.{suffix}" in ids(load_images(folder))


def test_a_picture_of_one_pixel_is_told_and_a_ribbon_is_left_out(folder):
    Image.new("RGB", (1, 1), (9, 9, 9)).save(folder / "cat" / "dot.png")
    scene(51, (620, 10)).save(folder / "cat" / "ribbon.png")
    splits = load_images(folder)
    assert "cat/dot.png" in ids(splits)
    (skipped,) = splits.skipped
    assert skipped.where.endswith("ribbon.png") and "longer than 50 to 1" in skipped.reason
    assert findings(folder)["tiny_pictures"].offenders[0].id == "cat/dot.png"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF"])
def test_of_several_frames_the_first_is_used_and_that_is_told(folder, kind):
    stream = io.BytesIO()
    red, blue = Image.new("RGB", (40, 40), (200, 0, 0)), Image.new("RGB", (40, 40), (0, 0, 200))
    red.save(stream, kind, save_all=True, append_images=[blue])
    assert decode_image(stream.getvalue(), 8)[..., 0].mean() > 150
    (folder / "cat" / "film").with_suffix(f".{kind.lower()}").write_bytes(stream.getvalue())
    assert findings(folder)["animated"].count == 1


def test_inverted_cmyk_is_not_taken_for_its_negative(folder):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (250, 250, 250)).convert("CMYK").save(stream, "JPEG")
    assert decode_image(stream.getvalue(), 8).mean() > 220
    (folder / "cat" / "print.jpg").write_bytes(stream.getvalue())
    assert findings(folder)["cmyk"].severity == "note"


def test_a_file_that_may_not_be_read_is_skipped(folder, monkeypatch):
    path = folder / "cat" / "secret.jpg"
    scene(50).save(path)

    def guarded(file, *args, **options):
        if str(file).endswith("secret.jpg"):
            raise PermissionError(13, "Permission denied", str(file))
        return open(file, *args, **options)  # noqa: PTH123

    # The tests may run as root, whom nothing is forbidden.
    monkeypatch.setattr(image_files, "open", guarded, raising=False)
    with pytest.raises(ValueError, match="no permission to read it"):
        read_image_file(path)
    (skipped,) = load_images(folder).skipped
    assert skipped.where.endswith("secret.jpg") and skipped.reason == "no permission to read it"


def test_pixels_are_the_same_whatever_a_file_is_called(folder):
    data = (folder / "cat" / "cat000.jpg").read_bytes()
    (folder / "cat" / "copy.weird").write_bytes(data)
    assert (decode_image(read_image_file(folder / "cat" / "copy.weird"), 16) == decode_image(data, 16)).all()
    assert np.ptp(decode_image(data, 16)) > 0
