"""Rare classes: weights, sampling, focal loss."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.networks import SIZE, square_splits, tiny_source
from tlkeras.data.decode import read_pixels
from tlkeras.data.targets import ClassTargets, ValueTargets
from tlkeras.features.rows import Rows, shuffled_batches
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import HEAD, plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.balance import SparseFocal, plan_balance
from tlkeras.training.examples import read_training_data
from tlkeras.training.fit import fit

SKEWED = ClassTargets(np.array([0] * 60 + [1] * 30 + [2] * 10, np.int32))


def test_weights_give_each_class_the_same_say():
    plan = plan_balance(SKEWED, "weights")
    sums = [plan.weights[SKEWED.labels == label].sum() for label in range(3)]
    assert sums == pytest.approx([100 / 3] * 3)
    assert plan.weights.mean() == pytest.approx(1.0)


@pytest.mark.parametrize(("labels", "mode"), [([0] * 29 + [1] * 10, "none"), ([0] * 30 + [1] * 10, "weights")])
def test_auto_weights_from_three_to_one_on_and_says_why(labels, mode):
    plan = plan_balance(ClassTargets(np.array(labels)), "auto")
    assert plan.mode == mode
    assert f"{labels.count(0) / 10:.1f} times" in plan.reason


def test_sampling_draws_each_class_equally_often():
    plan = plan_balance(SKEWED, "sampling")
    drawn = np.concatenate(
        [np.concatenate(shuffled_batches(Rows(np.zeros(100)), 10, seed=0, epoch=e, shares=plan.weights)) for e in range(60)]
    )
    shares = np.bincount(SKEWED.labels[drawn]) / len(drawn)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)


def test_focal_loss_without_focus_is_cross_entropy_and_with_it_scales_each_example():
    logits = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    y = np.array([0, 1, 2, 3, 0, 1, 2])
    plain = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
    np.testing.assert_allclose(SparseFocal(gamma=0.0).call(y, logits), plain, atol=1e-6)
    p = np.exp(logits)[np.arange(7), y] / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(SparseFocal(gamma=2.0).call(y, logits), (1 - p) ** 2 * -np.log(p), atol=1e-5)


def test_a_mode_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"Received: 'weigths'. Did you mean 'weights'"):
        plan_balance(SKEWED, "weigths")
    with pytest.raises(ValueError, match=r"one class for each example. Received: ValueTargets"):
        plan_balance(ValueTargets(np.zeros(3, np.float32)), "focal")


@pytest.mark.parametrize(
    ("balance", "augment"), [("weights", "none"), ("sampling", "light"), ("focal", "none"), ("auto", "strong")]
)
def test_training_goes_through_with_each(balance, augment, tmp_path):
    from tlkeras.runs import Run

    splits = square_splits()
    keep = np.flatnonzero((splits.train.labels > 0) | (np.arange(90) < 24))  # class 0 is rare
    splits = replace(splits, train=splits.train.take(keep))
    model = build_classifier(tiny_source(), splits.classes)
    phases = [
        Phase(name="head", solver="closed_form", epochs=1),
        Phase(name="all", trainable="all", epochs=3, learning_rate=1e-2, augment=augment),
    ]
    run = Run(path=tmp_path, recipe="x", config={})
    history = fit(model, splits, phases, balance=balance, run=run, flip=augment == "light")
    assert [row["phase"] for row in history.rows] == ["head", "all", "all", "all"]
    assert all(np.isfinite(row["val_loss"]) for row in history.rows)
    assert (tmp_path / "augmentation.png").exists() == (augment != "none")


def test_each_epoch_reads_the_next_view():
    from tlkeras.training.batches import train_batches

    inputs = [keras.Input((1,))]
    views = [(Rows(np.full((6, 1), view, np.float32)),) for view in range(3)]
    targets = [np.full(6, view, np.int32) for view in range(3)]
    batches = list(train_batches(views, targets, inputs, batch_size=3, seed=0, epochs=4))
    assert [int(x[0, 0]) for x, _ in batches] == [0, 0, 1, 1, 2, 2, 0, 0]
    assert [int(y[0]) for _, y in batches] == [0, 0, 1, 1, 2, 2, 0, 0]


def _views(phases, **options):
    data = read_training_data(
        build_classifier(tiny_source(), square_splits().classes),
        square_splits(),
        phases,
        **{"balance": "none", "flip": False, "views": 4, "seed": 0, **options},
    )
    return [rows.values for rows in data.views]


def test_there_are_as_many_different_views_as_asked_for_and_at_most_one_for_each_epoch():
    varied = Phase(name="all", trainable="all", epochs=5, augment="light")
    for views, count in ((2, 2), (5, 5), (9, 5)):
        found = _views([HEAD, varied], views=views)
        assert len({pixels.tobytes() for pixels in found}) == len(found) == count
        np.testing.assert_array_equal(found[0], read_pixels(square_splits().train.store, SIZE))
    with pytest.raises(ValueError, match=r"2 views or more, the original among them. Received: views=1"):
        _views([HEAD, varied], views=1)


def test_a_head_that_is_solved_alone_is_told_that_nothing_is_varied(caplog):
    assert len(_views([HEAD], flip=True)) == 1
    assert "Nothing is mirrored" in caplog.text
    phases = plan_phases("feature_extraction", augment="strong", penalties="l2_sp=0.1")
    assert phases == [HEAD]
    assert "augment counts for nothing" in caplog.text and "penalties counts for nothing" in caplog.text
