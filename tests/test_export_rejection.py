"""Exports that answer "none of these": the same in every runtime that can, and as the Keras model says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.export_models import image_examples, image_model, text_examples, text_model, texts, write_pictures
from tlkeras.evaluation.responses import respond
from tlkeras.export.answers import NONE_OF_THESE, read_output
from tlkeras.export.carried import problem_with_carried
from tlkeras.export.metadata import FAMILIAR
from tlkeras.export.predict import load_artifact, predict_images, predict_texts
from tlkeras.export.runtimes import read_carried
from tlkeras.export.targets import export_model
from tlkeras.scoring import as_json, as_rows
from tlkeras.tasks.model import Familiar

TARGETS = ("saved_model", "tflite_float32", "tflite_dynamic")


def _with_threshold(model, examples):
    """The model with half of its examples in the bank, and a threshold that a quarter of all examples fail."""
    features = respond(model, examples).features
    bank = features[::4] / np.linalg.norm(features[::4], axis=1, keepdims=True)
    similar = Familiar(bank.astype(np.float16), 0.0).similarity(features)
    # Between two examples, so that no rounding decides.
    low, high = np.sort(similar)[[9, 10]]
    return replace(model, familiar=Familiar(bank.astype(np.float16), float((low + high) / 2), 40)), similar


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    model, similar = _with_threshold(image_model(), image_examples())
    folder = tmp_path_factory.mktemp("pictures")
    artifacts = export_model(model, folder / "exports", targets=TARGETS)
    return model, similar, {one.target: one for one in artifacts}, write_pictures(folder, image_examples())


@pytest.mark.parametrize("target", TARGETS[:2])
def test_pictures_are_refused_as_the_keras_model_says(pictures, target):
    model, similar, artifacts, files = pictures
    answers = predict_images(load_artifact(artifacts[target].path, refuse=True), files)
    np.testing.assert_array_equal([one.refused for one in answers], similar < model.familiar.smallest)
    assert {one.label for one in answers if one.refused} == {NONE_OF_THESE}
    plain = predict_images(load_artifact(artifacts[target].path), files)
    assert not any(one.refused for one in plain)
    for one, other in zip(answers, plain, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
        assert one.refused or one.label == other.label


def test_texts_are_refused_by_ids_and_by_strings(tmp_path):
    model, similar = _with_threshold(text_model(), text_examples())
    assert model.familiar is not None
    for artifact in export_model(model, tmp_path, targets=TARGETS[:2]):
        answers = predict_texts(load_artifact(artifact.path, refuse=True), texts())
        np.testing.assert_array_equal([one.refused for one in answers], similar < model.familiar.smallest)


def test_the_contract_says_how_to_refuse_and_the_file_travels(pictures):
    model, _, artifacts, _ = pictures
    for artifact in artifacts.values():
        embedded = read_carried(artifact.path)
        terms = embedded.contract["rejection"]
        assert (terms["method"], terms["threshold"]) == ("distance", model.familiar.smallest)
        assert embedded.files[FAMILIAR].startswith(b"\x93NUMPY")
        assert problem_with_carried(artifact.path, model) == ""
        changed = replace(model, familiar=replace(model.familiar, bank=model.familiar.bank[::-1]))
        assert "familiar.npy" in problem_with_carried(artifact.path, changed)
    summary = json.loads((artifacts["tflite_float32"].path.parent / "metadata.json").read_text())
    assert summary["rejection"]["threshold"] == model.familiar.smallest


def test_a_model_without_a_threshold_carries_none(tmp_path):
    (artifact,) = export_model(image_model(), tmp_path, targets=("tflite_float32",))
    embedded = read_carried(artifact.path)
    assert "rejection" not in embedded.contract and FAMILIAR not in embedded.files
    assert load_artifact(artifact.path, refuse=True).refuse is None


def test_a_refused_input_shows_what_is_nearest(pictures):
    predictor = load_artifact(pictures[2]["tflite_float32"].path)
    output = np.array([0.2, 0.7, 0.1], np.float32)
    refused = read_output("classification", predictor.labels, "a.png", output, refused=True)
    assert as_json(refused, predictor, 1) == {
        "input": "a.png", "label": NONE_OF_THESE, "nearest": [{"label": "bée", "probability": 0.7}]
    }  # fmt: skip
    assert list(as_rows([refused], predictor, 1)) == [("a.png", "none of these (nearest: bée 0.700)")]
    named = read_output("classification", ("none of these", "b"), "a.png", np.array([0.9, 0.1], np.float32))
    assert not named.refused
