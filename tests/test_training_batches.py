"""Batches: what a step sees is a function of seed and step."""

import keras
import numpy as np

from tlkeras.features.rows import Rows, ragged
from tlkeras.training.batches import train_batches


def _batches(rows, start, *, epochs=3, **options):
    targets = np.arange(len(rows), dtype=np.int32)
    inputs = [keras.Input((None,) if rows.offsets is not None else (1,))]
    found = train_batches([(rows,)], [targets], inputs, batch_size=8, seed=5, epochs=epochs, start=start, **options)
    return [[np.asarray(part) for part in batch] for batch in found.as_numpy_iterator()]


def test_an_epoch_holds_every_example_once_and_starts_at_any_step():
    rows = Rows(np.arange(21, dtype=np.float32)[:, None])
    whole = _batches(rows, 0)
    assert len(whole) == 9
    assert [len(y) for _, y in whole] == [8, 8, 5] * 3
    for epoch in range(3):
        assert sorted(np.concatenate([y for _, y in whole[3 * epoch : 3 * epoch + 3]])) == list(range(21))
    assert whole[0][1].tolist() != whole[3][1].tolist()
    for start in (1, 3, 5, 8):
        later = _batches(rows, start)
        assert len(later) == 9 - start
        for (x, y), (same_x, same_y) in zip(whole[start:], later, strict=True):
            np.testing.assert_array_equal(x, same_x)
            np.testing.assert_array_equal(y, same_y)


def test_texts_start_at_any_step_too():
    generator = np.random.default_rng(0)
    rows = ragged([np.full(length, length, np.int32) for length in generator.integers(1, 9, 40)])
    whole, later = _batches(rows, 0), _batches(rows, 7)
    assert [y.tolist() for _, y in whole[7:]] == [y.tolist() for _, y in later]
