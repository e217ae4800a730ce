import keras
import keras_hub
import numpy as np
import pytest

from tlkeras.sources.blocks import chain
from tlkeras.sources.own import source_from_keras
from tlkeras.sources.tiny import tiny_vocabulary
from tlkeras.sources.tokenizer import word_piece_tokenizer

layers = keras.layers
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")


def conv(x, channels, *, name, **options):
    return layers.Conv2D(channels, 3, padding="same", name=name, **options)(x)


def check(network, values=PIXELS):
    """The source computes what the network does, and its blocks own each weight once."""
    source = source_from_keras(network)
    np.testing.assert_array_equal(source.network(values), network(values))
    for cut in range(1, len(source.blocks)):
        lower, upper = chain(source.blocks[:cut], name="lower"), chain(source.blocks[cut:], name="upper")
        np.testing.assert_array_equal(upper(lower(values)), network(values))
    owned = [id(weight) for block in source.blocks for weight in block.network.weights]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(weight) for weight in network.weights}
    return {block.name: [layer.name for layer in block.network.layers[1:]] for block in source.blocks}


def test_a_plain_network_is_cut_after_each_pooling():
    x = image = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255, name="scale")(x)
    x = layers.MaxPooling2D(name="pool_1")(conv(conv(x, 4, name="a", activation="relu"), 4, name="b", activation="relu"))
    x = layers.MaxPooling2D(name="pool_2")(conv(x, 8, name="c", activation="relu"))
    x = conv(x, 8, name="d", activation="relu")
    assert check(keras.Model(image, x)) == {
        "stem": ["scale", "a", "b", "pool_1"],
        "block_1": ["c", "pool_2"],
        "block_2": ["d"],
    }


def test_a_plain_network_without_pooling_is_cut_after_each_activation():
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, strides=2, name="a"),
            layers.BatchNormalization(name="a_norm"),
            layers.ReLU(name="a_relu"),
            layers.Conv2D(4, 3, activation="gelu", name="b"),
            layers.Conv2D(4, 1, name="c"),
        ]
    )
    assert check(network) == {"stem": ["a", "a_norm", "a_relu"], "block_1": ["b"], "block_2": ["c"]}


def test_a_residual_network_with_activation_after_the_sum_is_cut_after_it():
    image = keras.Input((16, 16, 3))
    x = layers.ReLU(name="stem_relu")(conv(image, 4, name="stem_conv"))
    for unit in ("one", "two"):
        y = layers.BatchNormalization(name=f"{unit}_norm")(conv(x, 4, name=f"{unit}_conv"))
        x = layers.ReLU(name=f"{unit}_relu")(layers.Add(name=f"{unit}_add")([x, y]))
    assert check(keras.Model(image, x)) == {
        "stem": ["stem_conv", "stem_relu"],
        "block_1": ["one_conv", "one_norm", "one_add", "one_relu"],
        "block_2": ["two_conv", "two_norm", "two_add", "two_relu"],
    }


def test_normalisation_between_units_belongs_to_the_next_and_at_the_end_to_the_last():
    image = keras.Input((16, 16, 3))
    x = conv(image, 4, name="stem")
    for unit in ("one", "two"):
        y = layers.BatchNormalization(name=f"{unit}_norm")(x)
        shortcut = conv(y, 4, name=f"{unit}_shortcut")
        x = layers.Add(name=f"{unit}_add")([shortcut, conv(y, 4, name=f"{unit}_conv")])
    x = layers.ReLU(name="end_relu")(layers.BatchNormalization(name="end_norm")(x))
    blocks = check(keras.Model(image, x))
    assert list(blocks) == ["stem", "block_1", "block_2"]
    assert blocks["block_1"][-1] == "one_add"
    assert blocks["block_2"][0] == "two_norm"
    assert blocks["block_2"][-2:] == ["end_norm", "end_relu"]


def test_a_gate_does_not_cut_a_unit_in_two():
    image = keras.Input((16, 16, 3))
    x = y = conv(image, 4, name="stem")
    for unit in ("one", "two"):
        y = conv(y, 4, name=f"{unit}_first")
        squeezed = layers.GlobalAveragePooling2D(keepdims=True, name=f"{unit}_squeeze")(y)
        gate = layers.Conv2D(4, 1, activation="sigmoid", name=f"{unit}_gate")(squeezed)
        y = conv(layers.Multiply(name=f"{unit}_product")([y, gate]), 4, name=f"{unit}_second")
        # The first unit has no residual connection, so that its gate begins and ends at boundaries.
        y = layers.Add(name="two_sum")([x, y]) if unit == "two" else y
        x = y
    network = keras.Model(image, conv(y, 4, name="last"))
    names = ["first", "squeeze", "gate", "product", "second"]
    assert check(network) == {
        "stem": ["stem", *(f"one_{name}" for name in names)],
        "block_1": [*(f"two_{name}" for name in names), "two_sum"],
        "block_2": ["last"],
    }


def test_a_part_of_a_larger_network_is_a_network_too():
    image = keras.Input((16, 16, 3))
    middle = conv(image, 4, name="a", activation="relu")
    whole = keras.Model(image, conv(middle, 4, name="b", activation="relu"))
    check(keras.Model(whole.input, whole.get_layer("a").output))
    # A second cut of the same layers, which by now have been called several times.
    assert check(whole) == check(whole) == {"stem": ["a"], "block_1": ["b"]}


def test_a_family_with_names_that_change_on_every_build_is_cut_by_its_graph():
    network = keras.applications.VGG16(input_shape=(32, 32, 3), include_top=False, weights=None)
    source = source_from_keras(network, name="vgg")
    assert [block.name for block in source.blocks] == ["stem", "block_1", "block_2", "block_3", "block_4"]
    assert (source.name, source.modality, source.input_size, source.pretrained) == ("vgg", "image", 32, True)


def test_features_instead_of_a_feature_map_are_taken():
    image = keras.Input((16, 16, 3))
    check(keras.Model(image, layers.GlobalAveragePooling2D()(conv(image, 4, name="a"))))


@pytest.fixture(scope="module")
def tokenizer():
    return word_piece_tokenizer(tiny_vocabulary(), lowercase=True)


def test_a_keras_hub_backbone_is_a_text_source(tokenizer):
    options = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 20}
    backbone = keras_hub.models.BertBackbone(vocabulary_size=len(tiny_vocabulary()), **options)
    source = source_from_keras(backbone, modality="text", tokenizer=tokenizer)
    ids = np.array([[2, 7, 8, 3, 0]], "int32")
    values = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": np.sign(ids)}
    hidden, mask = source.network(ids)
    np.testing.assert_array_equal(hidden, backbone(values)["sequence_output"])
    np.testing.assert_array_equal(mask, ids > 0)
    assert (source.input_size, [b.name for b in source.blocks]) == (20, ["embeddings", "layer_1"])


def test_an_encoder_of_ones_own_hands_the_mask_on(tokenizer):
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    x = layers.Embedding(300, 4, name="embedding")(ids)
    for number in (1, 2):
        x = layers.Conv1D(4, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
    network = keras.Model(ids, x)
    source = source_from_keras(network, modality="text", tokenizer=tokenizer, pad_id=3)
    values = np.array([[5, 6, 3, 3]], "int32")
    hidden, mask = source.network(values)
    np.testing.assert_array_equal(hidden, network(values))
    np.testing.assert_array_equal(mask, [[True, True, False, False]])
    assert [block.name for block in source.blocks] == ["stem", "block_1"]


def image_network(shape, outputs=lambda x: x):
    x = keras.Input(shape)
    return keras.Model(x, outputs(x))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: image_network((16, 12, 3)), r"fixed size: raw pixels. Received: inputs of shape \[\(None, 16, 12, 3\)\]"),
        (lambda: image_network((None, None, 3)), "fixed size"),
        (lambda: image_network((16, 16, 1)), "fixed size"),
        (lambda: image_network((16, 16, 3), lambda x: [layers.Flatten()(x), layers.ReLU()(x)]), "one output"),
        (lambda: image_network((16, 16, 3), layers.Reshape((4, 192))), r"Received: outputs of shape \[\(None, 4, 192\)\]"),
        (lambda: keras.Sequential([layers.Dense(1)]), "functional keras.Model .* Received: Sequential"),
    ],
)
def test_an_image_network_of_another_form_is_refused(network, message):
    with pytest.raises(ValueError, match=message):
        source_from_keras(network())


def test_two_inputs_are_refused():
    one, two = keras.Input((16, 16, 3), name="one"), keras.Input((16, 16, 3), name="two")
    with pytest.raises(ValueError, match="must have one input"):
        source_from_keras(keras.Model([one, two], layers.Add()([one, two])))


def test_text_networks_of_another_form_are_refused(tokenizer):
    words = keras.Input((None,), dtype="int32", name="words")
    with pytest.raises(ValueError, match=r"named token_ids .* Received: inputs named words"):
        source_from_keras(keras.Model(words, layers.Embedding(9, 4)(words)), modality="text", tokenizer=tokenizer)
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    network = keras.Model(ids, layers.Embedding(9, 4)(ids))
    with pytest.raises(ValueError, match="needs its tokenizer"):
        source_from_keras(network, modality="text")
    with pytest.raises(ValueError, match=r"one output of shape \(batch, length, channels\)"):
        pooled = keras.Model(ids, layers.GlobalAveragePooling1D()(network.output))
        source_from_keras(pooled, modality="text", tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r"'image' or 'text'\. Received: 'sound'"):
        source_from_keras(network, modality="sound")
