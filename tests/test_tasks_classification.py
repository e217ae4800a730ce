"""The classification head."""

import keras
import numpy as np
import pytest

from tests.networks import tiny_source
from tlkeras.sources.model import Block, SourceModel
from tlkeras.tasks.classification import build_classifier


def test_the_network_gives_the_softmax_of_a_dense_layer_on_mean_pooled_features():
    source = tiny_source()
    model = build_classifier(source, ["a", "b"], seed=3)
    x = np.random.default_rng(0).uniform(0, 255, (5, 12, 12, 3)).astype("float32")
    features = source.network.predict(x, verbose=0).mean(axis=(1, 2))
    kernel, bias = model.head.network.get_layer("logits").get_weights()
    logits = features @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.network.predict(x, verbose=0), expected, atol=1e-5)


def test_texts_are_pooled_over_the_tokens_that_are_not_padding():
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = keras.layers.Embedding(20, 4)(tokens)
    network = keras.Model(tokens, [hidden, keras.ops.not_equal(tokens, 0)])
    source = SourceModel("words", "text", network, (Block("embeddings", network),), 16, pretrained=False)
    model = build_classifier(source, ["a", "b"])
    short, padded = np.array([[3, 5]], "int32"), np.array([[3, 5, 0, 0, 0]], "int32")
    np.testing.assert_allclose(model.network.predict(short, verbose=0), model.network.predict(padded, verbose=0), atol=1e-6)


def test_the_segments_hold_every_weight_once_and_share_the_layers_of_the_source():
    source = tiny_source()
    model = build_classifier(source, ["a", "b", "c"])
    held = [id(weight) for block in model.segments for weight in block.network.weights]
    assert sorted(held) == sorted(id(weight) for weight in model.network.weights)
    assert [block.name for block in model.blocks] == ["block_0", "block_1", "block_2", "head"]


def test_a_plain_keras_model_serves_as_source():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, activation="relu")(x))
    model = build_classifier(keras.Model(x, y), ["a", "b"])
    assert model.network.output.shape == (None, 2)


@pytest.mark.parametrize("classes", [["a"], ["a", "a"], []])
def test_fewer_than_two_different_classes_are_refused(classes):
    with pytest.raises(ValueError, match="two or more classes"):
        build_classifier(tiny_source(), classes)


def test_the_head_follows_from_its_seed():
    kernels = [build_classifier(tiny_source(), ["a", "b"], seed=seed).head.network.get_weights()[0] for seed in (1, 1, 2)]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
