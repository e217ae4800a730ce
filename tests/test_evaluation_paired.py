"""Paired tests and thresholds against hand-worked numbers, SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from sklearn import metrics as reference

from tlkeras.evaluation.paired import compare_scores, holm
from tlkeras.evaluation.thresholds import balanced, best_threshold, choose_thresholds, f1


def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs():
    # 9 to 1 of 20: 2 * (1 + 10) / 2^10.
    own, other = np.array([1] * 9 + [0] + [1] * 10), np.array([0] * 9 + [1] + [1] * 10)
    found = compare_scores(own, other)
    assert (found.wins, found.losses, found.p_value) == (9, 1, pytest.approx(22 / 1024))
    assert found.difference.value == pytest.approx(0.4)
    assert compare_scores(own, own).p_value == 1


def test_holm_corrects_as_worked_out_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.5]), [0.04, 0.09, 0.09, 0.5])
    # Never less strict than the false discovery rate.
    values = np.random.default_rng(0).random(20) ** 3
    assert (np.array(holm(values)) >= false_discovery_control(values) - 1e-12).all()


@pytest.mark.parametrize(("worth", "score"), [(f1, reference.f1_score), (balanced, reference.balanced_accuracy_score)])
def test_no_threshold_is_better_than_the_chosen_one(worth, score):
    generator = np.random.default_rng(0)
    truth = generator.random(200) < 0.2
    scores = np.clip(0.3 * truth + 0.5 * generator.random(200), 0, 1)
    chosen = score(truth, scores >= best_threshold(truth, scores, worth))
    assert chosen == pytest.approx(max(score(truth, scores >= value) for value in scores))
    assert chosen > score(truth, scores >= 0.5)


def test_thresholds_are_for_two_classes_and_for_several_labels():
    outputs = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.65, 0.35]])
    assert choose_thresholds("classification", ("a", "b"), np.array([0, 0, 1, 1]), outputs) == {"b": pytest.approx(0.25)}
    assert choose_thresholds("classification", ("a", "b", "c"), np.array([0, 1, 2]), np.eye(3)) == {}
    labels = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    assert choose_thresholds("multi_label", ("a", "b"), labels, outputs) == {"a": pytest.approx(0.75)}
