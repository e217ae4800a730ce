"""Rows of varying length, batches, and the order of training."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tlkeras.data.examples import Examples, NoTargets, Texts
from tlkeras.features import inputs
from tlkeras.features.rows import Rows, ordered_batches, ragged, shuffled_batches


@pytest.fixture
def rows() -> Rows:
    return ragged([np.arange(length, dtype=np.int32) + 1 for length in (3, 1, 4, 2)], fill=9)


def test_a_batch_is_padded_to_its_longest_row(rows):
    np.testing.assert_array_equal(rows.batch(np.array([1, 0])), [[1, 9, 9], [1, 2, 3]])
    assert rows.batch(np.array([1])).shape == (1, 1)


def test_dense_rows_come_as_they_are():
    values = np.arange(12).reshape(4, 3)
    np.testing.assert_array_equal(Rows(values).batch(np.array([2, 0])), values[[2, 0]])


def test_ordered_batches_cover_all_rows_and_sort_by_length(rows):
    batches = ordered_batches(rows, 2)
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 2]]


@pytest.mark.parametrize("lengths", [None, np.random.default_rng(0).integers(1, 50, 1000)])
def test_each_epoch_sees_every_row_once_in_another_order(lengths):
    data = Rows(np.zeros(1000)) if lengths is None else ragged([np.zeros(length) for length in lengths])
    epochs = [shuffled_batches(data, 32, seed=3, epoch=epoch) for epoch in (0, 1)]
    for batches in epochs:
        assert sorted(np.concatenate(batches)) == list(range(1000))
        assert max(len(batch) for batch in batches) == 32
        assert len(batches) == 32
    assert not np.array_equal(np.concatenate(epochs[0]), np.concatenate(epochs[1]))
    again = shuffled_batches(data, 32, seed=3, epoch=1)
    assert all(np.array_equal(a, b) for a, b in zip(epochs[1], again, strict=True))


def test_batches_by_length_compute_less_padding_than_plain_shuffling():
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 120, 2000)
    data = ragged([np.zeros(length) for length in lengths])
    padded = sum(len(batch) * lengths[batch].max() for batch in shuffled_batches(data, 32, seed=0, epoch=0))
    plain = generator.permutation(2000)
    naive = sum(32 * lengths[plain[i : i + 32]].max() for i in range(0, 2000, 32))
    assert padded < 0.65 * naive
    assert padded >= lengths.sum()


def test_tokens_that_may_not_fit_the_memory_go_through_a_file_and_are_the_same(monkeypatch):
    words = {word: place for place, word in enumerate(("[UNK]", "a", "b", "c"))}
    own = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = tuple(" ".join("abcd"[n % k] for n in range(k)) for k in (1, 3, 2, 4, 1))
    source: Any = SimpleNamespace(name="tiny", modality="text", tokenizer=own, input_size=3, pad_id=9, resize="crop")
    examples = Examples(np.arange(5).astype(str), Texts(texts, np.arange(5)), NoTargets(5))
    held = inputs.read_inputs(examples, source)
    monkeypatch.setattr(inputs, "available_bytes", lambda: 0)
    monkeypatch.setattr(inputs, "_TEXTS", 2)
    filed = inputs.read_inputs(examples, source)
    assert isinstance(filed.values, np.memmap) and not isinstance(held.values, np.memmap)
    assert filed.values.tolist() == held.values.tolist() == [1, 1, 2, 3, 1, 2, 1, 2, 3, 1]
    assert filed.offsets is not None and held.offsets is not None
    assert filed.offsets.tolist() == held.offsets.tolist() == [0, 1, 4, 6, 9, 10] and filed.fill == held.fill == 9
