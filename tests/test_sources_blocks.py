import random

import keras
import numpy as np
import pytest

from tlkeras.sources.blocks import chain, select_blocks, with_random_weights
from tlkeras.sources.image import load_image_source
from tlkeras.sources.model import Block
from tlkeras.sources.own import source_from_keras
from tlkeras.sources.text import load_text_source

rng = np.random.default_rng(0)
PIXELS = rng.uniform(0, 255, (4, 33, 33, 3)).astype("float32")


@pytest.fixture(scope="module")
def tiny_cnn():
    return load_image_source("tiny_cnn")


@pytest.fixture(scope="module")
def tiny_bert():
    return load_text_source("tiny_bert", sequence_length=16)


def named(*names):
    return tuple(Block(name, None) for name in names)


BLOCKS = named("stem", "block_1", "block_2", "block_3", "head")


@pytest.mark.parametrize(
    ("trainable", "chosen"),
    [
        ("head", ("head",)),
        ("top:1", ("block_3", "head")),
        ("top:2", ("block_2", "block_3", "head")),
        ("top:50%", ("block_2", "block_3", "head")),
        ("top:51%", ("block_1", "block_2", "block_3", "head")),
        ("all", ("stem", "block_1", "block_2", "block_3", "head")),
        ("block_3, stem", ("stem", "block_3")),
        ("block_*,head", ("block_1", "block_2", "block_3", "head")),
        ("block_[12]", ("block_1", "block_2")),
    ],
)
def test_select_blocks_understands(trainable, chosen):
    assert select_blocks(BLOCKS, trainable) == chosen


def test_top_without_a_head_counts_the_blocks_alone():
    assert select_blocks(BLOCKS[:-1], "top:2") == ("block_2", "block_3")


def test_an_unknown_block_names_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"Unknown block. Received: 'blok_2'. Did you mean 'block_2'.*stem, block_1, block_2"):
        select_blocks(BLOCKS, "head,blok_2")


@pytest.mark.parametrize("trainable", ["top:0", "top:5", "top:x", "top:", "top:0%", "top:101%"])
def test_top_must_ask_for_blocks_that_exist(trainable):
    with pytest.raises(ValueError, match="must be between 1 and 4"):
        select_blocks(BLOCKS, trainable)


@pytest.mark.parametrize("trainable", ["", "head,", "layer_*"])
def test_an_item_that_chooses_nothing_is_refused(trainable):
    with pytest.raises(ValueError, match="Unknown block"):
        select_blocks(BLOCKS, trainable)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_cut_at_any_block_of_an_image_network_computes_exactly_the_whole(tiny_cnn, cut):
    lower, upper = chain(tiny_cnn.blocks[:cut], name="lower"), chain(tiny_cnn.blocks[cut:], name="upper")
    np.testing.assert_array_equal(upper(lower(PIXELS)), tiny_cnn.network(PIXELS))
    assert {id(w) for w in lower.weights}.isdisjoint(id(w) for w in upper.weights)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_cut_at_any_block_of_a_text_network_hands_hidden_states_and_mask_on(tiny_bert, cut):
    ids = np.array([[2, 9, 8, 7, 3, 0, 0], [2, 5, 6, 9, 30, 31, 3]], "int32")
    lower, upper = chain(tiny_bert.blocks[:cut], name="lower"), chain(tiny_bert.blocks[cut:], name="upper")
    hidden, mask = tiny_bert.network(ids)
    hidden_again, mask_again = upper(lower(ids))
    np.testing.assert_array_equal(hidden_again, hidden)
    np.testing.assert_array_equal(mask_again, mask)
    np.testing.assert_array_equal(mask, ids != 0)


def test_padding_does_not_change_the_hidden_states_of_the_tokens_before_it(tiny_bert):
    ids = np.array([[2, 9, 8, 7, 3]], "int32")
    padded = np.array([[2, 9, 8, 7, 3, 0, 0, 0]], "int32")
    np.testing.assert_allclose(tiny_bert.network(padded)[0][:, :5], tiny_bert.network(ids)[0], atol=1e-6)


def test_no_blocks_cannot_be_joined():
    with pytest.raises(ValueError, match="no blocks"):
        chain((), name="nothing")


def changed_blocks(blocks, network, inputs, targets, train):
    """Train with only `train` trainable and return the names of the blocks with any changed weight."""
    for block in blocks:
        block.network.trainable = block.name == train
    before = {block.name: [w.numpy() for w in block.network.weights] for block in blocks}
    network.compile(keras.optimizers.SGD(1.0), "mse")
    network.fit(inputs, targets, epochs=2, batch_size=2, verbose=0)
    for block in blocks:
        block.network.trainable = True
    return [
        block.name
        for block in blocks
        if any(not np.array_equal(w, old) for w, old in zip(block.network.weights, before[block.name], strict=True))
    ]


@pytest.mark.parametrize("name", ["stem", "block_2"])
def test_exactly_the_chosen_block_of_an_image_network_learns_and_no_other_statistic_moves(name):
    source = load_image_source("tiny_cnn")
    output = keras.layers.Dense(2, trainable=False)(keras.layers.GlobalAveragePooling2D()(source.network.output))
    network = keras.Model(source.network.input, output)
    assert changed_blocks(source.blocks, network, PIXELS, np.ones((4, 2)), name) == [name]


def test_exactly_the_chosen_block_of_a_text_network_learns():
    source = load_text_source("tiny_bert")
    output = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(source.network.output[0]))
    network = keras.Model(source.network.input, output)
    ids = rng.integers(5, 50, (4, 6)).astype("int32")
    assert changed_blocks(source.blocks, network, ids, np.ones((4, 2)), "layer_2") == ["layer_2"]


def weights(source):
    return [w.numpy() for w in source.network.weights]


@pytest.mark.parametrize("kind", ["tiny_cnn", "tiny_bert"])
def test_random_weights_are_a_function_of_the_seed_alone(kind, request):
    source = request.getfixturevalue(kind)
    random.seed(123)
    first = weights(with_random_weights(source, seed=1))
    after = random.random()
    random.seed(99)
    second = weights(with_random_weights(source, seed=1))
    other = weights(with_random_weights(source, seed=2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    kernels = [(a, b) for a, b in zip(first, other, strict=True) if a.std() > 0]
    assert kernels
    assert all(not np.array_equal(a, b) for a, b in kernels)
    # The generator of the caller goes on as if nothing had happened.
    random.seed(123)
    assert after == random.random()


@pytest.mark.parametrize("kind", ["tiny_cnn", "tiny_bert"])
def test_random_weights_leave_the_original_alone_and_share_nothing(kind, request):
    source = request.getfixturevalue(kind)
    before = weights(source)
    copy = with_random_weights(source, seed=3)
    for variable in copy.network.weights:
        variable.assign(variable * 0 + 7)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(source), strict=True))
    assert [b.name for b in copy.blocks] == [b.name for b in source.blocks]
    assert {id(w) for b in copy.blocks for w in b.network.weights} == {id(w) for w in copy.network.weights}
    assert (copy.pretrained, copy.head, copy.tokenizer) == (False, None, source.tokenizer)


def test_layers_of_equal_shape_get_different_random_weights(tiny_bert):
    kernels = [w.numpy().ravel() for w in with_random_weights(tiny_bert, seed=0).network.weights if w.path.endswith("kernel")]
    assert len(kernels) == 12
    assert len({kernel.tobytes() for kernel in kernels}) == 12


def test_random_weights_reset_statistics_and_let_them_move_fast(tiny_cnn):
    for layer in tiny_cnn.blocks[1].network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(layer.moving_mean + 5)
    norms = [
        layer
        for block in with_random_weights(tiny_cnn, seed=0).blocks
        for layer in block.network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 4
    for layer in norms:
        np.testing.assert_array_equal(layer.moving_mean, 0)
        np.testing.assert_array_equal(layer.moving_variance, 1)
        assert layer.momentum == 0.9


def test_random_weights_keep_the_statistics_of_an_adapted_normalisation_and_unfreeze():
    pixels = keras.Input((8, 8, 3))
    normalise = keras.layers.Normalization(name="normalise")
    normalise.adapt(PIXELS)
    dense = keras.layers.Conv2D(2, 3, trainable=False, name="conv")
    source = source_from_keras(keras.Model(pixels, dense(normalise(pixels))))
    copy = with_random_weights(source, seed=0)
    copied = copy.blocks[0].network.get_layer("normalise")
    np.testing.assert_allclose(copied(PIXELS), normalise(PIXELS), rtol=1e-6)
    assert len(copy.network.trainable_weights) == 2
