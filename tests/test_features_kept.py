"""Rows on disk: read again without computing, example by example, for the same content only, from files that are mapped."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.networks import squares, tiny_source
from tlkeras.data.augment import augment_pixels
from tlkeras.data.examples import ImageArrays
from tlkeras.data.joined import join_examples
from tlkeras.features import passes
from tlkeras.features.cut import activations
from tlkeras.features.inputs import read_inputs
from tlkeras.features.pooled import pooled_features, prepare
from tlkeras.features.rows import Rows, ragged
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block
from tlkeras.tasks.classification import build_classifier


@pytest.fixture(autouse=True)
def counted(tmp_path, monkeypatch):
    """The rows that were computed, pass by pass, with a cache of the test's own."""
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "cache"))
    computed: list[int] = []
    original = passes.run_step

    def counting(step, rows, **options):
        computed.append(len(rows[0]))
        return original(step, rows, **options)

    monkeypatch.setattr(passes, "run_step", counting)
    return computed


def _at(source, rows, cut=2):
    return activations(source.blocks, [cut], rows)[0][cut]


def test_a_second_pass_reads_what_the_first_computed_without_loading_it(counted):
    rows = read_inputs(squares(20, seed=0), tiny_source())
    (first,) = _at(tiny_source(), rows)
    (again,) = _at(tiny_source(), rows)
    assert counted == [20]
    assert isinstance(again.values, np.memmap)
    np.testing.assert_array_equal(first.values, again.values)
    below = chain(tiny_source().blocks[:2], name="below").predict(rows.values.astype("float32"), verbose=0)
    np.testing.assert_allclose(again.values, below, atol=1e-5)


def test_rows_that_are_there_serve_any_subset_order_split_and_other_cuts(counted):
    source = tiny_source()
    examples = squares(30, seed=0)
    first, second = (read_inputs(examples.take(places), source) for places in (np.arange(20), np.arange(10, 30)))
    kept = _at(source, first)[0].values
    (found,) = _at(source, second)
    assert counted == [20, 10]
    np.testing.assert_array_equal(found.values[:10], kept[10:])
    fold = np.array([25, 3, 3, 29, 0])
    (mixed,) = _at(source, read_inputs(examples.take(fold), source))
    assert counted == [20, 10]
    for row, place in enumerate(fold):
        np.testing.assert_array_equal(mixed.values[row], found.values[place - 10] if place >= 10 else kept[place])
    part = activations(source.blocks, [1, 2], first)[0]
    assert counted == [20, 10, 20], "the lower cut is new"
    np.testing.assert_array_equal(part[2][0].values, kept)


def test_a_run_of_the_head_reads_what_a_ranking_kept_and_the_other_way_round(counted, caplog):
    source, examples = tiny_source(), squares(20, seed=0)
    (pooled,), computed = pooled_features(prepare(source), examples)
    model = build_classifier(tiny_source(), ("a", "b", "c"))
    top = len(model.segments) - 1
    with caplog.at_level(logging.INFO, "tlkeras"):
        (rows,) = activations(model.segments, [top], read_inputs(examples, source))[0][top]
    assert (counted, computed) == ([20], 20)
    assert "all 20 examples were read from the cache" in caplog.text
    np.testing.assert_array_equal(rows.values, pooled)
    more = join_examples([examples.take(range(5, 20)), squares(9, seed=7)])
    with caplog.at_level(logging.INFO, "tlkeras"):
        activations(model.segments, [top], read_inputs(more, source))
    assert "ran once over 9 examples" in caplog.text
    assert "15 were read from the cache" in caplog.text
    assert pooled_features(prepare(source), more)[1] == 0


def test_where_every_bit_counts_only_what_was_computed_for_the_same_examples_is_read(counted):
    source = tiny_source()
    rows = read_inputs(squares(20, seed=0), source)
    _at(source, rows)
    part = read_inputs(squares(20, seed=0).take(range(5)), source)
    for _ in range(2):
        activations(source.blocks, [2], part, exact=True)
        activations(source.blocks, [2], rows, exact=True)
    assert counted == [20, 5]


def test_augmented_views_are_rows_of_their_own(counted):
    source = tiny_source()
    rows = read_inputs(squares(20, seed=0), source)
    for seed in (1, 1, 2):
        _at(source, Rows(augment_pixels(rows.values, "light", seed=seed, flip=False)))
    _at(source, rows)
    assert counted == [20, 20, 20]


@pytest.mark.parametrize("change", ["pixels", "resizing", "weights below", "stride", "cut", "version"])
def test_anything_else_is_computed_anew(counted, monkeypatch, change):
    source = tiny_source()
    rows = read_inputs(squares(20, seed=0), source)
    _at(source, rows)
    if change == "pixels":
        examples = squares(20, seed=0)
        assert isinstance(examples.store, ImageArrays)
        examples.store.pixels[:, 0, 0, 0] ^= 1
        _at(source, read_inputs(examples, source))
    elif change == "resizing":
        _at(source, read_inputs(squares(20, seed=0), replace(source, resize="squash")))
    elif change == "weights below":
        weight = source.blocks[0].network.weights[0]
        weight.assign(weight + 1e-3)
        _at(source, rows)
    elif change == "stride":
        convolution = next(layer for layer in source.blocks[1].network.layers if "conv" in layer.name)
        convolution.strides = (1, 1)
        convolution.padding = "same"
        _at(source, rows)
    elif change == "cut":
        _at(source, rows, cut=1)
    else:
        monkeypatch.setattr(passes, "installed_versions", lambda: {"keras": "0"})
        _at(source, rows)
    assert counted == [20, 20]


def test_weights_above_the_cut_do_not_matter(counted):
    source = tiny_source()
    rows = read_inputs(squares(20, seed=0), source)
    _at(source, rows)
    weight = source.blocks[2].network.weights[0]
    weight.assign(weight + 1)
    _at(source, rows)
    assert counted == [20]


def test_texts_are_kept_as_unpadded_rows(counted, tmp_path):
    keras.utils.set_random_seed(0)
    tokens = keras.Input((None,), dtype="int32")
    first = keras.Model(tokens, [keras.layers.Embedding(50, 4)(tokens), keras.ops.not_equal(tokens, 0)])
    blocks = [Block("embeddings", first)]
    generator = np.random.default_rng(0)
    rows = ragged([generator.integers(1, 50, length).astype(np.int32) for length in generator.integers(1, 30, 40)])
    for _ in range(2):
        states, mask = activations(blocks, [1], rows)[0][1]
    assert counted == [40]
    assert rows.offsets is not None
    np.testing.assert_array_equal(states.offsets, rows.offsets)
    alone = chain(blocks, name="x").predict(rows.batch(np.array([7])), verbose=0)[0][0]
    np.testing.assert_allclose(states.values[rows.offsets[7] : rows.offsets[8]], alone, atol=1e-6)
    assert mask.values.all()
    assert mask.fill is False
    size = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("values_0.npy"))
    assert size == rows.offsets[-1] * 4 * 4 + 128, "as many numbers as there are tokens, and the header"


@pytest.mark.parametrize("damage", ["cut", "gone", "entry"])
def test_a_damaged_entry_is_told_and_computed_anew(counted, tmp_path, caplog, damage):
    source = tiny_source()
    rows = read_inputs(squares(20, seed=0), source)
    _at(source, rows)
    (file,) = (tmp_path / "cache").rglob("entry.json" if damage == "entry" else "values_0.npy")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING, "tlkeras"):
        _at(source, rows)
    assert "damaged" in caplog.text
    assert counted == [20, 20]


def test_over_budget_nothing_is_kept_and_the_oldest_go(counted, tmp_path, monkeypatch):
    source = tiny_source()
    many, few = (read_inputs(squares(count, seed=0), source) for count in (40, 20))
    monkeypatch.setenv("TLKERAS_CACHE_GB", "0.00003")  # 20 pictures take 6 x 6 x 8 numbers each: 23 kB
    (rows,) = _at(source, many)
    assert not isinstance(rows.values, np.memmap)
    _at(source, few)
    _at(source, read_inputs(squares(20, seed=5), source))
    assert len(list((tmp_path / "cache" / "activations").glob("*/*/entry.json"))) == 1


def test_a_disk_that_is_full_costs_a_warning_only(counted, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(passes, "keep_rows", full)
    source = tiny_source()
    (rows,) = _at(source, read_inputs(squares(20, seed=0), source))
    assert len(rows) == 20
    assert "could not be kept" in caplog.text


def test_litert_computes_where_the_work_is_large_and_its_file_is_kept(counted, monkeypatch):
    made = []
    original = passes.convert_quickly

    def counting(*given):
        made.append(1)
        return original(*given)

    monkeypatch.setattr(passes, "convert_quickly", counting)
    monkeypatch.setattr(passes, "LEAST_BYTES", 0)
    source = tiny_source()
    rows = read_inputs(squares(20, seed=0), source)
    (by_litert,) = _at(source, rows)
    (again,) = _at(tiny_source(), rows)
    _at(tiny_source(), read_inputs(squares(20, seed=1), source))
    assert (counted, made) == ([], [1])
    monkeypatch.setattr(passes, "LEAST_BYTES", 10**9)
    (plain,) = _at(source, rows)
    assert counted == [20], "what another engine gave is not taken for this one's"
    np.testing.assert_array_equal(by_litert.values, again.values)
    np.testing.assert_allclose(by_litert.values, plain.values, atol=1e-4)
