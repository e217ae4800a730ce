"""Calibration against closed forms, its null, and a head that is scaled in place."""

import numpy as np
import pytest

from tests.networks import square_splits, tiny_source
from tlkeras.errors import TlkerasError
from tlkeras.evaluation import scaling
from tlkeras.evaluation.calibration import (
    expected_error,
    fit_temperature,
    measure_calibration,
    null_errors,
    reliability,
    rescale,
)
from tlkeras.evaluation.evaluate import predict_examples
from tlkeras.evaluation.responses import respond
from tlkeras.evaluation.scaling import calibrate, calibrate_again
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.history import History


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _drawn(probabilities: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return (probabilities.cumsum(axis=1) > generator.random((len(probabilities), 1))).argmax(axis=1)


@pytest.fixture(scope="module")
def overconfident() -> tuple[np.ndarray, np.ndarray]:
    """Logits three times as large as those that the labels were drawn from."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 5))
    return _drawn(_softmax(logits), generator), 3 * logits


def test_the_error_is_that_worked_out_by_hand():
    # Two bins: 0.6 said and 0.5 right, 0.9 said and 0.5 right.
    confidence, right = np.array([0.6, 0.6, 0.9, 0.9]), np.array([1, 0, 1, 0])
    assert expected_error(confidence, right) == pytest.approx((0.1 + 0.4) / 2)
    bins = reliability(confidence, right)
    assert [(one.n, one.confidence, one.accuracy) for one in bins] == [
        (2, pytest.approx(0.6), 0.5),
        (2, pytest.approx(0.9), 0.5),
    ]


def test_the_null_of_one_bin_is_the_mean_distance_of_a_binomial():
    null = null_errors(np.full(1000, 0.9), seed=1)
    assert null.mean() == pytest.approx(np.sqrt(2 / np.pi * 0.9 * 0.1 / 1000), rel=0.1)


def test_a_calibrated_model_lies_within_its_null():
    generator = np.random.default_rng(1)
    probabilities = _softmax(2 * generator.normal(size=(1000, 4)))
    found = measure_calibration("classification", _drawn(probabilities, generator), probabilities)
    assert 0 < found.ece < found.ece_null_high
    assert found.ece == pytest.approx(found.ece_null, abs=0.02)
    assert found.after is None


def test_the_temperature_is_the_one_that_spoilt_the_logits(overconfident):
    labels, logits = overconfident
    temperature = fit_temperature("classification", labels, logits)
    assert temperature == pytest.approx(3, rel=0.06)
    # At the optimum the mean true logit is the mean expected one.
    expected = (_softmax(logits / temperature) * logits).sum(axis=1).mean()
    assert logits[np.arange(4000), labels].mean() == pytest.approx(expected, abs=1e-3)


def test_several_labels_have_one_temperature_too():
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(4000, 3))
    labels = (generator.random((4000, 3)) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    assert fit_temperature("multi_label", labels, 2.5 * logits) == pytest.approx(2.5, rel=0.06)


def test_where_all_is_right_nothing_is_scaled():
    assert fit_temperature("classification", np.array([0, 1]), np.array([[1.0, 0], [0, 1.0]])) == 1


def test_before_and_after_scaling_stand_side_by_side(overconfident):
    labels, logits = overconfident
    found = measure_calibration("classification", labels, _softmax(logits / 3), temperature=3.0)
    assert found.temperature == 3
    assert found.after is not None
    assert found.after.ece < found.after.ece_null_high < found.ece
    assert found.ece == pytest.approx(measure_calibration("classification", labels, _softmax(logits)).ece, abs=1e-6)
    assert found.brier == pytest.approx(((_softmax(logits) - np.eye(5)[labels]) ** 2).sum(axis=1).mean())
    assert found.after.brier < found.brier


@pytest.mark.parametrize("task", ["classification", "multi_label"])
def test_rescaling_there_and_back_changes_nothing(task):
    generator = np.random.default_rng(0)
    p = _softmax(generator.normal(size=(20, 4)))
    np.testing.assert_allclose(rescale(task, rescale(task, p, 2.5), 1 / 2.5), p, atol=1e-9)


SPLITS = square_splits()


def test_the_head_is_scaled_and_no_prediction_changes(monkeypatch):
    model = build_classifier(tiny_source(), SPLITS.classes)
    before = predict_examples(model, SPLITS.test)
    monkeypatch.setattr(scaling, "fit_temperature", lambda *_: 2.0)
    scaled = calibrate(model, SPLITS, smallest=30)
    assert scaled.temperature == 2
    after = predict_examples(scaled, SPLITS.test)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    np.testing.assert_allclose(after, rescale("classification", before, 2.0), atol=1e-5)


def test_a_model_trained_once_more_keeps_its_temperature_and_its_examples(monkeypatch, tmp_path):
    model = build_classifier(tiny_source(), SPLITS.classes)
    monkeypatch.setattr(scaling, "fit_temperature", lambda *_: 2.0)
    first = calibrate(model, SPLITS, smallest=30)
    other = build_classifier(tiny_source(seed=4), SPLITS.classes)
    model.network.set_weights(other.network.get_weights())  # what training once more does
    again = calibrate_again(first, SPLITS, History())
    expected = rescale("classification", predict_examples(other, SPLITS.test), 2.0)
    np.testing.assert_allclose(predict_examples(again, SPLITS.test), expected, atol=1e-5)
    assert first.familiar is not None and again.familiar is not None
    assert (again.temperature, again.familiar.smallest) == (2.0, first.familiar.smallest)
    train = respond(other, SPLITS.train).features
    np.testing.assert_allclose(again.familiar.bank, train / np.linalg.norm(train, axis=1, keepdims=True), atol=1e-3)
    assert calibrate_again(first, SPLITS, None) is first


def test_few_validation_examples_leave_the_head_alone():
    model = build_classifier(tiny_source(), SPLITS.classes)
    before = model.head.network.get_layer("logits").get_weights()
    assert calibrate(model, SPLITS) is model
    for old, new in zip(before, model.head.network.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_temperature_is_fitted_on_validation_and_lowers_its_loss():
    model = build_classifier(tiny_source(), SPLITS.classes)
    dense = model.head.network.get_layer("logits")
    dense.set_weights([9 * weight for weight in dense.get_weights()])
    logits = respond(model, SPLITS.val).logits
    temperature = calibrate(model, SPLITS, smallest=30).temperature
    assert temperature == pytest.approx(fit_temperature("classification", SPLITS.val.labels, logits), rel=1e-4)
    assert temperature > 1


def test_a_network_that_does_not_end_in_the_head_is_refused(monkeypatch):
    from dataclasses import replace

    model, other = (build_classifier(tiny_source(), SPLITS.classes, seed=seed) for seed in (0, 1))
    monkeypatch.setattr(scaling, "fit_temperature", lambda *_: 2.0)
    with pytest.raises(TlkerasError, match="not what the network ends in"):
        calibrate(replace(model, head=other.head), SPLITS, smallest=30)
