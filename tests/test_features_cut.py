"""The frozen part: what reaches a cut equals what the whole network computes there."""

import keras
import numpy as np
import pytest

from tests.networks import squares, tiny_source
from tlkeras.errors import TlkerasError
from tlkeras.features import passes
from tlkeras.features.cut import activations, may_keep
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.features.rows import ragged
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block


def test_all_cuts_come_from_one_pass_and_equal_the_chained_blocks():
    source = tiny_source()
    inputs = read_inputs(squares(20, seed=0), source)
    (found,) = activations(source.blocks, [0, 1, 3], inputs)
    assert found[0] == (inputs,)
    for index in (1, 3):
        expected = chain(source.blocks[:index], name="x").predict(inputs.values.astype("float32"), verbose=0)
        np.testing.assert_allclose(found[index][0].values, expected, atol=1e-5)


def test_dropout_and_statistics_of_the_frozen_part_stay_in_inference_mode():
    source = tiny_source()
    inputs = read_inputs(squares(8, seed=0), source)
    before = source.network.get_weights()
    first, second = (activations(source.blocks, [2], inputs)[0][2][0].values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for a, b in zip(before, source.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_litert_gives_what_tensorflow_gives_at_every_cut(monkeypatch):
    source = tiny_source()
    train, val = read_inputs(squares(20, seed=0), source), read_inputs(squares(7, seed=1), source)
    expected = activations(source.blocks, [1, 3], train, val)
    monkeypatch.setattr(passes, "LEAST_BYTES", 0)
    monkeypatch.setattr(passes, "compiled", None)  # TensorFlow's engine would fail
    found = activations(source.blocks, [1, 3], train, val)
    for got, wanted in zip(found, expected, strict=True):
        for index in (1, 3):
            np.testing.assert_allclose(got[index][0].values, wanted[index][0].values, atol=1e-5)


def test_litert_computes_pictures_of_a_fixed_size_by_networks_that_are_neither_tiny_nor_huge(monkeypatch):
    network = tiny_source().network
    size = sum(4 * int(np.prod(weight.shape)) for weight in network.weights)
    for least, most, expected in ((size, size, True), (size + 1, 10 * size, False), (0, size - 1, False)):
        monkeypatch.setattr(passes, "LEAST_BYTES", least)
        monkeypatch.setattr(passes, "MOST_BYTES", most)
        assert (passes.why_tensorflow(network) is None) is expected
    monkeypatch.setattr(passes, "LEAST_BYTES", 0)
    monkeypatch.setattr(passes, "MOST_BYTES", 10 * size)
    free = keras.Input((None, None, 3))
    assert "no fixed size" in str(passes.why_tensorflow(keras.Model(free, keras.layers.Conv2D(4, 3)(free))))
    assert "texts" in str(passes.why_tensorflow(chain(_text_blocks(), name="x")))


@pytest.mark.parametrize(
    ("least", "said"), [(0, "in LiteRT: "), (1_000_000, "in TensorFlow (converting pays from 1 to 130 MB")]
)
def test_the_log_says_what_computed_and_why(monkeypatch, caplog, tmp_path, least, said):
    source = tiny_source()
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path))
    monkeypatch.setattr(passes, "LEAST_BYTES", least)
    caplog.set_level("INFO", "tlkeras")
    activations(source.blocks, [3], read_inputs(squares(4, seed=0), source))
    assert f"ran once over 4 examples, {said}" in caplog.text


def test_what_litert_lacks_runs_in_tensorflow_and_it_is_not_tried_again(monkeypatch, tmp_path):
    source = tiny_source()
    rows = read_inputs(squares(4, seed=0), source)
    tried = []

    def refuse(*_):
        tried.append(1)
        raise TlkerasError("no such operation")

    expected = activations(source.blocks, [2], rows)[0][2][0].values
    monkeypatch.setattr(passes, "LEAST_BYTES", 0)
    monkeypatch.setattr(passes, "convert_quickly", refuse)
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path))
    for seed in (0, 1):
        found = activations(source.blocks, [2], read_inputs(squares(4, seed=seed), source))[0][2][0].values
        if seed == 0:
            np.testing.assert_array_equal(found, expected)
    assert len(tried) == 1


def _text_blocks() -> tuple[Block, ...]:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((None,), dtype="int32")
    hidden = keras.layers.Embedding(50, 4)(tokens)
    first = keras.Model(tokens, [hidden, keras.ops.not_equal(tokens, 7)])
    x, mask = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    mixed = keras.layers.MultiHeadAttention(2, 4)(x, x, attention_mask=keras.ops.expand_dims(mask, 1))
    return Block("embeddings", first), Block("layer_1", keras.Model([x, mask], [x + mixed, mask]))


def test_texts_of_any_length_give_the_same_states_batched_or_alone():
    blocks = _text_blocks()
    generator = np.random.default_rng(0)
    rows = ragged([generator.integers(8, 50, length).astype(np.int32) for length in generator.integers(1, 30, 40)], fill=7)
    (found,) = activations(blocks, [1, 2], rows)
    states, masks = found[2]
    np.testing.assert_array_equal(states.offsets, rows.offsets)
    assert masks.values.all() and masks.fill is False
    assert states.offsets is not None
    whole = chain(blocks, name="x")
    for index in (0, 7, 39):
        alone = whole.predict(rows.batch(np.array([index])), verbose=0)[0][0]
        np.testing.assert_allclose(states.values[states.offsets[index] : states.offsets[index + 1]], alone, atol=1e-5)


def test_the_order_of_the_outputs_is_that_of_the_rows():
    x = keras.Input((1,))
    network = keras.Model(x, keras.ops.squeeze(x, -1) * 2)
    from tlkeras.features.rows import Rows

    (doubled,) = run_network(network, [Rows(np.arange(150.0, dtype=np.float32)[:, None])], batch_size=64)
    np.testing.assert_array_equal(doubled.values, np.arange(150) * 2)


def test_activations_that_fit_neither_memory_nor_cache_are_not_kept(monkeypatch):
    source = tiny_source()
    inputs = read_inputs(squares(20, seed=0), source)
    # Block 1 gives 12 x 12 x 6 float32 for each of 20 pictures: 69,120 bytes; a quarter of the free memory must hold them.
    for cache, free, keeps in (
        ("off", 4 * 69_120, True),
        ("off", 4 * 69_120 - 4, False),
        ("0.0001", 0, True),
        ("0.00006", 0, False),
    ):
        monkeypatch.setenv("TLKERAS_CACHE", "off" if cache == "off" else "/tmp")
        monkeypatch.setenv("TLKERAS_CACHE_GB", "1" if cache == "off" else cache)
        monkeypatch.setattr("tlkeras.features.cut.available_bytes", lambda free=free: free)
        assert may_keep(source.blocks, 1, inputs) is keeps


def test_activations_that_are_slower_to_read_than_to_compute_are_not_kept(monkeypatch, caplog):
    source = tiny_source()
    inputs = read_inputs(squares(20, seed=0), source)
    # 12 x 12 x 6 outputs of 27 products each are 23,328; reading their 3,456 bytes takes 3.5 microseconds.
    monkeypatch.setattr("tlkeras.features.cut.LARGE", 3_000)
    monkeypatch.setattr("tlkeras.features.cut.os.cpu_count", lambda: 1)
    for speed, keeps in ((23_328 / 3.4e-6, False), (23_328 / 3.6e-6, True)):
        monkeypatch.setattr("tlkeras.features.cut.MACS_A_SECOND", speed)
        with caplog.at_level("INFO", "tlkeras"):
            assert may_keep(source.blocks, 1, inputs) is keeps
    assert "slower to read than to compute" in caplog.text
