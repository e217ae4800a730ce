"""Training: exactly the chosen weights change, the frozen part runs once, the best weights stay."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.networks import square_splits, tiny_source
from tlkeras.data.arrays import splits_from_texts
from tlkeras.data.examples import ClassTargets
from tlkeras.errors import TrainingError
from tlkeras.evaluation.evaluate import predict_examples
from tlkeras.features import passes as features_passes
from tlkeras.features.inputs import read_inputs
from tlkeras.runs import Run
from tlkeras.sources.blocks import batch_normalizations, nested_layers
from tlkeras.sources.text import load_text_source
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.classification import build_classifier
from tlkeras.training import frozen as training_frozen
from tlkeras.training.fit import fit
from tlkeras.training.freezing import set_trainable
from tlkeras.training.optimizers import build_optimizer

SPLITS = square_splits()
TOP = Phase(name="top", trainable="top:1", epochs=2, learning_rate=1e-2)


def _model():
    return build_classifier(tiny_source(), SPLITS.classes, seed=1)


def _weights(model):
    return {block.name: [weight.numpy() for weight in block.network.weights] for block in model.blocks}


def _run(path):
    return Run(path=path, recipe="test", config={})


@pytest.mark.parametrize(
    ("trainable", "changed"),
    [("head", {"head"}), ("top:1", {"head", "block_2"}), ("block_1,head", {"head", "block_1"}), ("block_0", {"block_0"})],
)
def test_fit_changes_only_the_chosen_blocks_and_no_moving_statistic(trainable, changed):
    model = _model()
    before = _weights(model)
    fit(model, SPLITS, [Phase(name="x", trainable=trainable, epochs=1, learning_rate=1e-2)])
    after = _weights(model)
    for block in model.blocks:
        same = [np.array_equal(a, b) for a, b in zip(before[block.name], after[block.name], strict=True)]
        trained = [weight.path.endswith(("kernel", "bias")) for weight in block.network.weights]
        expected = [block.name not in changed or not kernel for kernel in trained]
        assert same == expected, block.name


@pytest.mark.parametrize(
    ("policy", "affine_moves", "statistics_move"),
    [("frozen", False, False), ("affine_only", True, False), ("train", True, True)],
)
def test_the_policy_decides_what_batch_normalization_of_trainable_blocks_does(policy, affine_moves, statistics_move):
    model = _model()
    (layer,) = batch_normalizations(model.blocks[2].network)
    (frozen,) = batch_normalizations(model.blocks[1].network)
    before = [w.numpy() for w in layer.weights], [w.numpy() for w in frozen.weights]
    fit(model, SPLITS, [Phase(name="x", trainable="top:1", epochs=1, learning_rate=1e-2, batch_norm=policy)])
    moved = {w.name: not np.array_equal(w.numpy(), old) for w, old in zip(layer.weights, before[0], strict=True)}
    assert moved == {
        "gamma": affine_moves,
        "beta": affine_moves,
        "moving_mean": statistics_move,
        "moving_variance": statistics_move,
    }
    assert all(np.array_equal(w.numpy(), old) for w, old in zip(frozen.weights, before[1], strict=True))


def test_a_phase_after_affine_only_freezes_scale_and_offset_again():
    model = _model()
    affine = Phase(name="affine", trainable="top:1", epochs=1, learning_rate=1e-2, batch_norm="affine_only")
    fit(model, SPLITS, [affine])
    (layer,) = batch_normalizations(model.blocks[2].network)
    before = [weight.numpy() for weight in layer.weights]
    fit(model, SPLITS, [TOP])
    assert all(np.array_equal(weight.numpy(), old) for weight, old in zip(layer.weights, before, strict=True))


def test_all_trains_layers_that_were_frozen_one_by_one():
    model = _model()
    frozen = model.blocks[0].network.layers[2]
    frozen.trainable = False
    before = frozen.get_weights()[0]
    fit(model, SPLITS, [Phase(name="x", trainable="all", epochs=1, learning_rate=1e-2)])
    assert not np.array_equal(frozen.get_weights()[0], before)


@pytest.mark.parametrize(("weights", "names"), [("bias", {"beta"}), ("norm", {"gamma", "beta"})])
def test_bias_only_and_norm_only_train_these_weights_and_the_head(weights, names):
    model = _model()
    before = [weight.numpy() for weight in model.network.weights]
    few = Phase(name="x", trainable="all", weights=weights, batch_norm="affine_only", epochs=1, learning_rate=1e-2)
    fit(model, SPLITS, [few])
    moved = {w.path for w, old in zip(model.network.weights, before, strict=True) if not np.array_equal(w.numpy(), old)}
    in_blocks = {w.path for block in model.source.blocks for w in block.network.weights if w.name in names}
    in_head = {w.path for w in model.head.network.weights if w.name in ("kernel", "bias")}
    assert {path for path in moved if "seed" not in path} == in_blocks | in_head


def test_a_phase_that_trains_nothing_is_refused():
    nothing = Phase(name="x", trainable="block_0", weights="bias", epochs=1)
    with pytest.raises(ValueError, match=r"'x' has nothing to train.*trainable='block_0'.*weights='bias'"):
        fit(_model(), SPLITS, [nothing])


def test_rates_fall_with_depth_by_the_decay():
    model = _model()
    phase = Phase(name="x", trainable="all", learning_rate=1e-3, layer_decay=0.5, schedule="constant", epochs=1)
    set_trainable(model, phase)
    optimizer = build_optimizer(model, phase, 0, steps=3)
    optimizer.build(model.network.trainable_weights)
    before = [weight.numpy() for weight in model.network.trainable_weights]
    # Adam's first step moves each weight by its rate, whatever the gradient's size; weight decay adds 1 % of it at the most.
    optimizer.apply([keras.ops.ones_like(weight) for weight in model.network.trainable_weights])
    steps = {
        weight.path: np.abs(weight.numpy() - old).mean()
        for weight, old in zip(model.network.trainable_weights, before, strict=True)
    }
    kernels = [block.network.trainable_weights[0].path for block in model.blocks]
    assert [steps[path] / 1e-3 for path in kernels] == pytest.approx([0.125, 0.25, 0.5, 1.0], rel=0.02)


def test_training_with_rates_by_depth_logs_the_rate_of_the_head():
    phase = Phase(name="x", trainable="all", learning_rate=1e-3, layer_decay=0.5, schedule="constant", epochs=1)
    history = fit(_model(), SPLITS, [phase])
    assert history.rows[0]["learning_rate"] == pytest.approx(1e-3)


def test_cached_and_uncached_training_give_the_same_losses_and_weights(monkeypatch):
    results = []
    for boundary in (2, 1, 0):  # at the cut; below it, with a frozen block that runs on each batch; nowhere
        monkeypatch.setattr(training_frozen, "may_keep", lambda _, cut, *__, boundary=boundary, **___: cut <= boundary)
        model = _model()
        history = fit(model, SPLITS, [TOP], seed=4)
        results.append(([row["loss"] for row in history.rows], model.network.get_weights()))
    for losses, weights in results[1:]:
        np.testing.assert_allclose(results[0][0], losses, rtol=1e-5)
        for a, b in zip(results[0][1], weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_cached_and_uncached_training_on_texts_give_the_same_losses_and_predictions(monkeypatch):
    texts = [f"{'good best' if row % 2 else 'bad worst'} film {'very ' * (row % 7)}{row}" for row in range(120)]
    splits = splits_from_texts(texts, [row % 2 for row in range(120)], classes=("bad", "good"))
    keras.utils.set_random_seed(0)
    source = load_text_source("tiny_bert", sequence_length=16)
    begun = source.network.get_weights()
    frozen = [layer for block in source.blocks[:-1] for layer in nested_layers(block.network)]
    assert any(isinstance(layer, keras.layers.Dropout) and layer.rate > 0 for layer in frozen), "it must not drop"
    results = []
    for boundary in (len(source.blocks) - 1, 1, 0):
        monkeypatch.setattr(training_frozen, "may_keep", lambda _, cut, *__, boundary=boundary, **___: cut <= boundary)
        source.network.set_weights(begun)
        model = build_classifier(source, splits.classes, seed=1)
        phase = Phase(name="top", trainable="top:1", epochs=2, learning_rate=1e-2)
        history = fit(model, splits, [phase], seed=4, batch_size=16)
        losses = [row[name] for row in history.rows for name in ("loss", "val_loss")]
        results.append((losses, predict_examples(model, splits.test)))
    for losses, outputs in results[1:]:
        np.testing.assert_allclose(results[0][0], losses, rtol=1e-5)
        np.testing.assert_allclose(results[0][1], outputs, atol=1e-5)
    assert results[0][0][0] != results[0][0][2], "it has trained"


@pytest.mark.parametrize(("norm", "expected"), [(0.5, [0.03, 0.04]), (0.0, [0.3, 0.4]), (10.0, [0.3, 0.4])])
def test_gradients_are_clipped_at_the_norm_of_the_phase(norm, expected):
    model = _model()
    phase = Phase(name="head", clip_norm=norm)
    optimizer = build_optimizer(model, phase, set_trainable(model, phase), steps=10)
    weights = [keras.Variable(np.zeros(1, np.float32), name=name) for name in ("a", "b")]
    optimizer.build(weights)
    optimizer.apply([np.array([3.0], np.float32), np.array([4.0], np.float32)], weights)  # together of norm 5
    moments = [float(v[0]) for v in optimizer.variables if "momentum" in v.name]  # a tenth of the gradients
    assert moments == pytest.approx(expected)


def test_the_frozen_part_runs_once_for_all_phases(monkeypatch):
    passes = []
    monkeypatch.setenv("TLKERAS_CACHE", "off")
    original = features_passes.run_step

    def counting(step, rows, **options):
        passes.append(len(rows[0]))
        return original(step, rows, **options)

    monkeypatch.setattr(features_passes, "run_step", counting)
    fit(_model(), SPLITS, [Phase(name="head", solver="closed_form", epochs=1), TOP])
    assert passes == [90, 30]


def test_a_phase_above_one_that_changed_lower_blocks_sees_the_new_features():
    lower = Phase(name="lower", trainable="block_0,head", epochs=1, learning_rate=3e-2)
    model = _model()
    fit(model, SPLITS, [lower, Phase(name="head", solver="closed_form", epochs=1)])
    # The head was solved on the features of now: solving it again finds the same.
    kernel = model.head.network.get_layer("logits").get_weights()[0]
    fit(model, SPLITS, [Phase(name="head", solver="closed_form", epochs=1)])
    np.testing.assert_allclose(model.head.network.get_layer("logits").get_weights()[0], kernel, atol=1e-4)


def test_the_best_weights_by_validation_accuracy_are_kept():
    wrong = replace(SPLITS.val, targets=ClassTargets((SPLITS.val.labels + 1) % 3))
    splits = replace(SPLITS, val=wrong)  # the better the fit, the worse on validation
    model = _model()
    phase = Phase(name="x", trainable="all", epochs=5, learning_rate=0.03, patience=5, schedule="constant")
    history = fit(model, splits, [phase])
    scores = [(row["val_accuracy"], -row["val_loss"]) for row in history.rows]
    assert scores.index(max(scores)) < len(scores) - 1, "the case needs a run that gets worse at the end"
    probabilities = model.network.predict(read_inputs(SPLITS.val, model.source).values.astype("float32"), verbose=0)
    loss = -np.log(probabilities[np.arange(30), wrong.labels]).mean()
    assert loss == pytest.approx(-max(scores)[1], rel=1e-4)
    assert [row["best"] for row in history.rows][scores.index(max(scores))] == 1


def test_a_phase_that_only_makes_things_worse_leaves_the_weights_of_the_start():
    model = _model()
    head = Phase(name="head", solver="closed_form", epochs=1)
    fit(model, SPLITS, [head])
    before = model.network.get_weights()
    ruin = Phase(name="ruin", trainable="all", epochs=2, learning_rate=30.0, schedule="constant")
    history = fit(model, SPLITS, [head, ruin])
    assert [row["best"] for row in history.rows] == [1, 0, 0], "the case needs a phase that gets worse"
    for a, b in zip(before, model.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_early_stopping_ends_a_phase_after_patience():
    # A rate of 1e-12 never improves the validation loss beyond the first epoch by more than rounding.
    history = fit(_model(), SPLITS, [Phase(name="x", trainable="head", epochs=30, learning_rate=1e-12, patience=2)])
    assert len(history.rows) < 30


def test_a_loss_that_is_not_finite_ends_with_an_explanation():
    class Broken(keras.losses.SparseCategoricalCrossentropy):
        def call(self, y_true, y_pred):
            return super().call(y_true, y_pred) * float("nan")

    with pytest.raises(TrainingError, match=r"phase 'top', epoch 1, step 1.*--learning-rate 0\.003"):
        fit(_model(), SPLITS, [TOP], loss=Broken(from_logits=True))


def test_a_run_that_was_broken_off_goes_on_after_the_last_finished_phase(tmp_path):
    phases = [Phase(name="head", solver="closed_form", epochs=1), TOP]
    whole = _model()
    fit(whole, SPLITS, phases, seed=2)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(_model(), SPLITS, phases, seed=2, run=_run(tmp_path), callbacks=[Stop()])
    resumed = _model()
    history = fit(resumed, SPLITS, phases, seed=2, run=_run(tmp_path))
    assert [row["phase"] for row in history.rows] == ["head", "top", "top"]
    for a, b in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_fit_writes_the_model_the_history_and_a_picture(tmp_path):
    model = _model()
    fit(model, SPLITS, [Phase(name="head", solver="closed_form", epochs=1), TOP], run=_run(tmp_path))
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = read_inputs(SPLITS.test, model.source).values.astype("float32")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.network.predict(x, verbose=0), atol=1e-6)
    with (tmp_path / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["phase"], row["epoch"]) for row in rows] == [("head", "1"), ("top", "1"), ("top", "2")]
    assert (tmp_path / "training.png").stat().st_size > 5000


def test_own_optimizer_loss_and_callbacks_are_used():
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append((type(self.model.optimizer).__name__, self.model.loss.name))

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, name="mine")
    fit(_model(), SPLITS, [TOP, TOP], optimizer=keras.optimizers.SGD(0.1), loss=loss, callbacks=[Watch()])
    assert seen == [("SGD", "mine")] * 2


def test_from_scratch_starts_from_new_weights_that_follow_from_the_seed():
    phase = Phase(name="x", trainable="all", initialise="random", epochs=1, learning_rate=1e-9, batch_norm="train")
    first, second, other = _model(), _model(), _model()
    for model, seed in ((first, 5), (second, 5), (other, 6)):
        fit(model, SPLITS, [phase], seed=seed)
    kernels = [model.blocks[0].network.get_weights()[0] for model in (first, second, other)]
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-6)
    assert np.abs(kernels[0] - kernels[2]).max() > 0.01
    assert np.abs(kernels[0] - _model().blocks[0].network.get_weights()[0]).max() > 0.01


def test_a_plateau_lowers_the_rate():
    phase = Phase(name="x", trainable="head", epochs=8, learning_rate=1e-7, schedule="plateau", patience=8)
    history = fit(_model(), SPLITS, [phase])
    rates = [row["learning_rate"] for row in history.rows]
    assert rates[0] == pytest.approx(1e-7)
    assert rates[-1] < 0.6 * rates[0]


def test_learning_works_at_all():
    model = _model()
    history = fit(model, SPLITS, [Phase(name="x", trainable="all", epochs=15, learning_rate=1e-2, patience=15)])
    assert history.rows[-1]["val_accuracy"] > 0.8
