"""What follows a phase: averages by hand, endpoints exact, statistics those of the data; and all of it survives a stop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.networks import square_splits, tiny_source
from tlkeras.features.inputs import read_inputs
from tlkeras.runs import Run
from tlkeras.sources.blocks import batch_normalizations
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.tasks.table import TASKS
from tlkeras.training.after import AfterPhase, Candidates, interpolate, mean_weights
from tlkeras.training.fit import fit
from tlkeras.training.history import History
from tlkeras.training.recalibrate import recalibrate

SPLITS = square_splits()
GENERATOR = np.random.default_rng(0)
TASK = TASKS["classification"]


def _model():
    return build_classifier(tiny_source(), SPLITS.classes, seed=1)


def _linear_part():
    x = keras.Input((4,))
    part = keras.Model(x, keras.layers.Dense(3)(x))
    part.compile(loss=TASK.loss(), metrics=[TASK.metric()])
    return part


def _validation(truth, count=200):
    """Examples whose classes are what a linear model of these weights says."""
    x = GENERATOR.normal(size=(count, 4)).astype("float32")
    y = (x @ truth[0] + truth[1]).argmax(axis=1)
    return x, y, tf.data.Dataset.from_tensor_slices((x, y)).batch(16)


def _scores(x, y, weights):
    logits = x @ weights[0] + weights[1]
    loss = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    return float((logits.argmax(axis=1) == y).mean()), -float(loss.mean())


def _random_weights():
    return [GENERATOR.normal(size=(4, 3)).astype("float32"), GENERATOR.normal(size=3).astype("float32")]


def test_interpolated_weights_are_exact_at_the_ends_and_give_interpolated_logits_of_a_linear_model():
    start, end = _random_weights(), _random_weights()
    x = GENERATOR.normal(size=(6, 4)).astype("float32")
    assert all(np.array_equal(a, b) for a, b in zip(interpolate(start, end, 0), start, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(interpolate(start, end, 1), end, strict=True))
    kernel, bias = interpolate(start, end, 0.3)
    expected = 0.7 * (x @ start[0] + start[1]) + 0.3 * (x @ end[0] + end[1])
    np.testing.assert_allclose(x @ kernel + bias, expected, rtol=1e-5)


def test_the_mean_of_weights_leaves_seeds_alone():
    members = [[np.array([1.0, 2.0], np.float32), np.array([7], np.uint32)], [np.array([3.0, 5.0], np.float32), np.array([9])]]
    floats, seeds = mean_weights(members)
    assert floats.tolist() == [2.0, 3.5]
    assert seeds.tolist() == [7]


def _after(step):
    phase = Phase(name="x", trainable="head", after=(step,))
    return AfterPhase(_model(), phase, History())


def test_wise_ft_takes_the_share_that_is_best_on_validation():
    part, after = _linear_part(), _after("wise_ft")
    truth, noise = _random_weights(), _random_weights()
    x, y, validation = _validation(truth)
    start, end = ([a + sign * b for a, b in zip(truth, noise, strict=True)] for sign in (1, -0.7))
    after.candidates.start = start
    part.set_weights(end)
    after.finish(part, [], validation)
    tried = [interpolate(start, end, share / 10) for share in range(11)]
    best = max(tried, key=lambda weights: _scores(x, y, weights))
    assert best is not tried[-1], "the case needs a mixture that is better than the end"
    for a, b in zip(part.get_weights(), best, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    (row,) = after.history.rows
    assert (row["phase"], row["best"]) == ("x: wise_ft", 1)
    assert row["val_accuracy"] == pytest.approx(_scores(x, y, best)[0])


def test_a_greedy_soup_takes_in_what_does_not_hurt():
    part, after = _linear_part(), _after("soup")
    truth, noise = _random_weights(), _random_weights()
    x, y, validation = _validation(truth)
    pool = [[a + sign * b for a, b in zip(truth, noise, strict=True)] for sign in (1, -0.7)] + [[-3 * a for a in truth]]
    pool.sort(key=lambda weights: _scores(x, y, weights), reverse=True)
    after.candidates.best = [
        ({"val_accuracy": _scores(x, y, weights)[0], "val_loss": -_scores(x, y, weights)[1]}, weights) for weights in pool
    ]
    part.set_weights(pool[0])
    after.finish(part, [], validation)
    members = [pool[0]]
    for weights in pool[1:]:
        if _scores(x, y, mean_weights([*members, weights])) >= _scores(x, y, mean_weights(members)):
            members.append(weights)
    assert 1 < len(members) < 3, "the case needs one that joins and one that would hurt"
    for a, b in zip(part.get_weights(), mean_weights(members), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_candidates_are_the_best_epochs_in_their_order_and_come_back_from_their_state():
    part, candidates = _linear_part(), Candidates(TASK, 2)
    candidates.set_model(part)
    candidates.on_train_begin()
    for number, accuracy in enumerate((0.5, 0.7, 0.6, 0.4)):
        part.set_weights([np.full((4, 3), number, np.float32), np.zeros(3)])
        candidates.on_epoch_end(number, {"val_accuracy": accuracy, "val_loss": 1.0})
    again = Candidates(TASK, 2)
    again.set_state(*candidates.get_state())
    for one in (candidates, again):
        assert [(scores["val_accuracy"], weights[0][0, 0]) for scores, weights in one.best] == [(0.7, 1.0), (0.6, 2.0)]
        assert [array.shape for array in one.start] == [(4, 3), (3,)]


def test_statistics_computed_anew_are_those_of_all_examples():
    model = _model()
    pixels = read_inputs(SPLITS.train, model.source).values.astype("float32")
    block = model.blocks[0].network
    (layer,) = batch_normalizations(block)
    batches = tf.data.Dataset.from_tensor_slices((pixels, SPLITS.train.labels)).batch(32)  # the last one has 26
    before = layer.gamma.numpy()
    recalibrate(model.network, [layer], batches)
    reaches = keras.Model(block.input, layer.input)(pixels).numpy()
    np.testing.assert_allclose(layer.moving_mean.numpy(), reaches.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), reaches.var(axis=(0, 1, 2)), rtol=1e-3)
    assert (layer.momentum, np.array_equal(layer.gamma.numpy(), before)) == (0.9, True)
    assert [item.rate for item in model.network.layers[1].layers if isinstance(item, keras.layers.Dropout)] == [0.3]


class _Watch(keras.callbacks.Callback):
    """The weight of the head after each step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.trainable_weights[0].numpy())


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_the_moving_average_follows_its_formula_and_leaves_training_alone(decay):
    watched = []
    for ema in (0.8, 0.0):
        watch, model = _Watch(), _model()
        phase = Phase(
            name="x", trainable="top:1", epochs=3, learning_rate=1e-2, keep="last", ema=ema, layer_decay=decay, patience=3
        )
        history = fit(model, SPLITS, [phase], seed=2, callbacks=[watch])
        watched.append((watch.steps, [row["loss"] for row in history.rows], model))
    (steps, losses, model), (plain_steps, plain_losses, plain) = watched
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-6)
    np.testing.assert_array_equal(steps[-1], plain_steps[-1])
    average = steps[0]
    for weights in steps[1:]:
        average = 0.8 * average + 0.2 * weights
    block = next(block for block in model.blocks if block.network.trainable)
    np.testing.assert_allclose(block.network.trainable_weights[0].numpy(), average, rtol=1e-5, atol=1e-7)
    same = next(b for b in plain.blocks if b.name == block.name)
    np.testing.assert_array_equal(same.network.trainable_weights[0].numpy(), steps[-1])


@pytest.mark.parametrize("how", [{"ema": 0.8, "after": ("soup", "wise_ft")}, {"adapters": 2, "ema": 0.8}])
def test_a_broken_off_phase_with_all_of_it_ends_as_if_it_had_not_been(how, tmp_path):
    phases = [
        Phase(name="head", solver="closed_form", epochs=1),
        Phase(name="x", trainable="all", epochs=4, learning_rate=1e-2, patience=4, **how),
    ]

    class Stop(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if (self.epoch, batch) == (2, 1):
                raise KeyboardInterrupt

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    results = []
    for broken in (False, True):
        run = Run(path=tmp_path / str(broken), recipe="test", config={})
        run.path.mkdir()
        if broken:
            with pytest.raises(KeyboardInterrupt):
                fit(_model(), SPLITS, phases, seed=2, run=run, save_every=0, callbacks=[Stop()])
        model = _model()
        history = fit(model, SPLITS, phases, seed=2, run=run, save_every=0)
        results.append((model.network.get_weights(), [(row["phase"], row["val_loss"]) for row in history.rows]))
    assert results[0][1] == results[1][1]
    for a, b in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_are_read_from_a_line_and_follow_the_last_phase():
    phases = plan_phases("gradual_unfreeze", after="ema, soup")
    assert [(phase.ema, phase.after) for phase in phases[-2:]] == [(0.0, ()), (0.99, ("soup",))]
    with pytest.raises(ValueError, match=r"Received: 'soop'. Did you mean 'soup'"):
        plan_phases("fine_tune", after="soop")
    with pytest.raises(ValueError, match=r"Nothing follows a head that is solved"):
        plan_phases("feature_extraction", after="soup")
    with pytest.raises(ValueError, match=r"Adapters multiply"):
        plan_phases("lora", after="wise_ft")
