"""Corruptions of graded strength, and what they do to a model; drift and forgetting; "none of these"."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tests.export_models import text_examples, text_model
from tests.networks import SIZE, square_splits, tiny_source
from tests.test_evaluation_saved import evaluation as plain_evaluation
from tlkeras.data.examples import Examples, ImageArrays, Texts
from tlkeras.data.targets import NoTargets
from tlkeras.evaluation import rejection
from tlkeras.evaluation.corruptions import PICTURES, TEXTS
from tlkeras.evaluation.evaluate import evaluate
from tlkeras.evaluation.forgetting import measure_forgetting, slices_before_training, true_classes
from tlkeras.evaluation.rejection import choose_familiar
from tlkeras.evaluation.responses import respond
from tlkeras.evaluation.robustness import measure_robustness, spoil
from tlkeras.evaluation.saved import save_evaluation
from tlkeras.evaluation.scaling import calibrate, save_calibration, with_calibration
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.fit import fit

SPLITS = square_splits()


@pytest.fixture(scope="module")
def trained():
    model = build_classifier(tiny_source(), SPLITS.classes)
    fit(model, SPLITS, [Phase(name="x", trainable="all", epochs=15, learning_rate=1e-2, patience=15)])
    return calibrate(model, SPLITS, smallest=30)


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_spoilt_more_and_more_and_always_alike(kind):
    store = SPLITS.test.store
    assert isinstance(store, ImageArrays)
    distance = [
        np.abs(PICTURES[kind](store.pixels[:4], severity, 0).astype(int) - store.pixels[:4]).mean() for severity in range(1, 6)
    ]
    assert all(one < other for one, other in pairwise(distance))
    assert distance[0] > 0 and PICTURES[kind](store.pixels[:1], 3, 0).dtype == np.uint8
    np.testing.assert_array_equal(PICTURES[kind](store.pixels[:2], 2, 7), PICTURES[kind](store.pixels[:2], 2, 7))


def test_a_text_is_spoilt_more_and_more_and_always_alike():
    text = "the quick brown fox jumps over the lazy dog " * 20
    for kind, spoilt in TEXTS.items():
        changed = [
            sum(a != b for a, b in zip(spoilt(text, severity, 1).split(), text.split(), strict=False)) for severity in (1, 3, 5)
        ]
        assert changed == sorted(changed) and changed[0] > 0, kind
        assert spoilt(text, 4, 3) == spoilt(text, 4, 3)
    assert TEXTS["capitals"]("Ab cd", 5, 0) == "AB CD"
    assert sorted(TEXTS["typos"]("12 34!", 5, 0)) == sorted("12 34!")


def test_the_curves_begin_with_the_inputs_as_they_are(trained, tmp_path):
    seen: list[tuple[int, int]] = []
    found = measure_robustness(trained, SPLITS.test, on_progress=lambda done, total: seen.append((done, total)))
    assert len(found) == 6 * len(PICTURES) and seen[-1] == (30, 30)
    plain = evaluate(trained, SPLITS, compare_nulls=False)
    assert {point.metric.value for point in found if point.severity == 0} == {plain.measures["accuracy"].value}
    worst = min(point.metric.value for point in found if point.severity == 5)
    assert worst < plain.measures["accuracy"].value - 0.2
    save_evaluation(replace(plain, robustness=found), tmp_path)
    with Image.open(tmp_path / "robustness.png") as picture:
        assert picture.size[0] > 500


def test_texts_have_curves_too_and_a_sample_of_them_is_enough():
    found = measure_robustness(text_model(), text_examples())
    assert {point.corruption for point in found} == {"typos", "capitals"}
    spoilt = spoil(text_examples(), "capitals", 5)
    assert isinstance(spoilt.store, Texts) and spoilt.store.texts[0].isupper()


def test_a_source_that_was_not_trained_has_not_drifted():
    model = build_classifier(tiny_source(), SPLITS.classes)
    assert measure_forgetting(model, tiny_source(), SPLITS).drift.value == pytest.approx(0, abs=1e-6)
    drifted = measure_forgetting(model, tiny_source(seed=3), SPLITS).drift
    assert 0.02 < drifted.low < drifted.value < 1


def test_the_source_task_is_measured_where_head_and_data_are_at_hand():
    source = tiny_source()
    kernel = np.random.default_rng(0).normal(size=(10, 1000))
    original = replace(source, head=(kernel, np.zeros(1000)), facts={"source_data": "ImageNet-1k"})
    found = measure_forgetting(build_classifier(source, SPLITS.classes), original, SPLITS)
    assert found.before is not None and found.before == found.after and found.before.n == 20
    assert measure_forgetting(build_classifier(source, SPLITS.classes), source, SPLITS).before is None


def test_slices_before_training_are_those_of_a_head_on_frozen_features(trained):
    original = tiny_source()
    side = np.array(["left", "right"] * 15)
    few = {"side": np.repeat(side[:1], 30)}
    found = slices_before_training(
        trained,
        original,
        replace(SPLITS, test=SPLITS.test.take(np.tile(np.arange(30), 2))),
        {"side": np.repeat(["a", "b"], 30)},
    )
    # Both sides hold the same pictures.
    assert [one.difference for one in found] == [0, 0] and found[0].n == 30
    frozen = build_classifier(original, SPLITS.classes)
    fit(frozen, SPLITS, plan_phases("feature_extraction"))
    assert found[0].metric.value == evaluate(frozen, SPLITS, compare_nulls=False).measures["accuracy"].value
    assert slices_before_training(trained, original, SPLITS, few) == ()


def test_photographs_are_labelled_by_their_names():
    names = np.array(["imagenet_00_243.jpg", "imagenet_15_99.jpg"])
    examples = Examples(names, ImageArrays(np.zeros((2, 4, 4, 3), np.uint8)), NoTargets(2))
    np.testing.assert_array_equal(true_classes(examples), [243, 99])


def test_one_in_fifty_validation_examples_lies_beyond_the_threshold(trained):
    val = respond(trained, SPLITS.val)
    found = choose_familiar(trained, SPLITS, val)
    similar = found.similarity(val.features)
    assert found.smallest == pytest.approx(np.quantile(similar, 0.02), abs=1e-4)
    features, train = val.features[3], respond(trained, SPLITS.train).features
    expected = (train @ features / np.linalg.norm(train, axis=1) / np.linalg.norm(features)).max()
    assert similar[3] == pytest.approx(expected, abs=1e-3)


def test_the_bank_takes_each_class_in_turn(trained, monkeypatch):
    monkeypatch.setattr(rejection, "BANK", 6)
    seen: list[Examples] = []

    def watched(model, part):
        seen.append(part)
        return respond(model, part)

    monkeypatch.setattr(rejection, "respond", watched)
    skewed = replace(SPLITS, train=SPLITS.train.take(np.r_[0:90:3, 1, 4, 2, 5]))
    assert len(choose_familiar(trained, skewed, respond(trained, SPLITS.val)).bank) == 6
    assert np.bincount(seen[0].labels).tolist() == [2, 2, 2]


def test_a_calibration_comes_back_from_the_run_folder(trained, tmp_path):
    save_calibration(trained, tmp_path)
    again = with_calibration(build_classifier(tiny_source(), SPLITS.classes), tmp_path)
    assert again.temperature == trained.temperature
    assert again.familiar is not None
    assert again.familiar.smallest == trained.familiar.smallest
    np.testing.assert_array_equal(again.familiar.bank, trained.familiar.bank)
    assert with_calibration(trained, tmp_path / "elsewhere") is trained


def test_foreign_pictures_are_told_from_own_ones(trained):
    assert trained.familiar is not None
    foreign = Examples(
        np.arange(40).astype(str),
        ImageArrays(np.random.default_rng(0).integers(0, 120, (40, SIZE, SIZE, 3)).astype(np.uint8)),
        NoTargets(40),
    )
    found = evaluate(trained, SPLITS, foreign=foreign, compare_nulls=False).rejection
    assert found is not None and found.auc is not None and found.rejected_own is not None and found.rejected_foreign is not None
    assert (found.threshold, found.foreign, found.n) == (trained.familiar.smallest, "40 foreign inputs", 30)
    # Pictures without any square.
    assert found.auc.value > 0.8
    assert found.rejected_foreign.value > found.rejected_own.value
    assert plain_evaluation().rejection is None
