"""Paired tests and thresholds against hand-worked numbers, SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from sklearn import metrics as reference

from tlkeras.evaluation.paired import compare_scores, holm
from tlkeras.evaluation.thresholds import at_thresholds, balanced, best_threshold, choose_thresholds, f1
from tlkeras.export.answers import decide, read_output, threshold_list


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
    truth = generator.random(400) < 0.2
    scores = 0.2 * truth + 0.4 * generator.random(400)
    best = max(score(truth, scores >= value) for value in scores)
    threshold = best_threshold(truth, scores, worth)
    assert score(truth, scores >= threshold) == pytest.approx(best)
    assert score(truth, scores >= threshold) > score(truth, scores >= 0.5) + 0.05


def test_one_half_stays_where_another_threshold_is_better_by_chance():
    # Ten of 20 are positive. At 0.5 one of them is missed, at 0.4 none: (1 + 1)/2 against (0.9 + 1)/2, one example apart.
    truth = np.arange(20) < 10
    scores = np.where(truth, 0.9, 0.1)
    scores[0] = 0.4
    assert best_threshold(truth, scores, balanced) == 0.5
    scores[1:4] = 0.4  # four examples: 0.2 against two errors of sqrt(4) * 0.05
    assert best_threshold(truth, scores, balanced) == 0.5
    scores[4] = 0.4  # five: 0.25 against 0.22
    assert best_threshold(truth, scores, balanced) == pytest.approx(0.25)


def test_thresholds_are_for_two_classes_and_for_several_labels():
    scores = np.repeat([0.05, 0.1, 0.2, 0.3], 10)
    outputs = np.stack([1 - scores, scores], axis=1)
    assert choose_thresholds("classification", ("a", "b"), np.repeat([0, 1], 20), outputs) == {"b": pytest.approx(0.15)}
    assert choose_thresholds("classification", ("a", "b", "c"), np.array([0, 1, 2]), np.eye(3)) == {}
    labels = np.stack([np.repeat([1, 0], 20), np.zeros(40, int)], axis=1)
    assert choose_thresholds("multi_label", ("a", "b"), labels, outputs) == {"a": pytest.approx(0.85)}
    labels[9:20, 0] = 0
    assert choose_thresholds("multi_label", ("a", "b"), labels, np.roll(outputs, 1, axis=1)) == {}  # too few have it, or none


def test_decisions_at_thresholds_are_those_of_evaluation():
    generator = np.random.default_rng(0)
    outputs = generator.random((50, 3)).astype(np.float32)
    named = {"a": 0.2, "c": 0.7}
    listed = threshold_list("multi_label", ("a", "b", "c"), named)
    assert listed == [0.2, 0.5, 0.7]
    np.testing.assert_array_equal(decide("multi_label", outputs, listed), at_thresholds("multi_label", named, "abc", outputs))
    two = np.stack([1 - outputs[:, 0], outputs[:, 0]], axis=1)
    listed = threshold_list("classification", ("no", "yes"), {"yes": 0.3})
    expected = at_thresholds("classification", {"yes": 0.3}, ("no", "yes"), two)
    np.testing.assert_array_equal(decide("classification", two, listed)[:, 0], expected)
    assert 0 < expected.mean() < 1 and (expected != two.argmax(axis=1)).any()
    answer = read_output("classification", ("no", "yes"), "x", np.array([0.6, 0.4], np.float32), thresholds=listed)
    assert (answer.label, answer.labels, answer.probability) == ("yes", ("yes",), pytest.approx(0.4))
