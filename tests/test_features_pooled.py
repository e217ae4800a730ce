"""Pooled features: what they equal, when they are computed, and what tells two networks apart."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from tests.networks import SIZE, squares, tiny_source
from tlkeras.data.decode import read_sizes
from tlkeras.data.examples import Examples, ImageFiles, Texts
from tlkeras.data.targets import NoTargets
from tlkeras.errors import TlkerasError
from tlkeras.features import inputs, passes, pooled, workers
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import SharedPixels, example_digests, read_inputs
from tlkeras.features.passes import why_tensorflow
from tlkeras.features.pool import pool_block
from tlkeras.features.pooled import noise, pooled_features, prepare
from tlkeras.features.rows import ragged
from tlkeras.features.workers import latency_ms, run_litert
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block, SourceModel
from tlkeras.tasks.heads import mean_pool


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def source() -> SourceModel:
    return tiny_source()


def _text_source() -> SourceModel:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.ops.not_equal(tokens, 0)
    first = keras.Model(tokens, [keras.layers.Embedding(50, 4)(tokens), mask])
    hidden, mask_in = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    second = keras.Model([hidden, mask_in], [keras.layers.Dense(6, activation="tanh")(hidden), mask_in])
    blocks = (Block("embeddings", first), Block("layer_1", second))
    return SourceModel("tiny_text", "text", chain(blocks, name="tiny_text"), blocks, 16, pretrained=True)


def test_features_at_every_boundary_equal_the_mean_over_positions_of_the_blocks_below(source):
    examples = squares(9, seed=0)
    features, computed = pooled_features(prepare(source, [1, 3]), examples)
    assert computed == 9
    for cut, values in zip((1, 3), features, strict=True):
        pixels = read_inputs(examples, source).values.astype("float32")
        expected = chain(source.blocks[:cut], name="below").predict(pixels, verbose=0).mean(axis=(1, 2))
        np.testing.assert_allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize("build", [tiny_source, _text_source])
def test_the_top_is_pooled_as_the_head_of_a_model_pools_it(build):
    source = build()
    ready = prepare(source)
    if source.modality == "text":
        inputs = ragged([np.array([5, 6, 7], np.int32), np.array([8], np.int32)], fill=0)
    else:
        inputs = read_inputs(squares(4, seed=0), source)
    expected = run_network(chain((*source.blocks, mean_pool(source)), name="whole"), [inputs])[0].values
    np.testing.assert_allclose(run_network(ready.frozen.network, [inputs])[0].values, expected, atol=1e-6)
    content = ready.frozen.converted()
    assert content is not None
    np.testing.assert_allclose(run_litert(content, inputs)[0], expected, atol=1e-5)


def test_of_a_text_only_the_hidden_states_are_pooled_not_what_layers_share():
    hidden, mask = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    shared = keras.Input((7, 4))  # of another length, as DeBERTa's relative positions are
    pool = pool_block([hidden, mask, shared]).network
    states = np.arange(24, dtype=np.float32).reshape(1, 6, 4)
    kept = np.array([[True, True, False, True, False, False]])
    (found,) = np.asarray(pool([states, kept, np.ones((1, 7, 4), np.float32)]))
    np.testing.assert_allclose(found, states[0, [0, 1, 3]].mean(axis=0), rtol=1e-6)


def test_rows_of_all_lengths_come_back_in_their_order_from_several_interpreters():
    ready = prepare(_text_source(), [1, 2])
    generator = np.random.default_rng(0)
    rows = ragged([generator.integers(1, 50, length).astype(np.int32) for length in generator.integers(1, 9, 40)], fill=0)
    content = ready.frozen.converted()
    assert content is not None
    found = run_litert(content, rows, workers=3)
    for values, expected in zip(found, run_network(ready.frozen.network, [rows]), strict=True):
        np.testing.assert_allclose(values, expected.values, atol=1e-5)


def test_what_was_computed_is_kept_and_only_new_examples_are_added(source, monkeypatch):
    examples = squares(12, seed=0)
    first, _ = pooled_features(prepare(source), examples.take(range(8)))
    asked: list[list[str]] = []

    def read(part, of):
        asked.append(part.ids.tolist())
        return read_inputs(part, of)

    monkeypatch.setattr(pooled, "read_inputs", read)
    again, computed = pooled_features(prepare(tiny_source()), examples)
    assert computed == 4
    assert asked == [["0/8", "0/9", "0/10", "0/11"]]
    np.testing.assert_array_equal(again[0][:8], first[0])


def test_another_scaling_and_another_weight_are_another_network(source):
    (same,) = prepare(source).frozen.identities
    assert prepare(tiny_source()).frozen.identities == (same,)
    image = keras.Input((SIZE, SIZE, 3))
    darker = Block("block_0", keras.Model(image, source.blocks[0].network(keras.layers.Rescaling(0.5)(image))))
    scaled = replace(source, blocks=(darker, *source.blocks[1:]))
    other = tiny_source()
    kernel = other.network.weights[0]
    kernel.assign(kernel.numpy() + 1e-6)  # too little to show in the rounded answers
    for changed in (scaled, other):
        assert prepare(changed).frozen.identities != (same,)


def test_without_litert_the_features_come_from_tensorflow_and_there_is_no_latency(source, monkeypatch):
    expected, _ = pooled_features(prepare(source), squares(5, seed=1))

    def refuse(*_, **__):
        raise TlkerasError("LiteRT has no operation for X")

    monkeypatch.setattr(passes, "convert_quickly", refuse)
    monkeypatch.setenv("TLKERAS_CACHE", "off")
    ready = prepare(source)
    found, _ = pooled_features(ready, squares(5, seed=1))
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    assert latency_ms(ready.frozen, noise(ready.source)) is None


def test_latency_is_measured_once_for_a_network(source, monkeypatch):
    first = latency_ms(prepare(source).frozen, noise(source))
    assert first is not None
    assert first > 0
    monkeypatch.setattr(workers, "open_runner", lambda *_, **__: pytest.fail("measured again"))
    assert latency_ms(prepare(source).frozen, noise(source)) == first


def test_a_file_that_was_converted_or_refused_is_kept_for_later(source, monkeypatch):
    content = prepare(source).frozen.converted()
    assert content is not None

    def refuse(*_, **__):
        raise TlkerasError("LiteRT has no operation for X")

    monkeypatch.setattr(passes, "convert_quickly", refuse)
    assert prepare(source).frozen.converted() == content
    assert prepare(source, [1]).frozen.converted() is None  # another network
    monkeypatch.setattr(passes, "convert_quickly", lambda *_, **__: pytest.fail("tried again"))
    assert prepare(source, [1]).frozen.converted() is None


def test_texts_are_read_in_tensorflow_and_have_a_latency_in_litert(monkeypatch):
    source = _text_source()
    ready = prepare(source)
    assert why_tensorflow(ready.frozen.network) is not None
    assert latency_ms(ready.frozen, noise(source)) is not None
    monkeypatch.setattr(passes, "run_litert", lambda *_, **__: pytest.fail("texts went through LiteRT"))
    texts = ("a", "word", "more", "of", "each")
    tokens = ragged([np.array([place + 1, 2], np.int32) for place in range(len(texts))], fill=0)
    monkeypatch.setattr(pooled, "read_inputs", lambda *_: tokens)
    examples = Examples(np.array(texts), Texts(texts, np.arange(len(texts))), NoTargets(len(texts)))
    (found,), computed = pooled_features(ready, examples)
    assert (found.shape, computed) == ((5, 6), 5)


def test_pictures_for_several_sizes_are_decoded_once_and_are_what_each_source_reads(source, monkeypatch):
    examples = squares(10, seed=0)
    larger = replace(source, input_size=17)
    calls: list[tuple[int, ...]] = []

    def read(store, sizes, **options):
        calls.append(tuple(sizes))
        return read_sizes(store, sizes, **options)

    monkeypatch.setattr(inputs, "read_sizes", read)
    shared = SharedPixels(examples, [17, SIZE, 17], resize="crop")
    for one in (source, larger, source):
        np.testing.assert_array_equal(shared(examples, one).values, read_inputs(examples, one).values)
    part = examples.take([7, 2])
    np.testing.assert_array_equal(shared(part, larger).values, read_inputs(part, larger).values)
    assert calls == [(SIZE, 17)]
    others = squares(3, seed=5)
    np.testing.assert_array_equal(shared(others, source).values, read_inputs(others, source).values)
    squashed = replace(source, resize="squash")
    np.testing.assert_array_equal(shared(examples, squashed).values, read_inputs(examples, squashed).values)


@pytest.mark.parametrize("spared", ["one source", "a few", "no memory"])
def test_pictures_are_not_decoded_for_all_sizes_where_that_would_not_pay(source, monkeypatch, spared):
    monkeypatch.setattr(inputs, "read_sizes", lambda *_, **__: pytest.fail("read at all sizes"))
    examples = squares(10, seed=0)
    if spared == "no memory":
        monkeypatch.setattr(inputs, "available_bytes", lambda: 4 * 10 * 3 * (SIZE**2 + 17**2))
    shared = SharedPixels(examples, [SIZE] if spared == "one source" else [SIZE, 17], resize="crop")
    asked = examples.take(range(2)) if spared == "a few" else examples
    assert len(shared(asked, source)) == len(asked)


def test_contents_are_told_apart_where_files_have_no_digest(tmp_path):
    for name, shade in (("a", 1), ("b", 1), ("c", 2)):
        Image.fromarray(np.full((4, 4), shade, np.uint8)).save(tmp_path / f"{name}.png")
    paths = tuple(str(tmp_path / f"{name}.png") for name in "abc")
    a, b, c = example_digests(Examples(np.array(paths), ImageFiles(paths), NoTargets(3)))
    assert a == b != c
    texts = Examples(np.array(["0", "1"]), Texts(("x", "y"), np.arange(2)), NoTargets(2))
    assert len(set(example_digests(texts))) == 2
