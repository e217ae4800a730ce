"""Batches that do not fit the memory: the same steps in parts; and the largest batch that does."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.networks import square_splits, tiny_source
from tlkeras.runs import Run
from tlkeras.sources.blocks import nested_layers
from tlkeras.sources.model import Block, SourceModel
from tlkeras.strategies.penalties import Penalties
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.classification import build_classifier
from tlkeras.training import memory
from tlkeras.training.fit import fit
from tlkeras.training.memory import choose_batch_size, step_bytes

SPLITS = square_splits()
ROWS = np.arange(90)
SPLITS = replace(SPLITS, train=SPLITS.train.take(ROWS[(ROWS % 3 == 0) | (ROWS < 72)]))  # 30, 24 and 24 of a class
HEAD = Phase(name="head", solver="closed_form", epochs=1)
TOP = Phase(name="top", trainable="all", epochs=2, learning_rate=1e-3, penalties=Penalties(l2=0.1, l2_sp=0.1), clip_norm=0.1)
SGD = {"optimizer": keras.optimizers.SGD(0.05, momentum=0.9, global_clipnorm=0.5)}
"""Plain descent, with clipping: Adam would make whole steps of gradients that are rounding alone."""


class Small(keras.callbacks.Callback):
    """A memory that holds so many examples at once."""

    def __init__(self, holds):
        super().__init__()
        self.holds, self.refused, self.rates = holds, [], []

    def on_train_batch_end(self, batch, logs=None):
        size = getattr(self.model, "size", 32)
        if size > self.holds and batch == 1:
            self.refused.append(size)
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        self.rates.append(float(self.model.optimizer.learning_rate))


def _model():
    model = build_classifier(tiny_source(), SPLITS.classes, seed=1)
    for layer in nested_layers(model.network):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # parts draw other dropout than the whole
    return model


def _fit(holds, phases=(HEAD, TOP), **options):
    model, small = _model(), Small(holds)
    history = fit(model, SPLITS, phases, batch_size=32, callbacks=[small], **options)
    return model, small, history


@pytest.mark.parametrize("balance", ["none", "weights"])
def test_a_step_in_parts_is_the_step_on_the_whole_batch(balance):
    whole, _, expected = _fit(32, balance=balance, **SGD)
    parted, small, found = _fit(16, balance=balance, **SGD)  # batches of 32, 32 and 14
    assert small.refused == [32]
    for a, b in zip(expected.rows, found.rows, strict=True):
        numbers = [name for name in a if name not in ("seconds", "phase")]
        assert [b[name] for name in numbers] == pytest.approx([a[name] for name in numbers], rel=1e-4)
    begun = _model().network.get_weights()
    assert max(np.abs(a - b).max() for a, b in zip(begun, whole.network.get_weights(), strict=True)) > 1e-2
    for a, b in zip(whole.network.get_weights(), parted.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_schedule_goes_by_steps_and_not_by_parts(caplog):
    _, small, expected = _fit(32)
    _, parted, found = _fit(6)
    assert parted.refused == [32, 16, 8]
    assert "batches of 32 go through in parts of 4" in caplog.text
    assert parted.rates[-6:] == small.rates[-6:]
    assert [row["learning_rate"] for row in found.rows[1:]] == [row["learning_rate"] for row in expected.rows[1:]]
    assert [row["epoch"] for row in found.rows] == [1, 1, 2]


def test_what_does_not_fit_in_parts_of_one_example_is_an_error():
    with pytest.raises(tf.errors.ResourceExhaustedError):
        _fit(0, [TOP])


def test_a_run_that_is_resumed_goes_on_in_parts_of_the_same_size_and_ends_with_the_same_bits(tmp_path):
    class Stop(RuntimeError):
        pass

    class Break(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_begin(self, batch, logs=None):
            self.seen += 1
            if self.seen == 7:  # two steps before the memory is full, four after
                raise Stop

    whole, _, expected = _fit(16)
    run = Run(tmp_path, "test", {})
    with pytest.raises(Stop):
        fit(_model(), SPLITS, [HEAD, TOP], batch_size=32, run=run, save_every=0, callbacks=[Small(16), Break()])
    resumed = _model()
    found = fit(resumed, SPLITS, [HEAD, TOP], batch_size=32, run=run)  # with memory for the whole now
    for a, b in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [row["loss"] for row in found.rows] == [row["loss"] for row in expected.rows]


def test_auto_takes_the_largest_size_that_fits_and_keeps_it_in_the_run(tmp_path, monkeypatch):
    model, run = _model(), Run(tmp_path, "test", {})
    fixed, each = step_bytes(model, TOP)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * (fixed + 40 * each))
    assert choose_batch_size(model, 10_000, [HEAD, TOP], "auto", run=run) == 32
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * (fixed + 1000 * each))
    assert choose_batch_size(model, 10_000, [HEAD, TOP], "auto") == 128
    assert choose_batch_size(model, 200, [HEAD, TOP], "auto") == 16, "an epoch keeps eight steps"
    assert choose_batch_size(model, 10_000, [HEAD, TOP], "auto", run=run) == 32, "what the run began with"
    assert choose_batch_size(model, 10_000, [HEAD, TOP], 7) == 7
    with pytest.raises(ValueError, match="'auto'"):
        choose_batch_size(model, 10_000, [TOP], 0)


def test_the_estimate_counts_the_tensors_of_the_trained_part_twice_and_four_numbers_for_a_parameter():
    x = keras.Input((4,))
    block = keras.Model(x, keras.layers.Dense(6, activation="relu", name="d")(x))
    source = SourceModel("dense", "image", block, (Block("block_0", block),), 4, pretrained=True)
    model = build_classifier(source, ["a", "b"], dropout=0.0)
    # x @ w, + b, relu: three tensors of 6; logits: x @ w, + b, of 2
    assert step_bytes(model, Phase(name="all", trainable="all")) == (16 * (4 * 6 + 6 + 6 * 2 + 2), 2 * 4 * (3 * 6 + 2 * 2))
    assert step_bytes(model, Phase(name="head", trainable="head")) == (16 * (6 * 2 + 2), 2 * 4 * (2 * 2))
