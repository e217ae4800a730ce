"""Evaluation: on the test split only, beside nulls that are fitted on training."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.networks import square_splits, tiny_source
from tlkeras.data.decode import read_pixels
from tlkeras.data.examples import ClassTargets, Examples, Splits, Texts
from tlkeras.evaluation import nulls
from tlkeras.evaluation.evaluate import evaluate, predict_examples
from tlkeras.evaluation.saved import save_evaluation
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.fit import fit

SPLITS = square_splits()


@pytest.fixture(scope="module")
def trained():
    model = build_classifier(tiny_source(), SPLITS.classes)
    fit(model, SPLITS, [Phase(name="x", trainable="all", epochs=12, learning_rate=1e-2, patience=12)])
    return model


@pytest.fixture(scope="module")
def evaluation(trained):
    return evaluate(trained, SPLITS)


def test_predictions_are_those_of_the_plain_keras_model(trained):
    pixels = read_pixels(SPLITS.test.store, 12).astype("float32")
    np.testing.assert_allclose(predict_examples(trained, SPLITS.test), trained.network.predict(pixels, verbose=0), atol=1e-5)


def test_accuracy_is_measured_on_the_test_split(evaluation):
    hits = (evaluation.outputs.argmax(axis=1) == SPLITS.test.labels).mean()
    assert evaluation.measures["accuracy"].value == hits
    assert evaluation.measures["accuracy"].n == 30
    assert evaluation.confusion.sum() == 30
    assert [row["support"] for row in evaluation.per_class.values()] == [10, 10, 10]


def test_the_nulls_stand_beside_the_model(evaluation):
    assert set(evaluation.nulls) == {"majority of training", "same network, random weights", "pixels + linear model"}
    assert evaluation.nulls["majority of training"].value == pytest.approx(1 / 3)
    best = max(evaluation.nulls.values(), key=lambda measure: measure.value)
    assert evaluation.gain.value == pytest.approx(evaluation.measures["accuracy"].value - best.value)


def test_the_majority_null_is_that_of_training_not_of_test():
    skewed = replace(SPLITS, train=SPLITS.train.take(np.flatnonzero(SPLITS.train.labels == 2)))
    assert set(nulls.majority(skewed)) == {2}


def test_the_random_network_null_uses_none_of_the_trained_weights(trained):
    other = build_classifier(tiny_source(seed=9), SPLITS.classes)
    np.testing.assert_array_equal(nulls.random_network(trained, SPLITS, seed=1), nulls.random_network(other, SPLITS, seed=1))


def test_test_labels_do_not_reach_the_nulls(trained):
    lied = replace(SPLITS, test=replace(SPLITS.test, targets=ClassTargets(1 - SPLITS.test.labels % 2)))
    np.testing.assert_array_equal(nulls.without_network(SPLITS), nulls.without_network(lied))
    np.testing.assert_array_equal(nulls.random_network(trained, SPLITS), nulls.random_network(trained, lied))


def _texts(count: int, *, seed: int) -> Examples:
    labels = np.arange(count, dtype=np.int32) % 2
    texts = tuple(f"{('bad', 'good')[label]} film number {seed}{index}" for index, label in enumerate(labels))
    ids = np.array([f"{seed}/{index}" for index in range(count)])
    return Examples(ids, Texts(texts, np.arange(count)), ClassTargets(labels))


def test_tf_idf_finds_the_word_that_tells_the_classes_apart():
    splits = Splits(_texts(20, seed=1), _texts(10, seed=2), _texts(10, seed=3), ("no", "yes"), "0")
    np.testing.assert_array_equal(nulls.without_network(splits), splits.test.labels)


def test_texts_without_words_fall_back_to_the_majority():
    splits = Splits(_texts(4, seed=1), _texts(4, seed=2), _texts(4, seed=3), ("no", "yes"), "0")
    blank = replace(splits, train=replace(splits.train, store=Texts(("?",) * 4, np.arange(4))))
    np.testing.assert_array_equal(nulls.without_network(blank), nulls.majority(blank))


def test_saved_files_can_be_read_without_tlkeras(evaluation, tmp_path):
    hostile = replace(evaluation, classes=("=cmd|x", "<b>", "c"), ids=np.array(["=1+1", *evaluation.ids[1:]]))
    save_evaluation(hostile, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["test"]["accuracy"]) == {"value", "low", "high", "n"}
    assert metrics["verdict"] == evaluation.verdict
    rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert rows[0] == "id,where,target,predicted,probability:=cmd|x,probability:<b>,probability:c,column:brightness"
    assert rows[1].startswith("'=1+1,\"array, row 0\",'=cmd|x,")
    assert len(rows) == 31
    with Image.open(tmp_path / "confusion_matrix.png") as picture:
        assert picture.size[0] > 200
