"""Measures against scikit-learn, published intervals and closed forms."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as reference

from tlkeras.evaluation import multi_label, regression
from tlkeras.evaluation.classification import areas, confusion_matrix, measures, precision_recall_f1
from tlkeras.evaluation.evaluate import paired_gain, verdict
from tlkeras.evaluation.metrics import Measure, bootstrap, wilson


@pytest.fixture(scope="module")
def predictions() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 4, 300)
    logits = generator.normal(size=(300, 4)) + 1.2 * np.eye(4)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_wilson_gives_the_interval_of_the_textbook():
    # 20 of 20: upper end 1, lower end n / (n + z²) = 20 / (20 + 1.959964²).
    measure = wilson(20, 20)
    assert measure.high == pytest.approx(1.0)
    assert measure.low == pytest.approx(20 / (20 + 1.959964**2), abs=1e-6)
    # 5 of 10: symmetric, half width z/(n+z²) * sqrt(n/4 + z²/4).
    half = 1.959964 / (10 + 1.959964**2) * np.sqrt(10 / 4 + 1.959964**2 / 4)
    assert wilson(5, 10).low == pytest.approx(0.5 - half, abs=1e-6)


def test_measures_agree_with_scikit_learn(predictions):
    labels, probabilities = predictions
    guess = probabilities.argmax(axis=1)
    found = measures(labels, probabilities)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, guess, average="macro")
    assert found["accuracy"].value == reference.accuracy_score(labels, guess)
    assert found["precision_macro"].value == pytest.approx(precision)
    assert found["recall_macro"].value == pytest.approx(recall)
    assert found["f1_macro"].value == pytest.approx(f1)
    assert found["roc_auc"].value == pytest.approx(reference.roc_auc_score(labels, probabilities, multi_class="ovr"))
    balanced = reference.balanced_accuracy_score(labels, guess)
    assert found["balanced_accuracy"].value == pytest.approx(balanced)
    assert found["matthews"].value == pytest.approx(reference.matthews_corrcoef(labels, guess))
    average = reference.average_precision_score(np.eye(4)[labels], probabilities)
    assert found["average_precision"].value == pytest.approx(average)
    weighted = reference.precision_recall_fscore_support(labels, guess, average="weighted")[:3]
    names = ("precision_weighted", "recall_weighted", "f1_weighted")
    assert [found[name].value for name in names] == pytest.approx(weighted)
    assert all(measure.low < measure.value < measure.high for measure in found.values())
    assert "top_5_accuracy" not in found


def test_top_k_counts_an_example_whose_class_is_among_the_best():
    generator = np.random.default_rng(4)
    labels, outputs = np.arange(70) % 7, generator.dirichlet(np.ones(7), 70)
    found = measures(labels, outputs)["top_5_accuracy"]
    assert found.value == pytest.approx(reference.top_k_accuracy_score(labels, outputs, k=5))


def test_a_class_that_the_test_examples_lack_counts_in_no_mean():
    labels, outputs = np.array([0, 0, 1, 1]), np.eye(3)[[0, 0, 1, 0]] * 0.8 + 0.1
    found = measures(labels, outputs)
    assert found["balanced_accuracy"].value == pytest.approx(0.75)
    assert found["roc_auc"].value == pytest.approx(0.75)


def test_confusion_matrix_agrees_with_scikit_learn(predictions):
    labels, probabilities = predictions
    guess = probabilities.argmax(axis=1)
    np.testing.assert_array_equal(confusion_matrix(labels, guess, 4), reference.confusion_matrix(labels, guess))


def test_binary_roc_auc_agrees_with_scikit_learn_also_with_ties():
    labels = np.array([0, 0, 1, 1, 1, 0])
    score = np.array([0.1, 0.5, 0.5, 0.9, 0.2, 0.2])
    found = areas([labels == 1], [score])
    assert found["roc_auc"].value == pytest.approx(reference.roc_auc_score(labels, score))
    assert found["average_precision"].value == pytest.approx(reference.average_precision_score(labels, score))


def test_a_class_that_is_never_predicted_has_precision_zero_not_nan():
    confusion = np.array([[3, 0], [2, 0]])
    precision, recall, f1 = precision_recall_f1(confusion)
    assert precision.tolist() == [0.6, 0.0]
    assert recall.tolist() == [1.0, 0.0]
    assert f1.tolist() == [0.75, 0.0]


def test_bootstrap_of_a_constant_is_the_constant():
    assert bootstrap(lambda rows: 1.0, 30) == Measure(1.0, 1.0, 1.0, 30)


def test_paired_gain_counts_only_the_examples_that_differ():
    model = np.array([True] * 60 + [False] * 40)
    null = np.array([True] * 40 + [False] * 60)
    gain = paired_gain(model, null)
    assert gain.value == pytest.approx(0.2)
    # Pairing: 20 wins and no loss in 100, so the interval is that of a proportion of 20 %.
    assert 0.1 < gain.low < 0.2 < gain.high < 0.3


@pytest.mark.parametrize(
    ("gain", "start"),
    [
        (Measure(0.1, 0.05, 0.15, 200), "Transfer helped: +10.0 points [+5.0, +15.0]"),
        (Measure(-0.1, -0.15, -0.05, 200), "Transfer hurt: -10.0 points"),
        (Measure(0.01, -0.02, 0.04, 200), "Transfer made no difference that 200 test examples can show"),
    ],
)
def test_the_verdict_follows_the_interval(gain, start):
    assert verdict(gain, "majority class").startswith(start)


def test_multi_label_measures_agree_with_scikit_learn():
    generator = np.random.default_rng(2)
    labels = (generator.random((200, 5)) < 0.3).astype(np.uint8)
    outputs = np.clip(0.35 * labels + 0.65 * generator.random((200, 5)), 0, 1)
    predicted = (outputs >= 0.5).astype(np.uint8)
    found = multi_label.measures(labels, outputs)
    jaccard = reference.jaccard_score(labels, predicted, average="samples", zero_division=1.0)
    assert found["jaccard"].value == pytest.approx(jaccard)
    assert found["exact_match"].value == reference.accuracy_score(labels, predicted)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, predicted, average="macro")
    assert [found[f"{name}_macro"].value for name in ("precision", "recall", "f1")] == pytest.approx([precision, recall, f1])
    assert found["f1_micro"].value == pytest.approx(reference.f1_score(labels, predicted, average="micro"))
    assert found["f1_weighted"].value == pytest.approx(reference.f1_score(labels, predicted, average="weighted"))
    assert found["roc_auc"].value == pytest.approx(reference.roc_auc_score(labels, outputs))
    assert found["average_precision"].value == pytest.approx(reference.average_precision_score(labels, outputs))


def test_regression_measures_agree_with_scikit_learn():
    generator = np.random.default_rng(3)
    true = generator.normal(50, 10, 150).astype(np.float32)
    predicted = (true + generator.normal(1, 4, 150)).astype(np.float32)
    found = regression.measures(true, predicted[:, None])
    assert found["mean_absolute_error"].value == pytest.approx(reference.mean_absolute_error(true, predicted), rel=1e-5)
    assert found["root_mean_square_error"].value == pytest.approx(reference.root_mean_squared_error(true, predicted), rel=1e-5)
    assert found["r_squared"].value == pytest.approx(reference.r2_score(true, predicted), rel=1e-5)
    assert found["median_absolute_error"].value == pytest.approx(reference.median_absolute_error(true, predicted), rel=1e-5)
    assert found["rank_correlation"].value == pytest.approx(spearmanr(true, predicted).statistic)
    assert found["correlation"].value == pytest.approx(np.corrcoef(true, predicted)[0, 1], rel=1e-5)
    assert all(measure.low < measure.value < measure.high for measure in found.values())


def test_a_smaller_error_than_the_null_is_a_gain():
    true = np.linspace(0, 9, 60)
    noise = np.random.default_rng(0).normal(0, 0.1, 60)
    gain = paired_gain(regression.score(true, true + noise), regression.score(true, np.full(60, 4.5)))
    assert 1.8 < gain.low < gain.value < gain.high < 2.6
    assert verdict(gain, "median", points=False).startswith("Transfer helped: +2.")
