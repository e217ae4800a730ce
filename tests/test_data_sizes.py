"""The size of pictures decides how large the network's input need be."""

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, ImageFiles, Texts
from tlkeras.data.sizes import typical_side
from tlkeras.sources.image import load_image_source


def _examples(store):
    return Examples(np.array([str(i) for i in range(len(store))]), store, ClassTargets(np.zeros(len(store), np.int32)))


def test_the_typical_side_is_the_median_of_the_shorter_ones(tmp_path):
    for index, size in enumerate([(300, 40), (50, 60), (70, 700)]):
        Image.new("RGB", size).save(tmp_path / f"{index}.png")
    assert typical_side(ImageFiles(tuple(str(tmp_path / f"{index}.png") for index in range(3)))) == 50
    assert typical_side(ImageArrays(np.zeros((2, 28, 30, 3), np.uint8))) == 28


def test_texts_have_no_size():
    with pytest.raises(TypeError, match="Received: Texts"):
        typical_side(Texts(("a",), np.zeros(1)))


@pytest.mark.parametrize(("side", "size"), [(28, 97), (97, 97), (98, 129), (180, 193), (210, 224), (900, 224)])
def test_small_pictures_get_a_smaller_input_and_large_ones_the_own_size(side, size):
    pictures = _examples(ImageArrays(np.zeros((2, side, side + 5, 3), np.uint8)))
    assert load_image_source("mobilenet_v3_small", pictures=pictures, pretrained=False).input_size == size


def test_a_given_size_is_kept():
    pictures = _examples(ImageArrays(np.zeros((2, 28, 28, 3), np.uint8)))
    assert load_image_source("tiny_cnn", image_size=65, pictures=pictures).input_size == 65
    assert load_image_source("tiny_cnn", pictures=pictures).input_size == 33
