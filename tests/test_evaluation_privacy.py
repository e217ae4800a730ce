"""Membership attacks against closed forms and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

from tests.networks import square_splits, tiny_source
from tlkeras.evaluation.privacy import attack_signals, audit_privacy, audit_signals, found_at
from tlkeras.tasks.classification import build_classifier

SPLITS = square_splits()


def test_gaussian_losses_that_are_half_a_deviation_apart_give_the_known_area():
    generator = np.random.default_rng(0)
    members = np.repeat([1, 0], 2000)
    loss = generator.normal(size=4000) - 0.5 * members + 10
    signals = np.stack([loss, generator.normal(size=4000), generator.normal(size=4000)], axis=1)
    found = audit_signals(signals, members)
    assert found.attacks["loss threshold"].value == pytest.approx(norm.cdf(0.5 / np.sqrt(2)), abs=0.02)  # 0.638
    assert found.tpr_at_1_percent_fpr.value == pytest.approx(norm.sf(norm.isf(0.01) - 0.5), abs=0.02)  # 0.034
    assert found.members == 2000


def test_where_nothing_tells_members_apart_chance_lies_in_the_interval():
    generator = np.random.default_rng(1)
    found = audit_signals(np.abs(generator.normal(size=(600, 3))), np.repeat([1, 0], 300))
    assert found.auc.low < 0.5 < found.auc.high or abs(found.auc.value - 0.5) < 0.06


def test_the_share_found_at_few_false_alarms_agrees_with_scikit_learn():
    generator = np.random.default_rng(2)
    members, scores = generator.integers(0, 2, 500), np.round(generator.normal(size=500), 1)
    fall_out, recall, _ = roc_curve(members, scores, drop_intermediate=False)
    assert found_at(scores, members, alarms=0.05).value == pytest.approx(recall[fall_out <= 0.05].max())


def test_signals_are_those_worked_out_by_hand():
    outputs = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    loss, margin, entropy = attack_signals("classification", np.array([0, 1]), outputs).T
    np.testing.assert_allclose(loss, -np.log([0.7, 0.25]))
    np.testing.assert_allclose(margin, [0.5, -0.25])
    np.testing.assert_allclose(entropy, -(outputs * np.log(outputs)).sum(axis=1))
    loss, margin, _ = attack_signals("multi_label", np.array([[1, 0]]), np.array([[0.8, 0.4]])).T
    assert (loss[0], margin[0]) == (pytest.approx(-np.log(0.8) - np.log(0.6)), pytest.approx(0.2))


def test_an_untrained_model_leaks_nothing_and_values_are_refused():
    model = build_classifier(tiny_source(), SPLITS.classes)
    found = audit_privacy(model, SPLITS)
    assert found.members == 90 and found.auc.n == 120
    assert found.attacks["loss threshold"].low < 0.5 < found.attacks["loss threshold"].high
