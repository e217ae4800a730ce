"""Adapters: nothing changes at first, the merged kernels give the same, and the model stays plain."""

import json
import zipfile

import keras
import numpy as np
import pytest

from tests.networks import square_splits, tiny_source
from tlkeras.features.inputs import read_inputs
from tlkeras.runs import Run
from tlkeras.sources.text import load_text_source
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.adapters import merge_adapters, with_adapters
from tlkeras.training.fit import fit
from tlkeras.training.freezing import count_trainable, set_trainable

SPLITS = square_splits()
RANK = 2
PHASE = Phase(name="adapters", trainable="all", adapters=RANK, epochs=2, learning_rate=1e-2)
HEAD_PARAMETERS = 10 * 3 + 3


def _model():
    return build_classifier(tiny_source(), SPLITS.classes, seed=1)


def _adapted(model, phase=PHASE):
    set_trainable(model, phase)
    return with_adapters(model, phase, seed=3)


def _logits(model, pixels):
    return keras.ops.convert_to_numpy(model.network(pixels, training=False))


def _pixels(model):
    return read_inputs(SPLITS.val, model.source).values.astype("float32")


def test_fresh_adapters_change_nothing():
    model = _model()
    pixels, adapted = _pixels(model), _adapted(model)
    logits = keras.ops.softmax(_logits(adapted, pixels))
    np.testing.assert_array_equal(logits, _logits(model, pixels))


def test_as_many_parameters_train_as_the_ranks_of_the_kernels_say():
    # Kernels of 3 by 3 from 3 to 6, 6 to 8 and 8 to 10 channels, and the head; biases and normalizations stay.
    expected = sum(RANK * (9 * inputs + outputs) for inputs, outputs in ((3, 6), (6, 8), (8, 10)))
    assert count_trainable(_adapted(_model())) == expected + HEAD_PARAMETERS


def test_merged_kernels_give_what_the_adapters_gave():
    model = _model()
    pixels, adapted = _pixels(model), _adapted(model)
    generator = np.random.default_rng(0)
    before = _logits(model, pixels)
    for weight in adapted.network.trainable_weights:
        weight.assign(generator.normal(0, 0.3, weight.shape))
    expected = keras.ops.softmax(_logits(adapted, pixels))
    merge_adapters(adapted, model)
    np.testing.assert_allclose(_logits(model, pixels), expected, atol=1e-5)
    assert np.abs(before - expected).max() > 0.01


def test_training_adapters_changes_the_kernels_by_the_rank_and_nothing_else():
    model = _model()
    before = {weight.path: weight.numpy() for weight in model.network.weights}
    fit(model, SPLITS, [PHASE])
    for block in model.source.blocks:
        for weight in block.network.weights:
            change = weight.numpy() - before[weight.path] if weight.name != "seed_generator_state" else np.zeros(1)
            if weight.name == "kernel":
                rank = np.linalg.matrix_rank(change.reshape(-1, change.shape[-1]), tol=1e-5)
                assert 1 <= rank <= RANK, weight.path
            else:
                assert not change.any(), weight.path


def test_the_saved_model_of_adapters_is_plain_and_says_the_same(tmp_path):
    model = _model()
    names = [weight.path for weight in model.network.weights]
    fit(model, SPLITS, [PHASE], run=Run(path=tmp_path, recipe="test", config={}))
    assert [weight.path for weight in model.network.weights] == names
    config = zipfile.ZipFile(tmp_path / "model.keras").read("config.json").decode()
    assert "lora" not in config
    assert json.loads(config)
    again = keras.saving.load_model(tmp_path / "model.keras")
    pixels = _pixels(model)
    np.testing.assert_allclose(again.predict(pixels, verbose=0), _logits(model, pixels), atol=1e-6)


def test_attention_gets_adapters_and_token_embeddings_do_not():
    model = build_classifier(load_text_source("tiny_bert", sequence_length=16), ("a", "b"))
    adapted = _adapted(model, Phase(name="x", trainable="all", adapters=1))
    paths = [weight.path for weight in adapted.network.trainable_weights if "lora" in weight.name]
    assert any("query" in path for path in paths)
    assert not any("embedding" in path for path in paths)


def test_the_adapters_follow_from_the_seed():
    def drawn(seed):
        model = _model()
        set_trainable(model, PHASE)
        return next(w for w in with_adapters(model, PHASE, seed=seed).network.trainable_weights if "lora" in w.name).numpy()

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert np.abs(drawn(1) - drawn(2)).max() > 0.01


def test_blocks_without_a_kernel_for_the_rank_are_refused():
    with pytest.raises(ValueError, match=r"No layer of block_0, head takes adapters of rank 500"):
        _adapted(_model(), Phase(name="x", trainable="block_0,head", adapters=500))


def test_adapters_beside_biases_are_refused():
    with pytest.raises(ValueError, match=r"all that a phase trains below the head.*weights='bias'"):
        Phase(name="x", adapters=4, weights="bias")
