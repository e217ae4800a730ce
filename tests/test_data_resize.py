"""Resizing by Pillow and by cykooz-resizer, against a few lines of NumPy."""

import numpy as np
import PIL
import pytest
from PIL import Image

from tlkeras.data import resize

SHAPES = ((90, 67), (67, 90), (40, 120), (61, 33), (24, 24))


@pytest.fixture(params=["pillow", "vectors"])
def way(request, monkeypatch):
    if request.param == "vectors":
        pytest.importorskip("cykooz_resizer")
    monkeypatch.setattr(resize, "vectorised", lambda: request.param == "vectors")
    return request.param


def picture(width, height):
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def triangle(length, start, stop, size):
    """Return the weights of each old pixel (columns) in each new one (rows)."""
    scale = (stop - start) / size
    centres = start + (np.arange(size) + 0.5) * scale
    far = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1)
    weights = np.maximum(0, 1 - far)
    return weights / weights.sum(axis=1, keepdims=True)


def by_numpy(image, size, box, *, down_first=False):
    """Apply the weights to the columns and to the rows of a picture, rounding after each."""
    pixels = np.asarray(image, np.float64)
    across, down = triangle(image.width, box[0], box[2], size), triangle(image.height, box[1], box[3], size)
    for rows in (down_first, not down_first):
        equation = "yh,hwc->ywc" if rows else "xw,hwc->hxc"
        pixels = np.floor(np.einsum(equation, down if rows else across, pixels) + 0.5)
    return pixels


def share(one, other):
    """Return the share of values that differ; none may by more than 1."""
    difference = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64))
    assert difference.max() <= 1
    return (difference > 0).mean()


@pytest.mark.parametrize("size", [24, 80])
@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_are_resized_across_and_then_down_whatever_their_shape(way, shape, size):
    image, side = picture(*shape), min(shape)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    found = resize.to_square(image, size, "crop")
    assert found.size == (size, size) and share(found, by_numpy(image, size, box)) < 0.1
    if size != side:
        assert share(found, by_numpy(image, size, box, down_first=True)) > 0.15


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("fit", resize.RESIZE_MODES)
def test_vectors_give_what_pillow_gives(monkeypatch, fit, mode):
    pytest.importorskip("cykooz_resizer")
    shares = []
    for shape in SHAPES:
        monkeypatch.setattr(resize, "vectorised", lambda: True)
        quick = resize.to_square(picture(*shape).convert(mode), 50, fit)
        monkeypatch.setattr(resize, "vectorised", lambda: False)
        plain = resize.to_square(picture(*shape).convert(mode), 50, fit)
        assert quick.mode == plain.mode == mode
        shares.append(share(quick, plain))
    assert np.mean(shares) < 0.03  # another order of the passes would give 0.2


def test_memory_that_is_laid_out_as_in_no_known_pillow_is_not_touched(monkeypatch):
    pytest.importorskip("cykooz_resizer")
    assert resize.vectorised()
    resize.vectorised.cache_clear()
    monkeypatch.setattr(PIL, "__version__", "14.0.0")
    try:
        assert not resize.vectorised()
    finally:
        resize.vectorised.cache_clear()
