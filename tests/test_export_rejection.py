"""Exports that answer "none of these": the same in every runtime that can, and as the Keras model says."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.browser_tools import MODULES, chromium, require_packages, web_server
from tests.export_models import image_examples, image_model, text_examples, text_model, texts, write_pictures
from tlkeras.data.examples import Examples, ImageArrays
from tlkeras.data.targets import NoTargets
from tlkeras.evaluation.responses import respond
from tlkeras.export.answers import NONE_OF_THESE, SIMILARITY, read_output
from tlkeras.export.app import write_app
from tlkeras.export.bounds import BOUNDS
from tlkeras.export.carried import problem_with_carried
from tlkeras.export.predict import load_artifact, predict_images, predict_texts
from tlkeras.export.runtimes import read_carried
from tlkeras.export.targets import export_model
from tlkeras.export.verify import compare_with_keras
from tlkeras.features.litert import load_litert
from tlkeras.scoring import as_json, as_rows
from tlkeras.tasks.model import Familiar

PICTURES = ("saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8", "onnx")
TEXTS = ("saved_model", "tflite_float32", "tflite_dynamic", "mediapipe_float32", "onnx")


def _with_threshold(model, examples):
    """The model with a quarter of its examples in the bank, and a threshold that a quarter of all examples fail."""
    features = respond(model, examples).features
    bank = features[::4] / np.linalg.norm(features[::4], axis=1, keepdims=True)
    similar = Familiar(bank.astype(np.float16), 0.0).similarity(features)
    # Between two examples, so that no rounding decides.
    low, high = np.sort(similar)[[9, 10]]
    return replace(model, familiar=Familiar(bank.astype(np.float16), float((low + high) / 2), 40)), similar


def _pictures_of(*pixels):
    return Examples(np.arange(len(pixels)).astype(str), ImageArrays(np.stack(pixels)), NoTargets(len(pixels)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    model, similar = _with_threshold(image_model(), image_examples())
    folder = tmp_path_factory.mktemp("pictures")
    artifacts = export_model(model, folder / "exports", targets=PICTURES, calibration=image_examples(160))
    return model, similar, {one.target: one for one in artifacts}, write_pictures(folder, image_examples())


@pytest.mark.parametrize("target", ("saved_model", "tflite_float32", "onnx"))
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
    for artifact in export_model(model, tmp_path, targets=TEXTS):
        answers = predict_texts(load_artifact(artifact.path, refuse=True), texts())
        if artifact.target != "tflite_dynamic":
            np.testing.assert_array_equal([one.refused for one in answers], similar < model.familiar.smallest)
        (result,) = compare_with_keras([artifact], model, text_examples())
        assert (result.passed, result.problem) == (True, "")


def test_the_contract_says_how_to_refuse(pictures):
    model, _, artifacts, _ = pictures
    for artifact in artifacts.values():
        terms = read_carried(artifact.path).contract["rejection"]
        assert (terms["method"], terms["output"], terms["threshold"]) == ("distance", SIMILARITY, model.familiar.smallest)
        assert problem_with_carried(artifact.path, model) == ""
        changed = replace(model, familiar=replace(model.familiar, smallest=0.5))
        assert "rejection 'threshold'" in problem_with_carried(artifact.path, changed)
    summary = json.loads((artifacts["tflite_float32"].path.parent / "metadata.json").read_text())
    assert summary["rejection"]["threshold"] == model.familiar.smallest


def test_the_output_of_the_task_stays_the_first_one(pictures):
    for target, artifact in pictures[2].items():
        if target.startswith("tflite"):
            details = load_litert(artifact.path).interpreter.get_output_details()
            assert [len(one["shape"]) for one in details] == [2, 2]
            assert [one["shape"][1] for one in details] == [3, 1]


def test_parity_holds_for_refusals_and_a_bank_of_another_model_fails_it(pictures):
    model, _, artifacts, _ = pictures
    results = compare_with_keras(list(artifacts.values()), model, image_examples())
    for result in results:
        assert (result.passed, result.problem) == (True, "")
        assert result.similarity_difference is not None and result.similarity_difference < BOUNDS[result.target].similarity
        assert result.refusal_agreement == 1 or BOUNDS[result.target].similarity > 1e-4
    other = replace(model.familiar, bank=np.roll(model.familiar.bank, 1, axis=1))
    for result in compare_with_keras(
        [artifacts[name] for name in PICTURES[:5]], replace(model, familiar=other), image_examples()
    ):
        assert not result.passed
        assert "similarities differ" in result.problem


def test_a_model_without_a_threshold_carries_none(tmp_path):
    (artifact,) = export_model(image_model(), tmp_path, targets=("tflite_float32",))
    embedded = read_carried(artifact.path)
    assert "rejection" not in embedded.contract
    assert load_litert(artifact.path).outputs == ("probabilities",)
    assert load_artifact(artifact.path, refuse=True).smallest is None


def test_a_refused_input_shows_what_is_nearest(pictures):
    predictor = load_artifact(pictures[2]["tflite_float32"].path)
    output = np.array([0.2, 0.7, 0.1], np.float32)
    refused = read_output("classification", predictor.labels, "a.png", output, similarity=0.4, smallest=0.5)
    assert as_json(refused, predictor, 1) == {
        "input": "a.png", "label": NONE_OF_THESE, "nearest": [{"label": "bée", "probability": 0.7}]
    }  # fmt: skip
    assert list(as_rows([refused], predictor, 1)) == [("a.png", "none of these (nearest: bée 0.700)")]
    named = read_output("classification", ("none of these", "b"), "a.png", np.array([0.9, 0.1], np.float32))
    assert not named.refused


def test_the_app_example_agrees_with_the_golden_examples_on_the_similarity(pictures, tmp_path):
    model, _, artifacts, _ = pictures
    folder = tmp_path / "exports"
    shutil.copytree(artifacts["tflite_float32"].path.parent, folder)
    copies = [replace(one, path=folder / one.path.name) for one in artifacts.values()]
    app = write_app(copies, image_examples())
    golden = json.loads((folder / "golden.json").read_text())
    assert golden["rejection"]["threshold"] == model.familiar.smallest
    assert [sorted(one.keys() & {"similarity", "refused"}) for one in golden["examples"]] == [["refused", "similarity"]] * 7
    check = [sys.executable, str(app / "classify.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_web_page_refuses_a_foreign_picture_in_chromium(pictures, tmp_path):
    """Of the own pictures some are refused too; a chessboard is like none of them."""
    require_packages()
    model, similar, artifacts, files = pictures
    folder = tmp_path / "exports"
    shutil.copytree(artifacts["tflite_float32"].path.parent, folder)
    app = write_app([replace(artifacts["tflite_float32"], path=folder / "model_float32.tflite")], image_examples())
    (app / "node_modules").symlink_to(MODULES)
    board = np.repeat((np.indices((40, 40)).sum(axis=0) // 4 % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    Image.fromarray(board).save(tmp_path / "foreign.png")
    similarity = model.familiar.similarity(respond(model, _pictures_of(board)).features)[0]
    assert similarity < model.familiar.smallest
    with chromium() as browser, web_server(folder) as address:
        page = browser.new_page()
        page.goto(f"{address}/app/web.html")
        page.wait_for_selector("#status:has-text('Ready.')")
        for file, smaller in ((tmp_path / "foreign.png", True), (files[int(similar.argmax())], False)):
            page.set_input_files("#input", str(file))
            page.wait_for_selector("#answer li:has-text('none of these')" if smaller else "#answer li:has-text('%')")
            lines = page.locator("#answer li").all_inner_texts()
            assert lines == [f"none of these (similarity {similarity:.3f})"] if smaller else len(lines) == 3
