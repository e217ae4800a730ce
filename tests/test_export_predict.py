import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from tests.export_models import (
    CLASSES,
    exported_images,
    exported_texts,
    image_examples,
    image_model,
    plain,
    reference,
    text_examples,
    text_model,
    texts,
    write_pictures,
)
from tlkeras.cli import main
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.predict import load_artifact, predict_images, predict_texts
from tlkeras.export.targets import export_model


@pytest.fixture
def image_artifacts():
    return exported_images()


@pytest.fixture
def text_artifacts():
    return exported_texts()


@pytest.mark.parametrize("index", [0, 1])
def test_picture_files_are_answered_as_by_keras_in_order(image_artifacts, index, tmp_path):
    predictor = load_artifact(image_artifacts[index].path)
    assert (predictor.modality, predictor.labels) == ("image", CLASSES)
    paths = write_pictures(tmp_path, image_examples())
    expected = reference(image_model(), image_examples())
    predictions = predict_images(predictor, paths)
    assert [prediction.source for prediction in predictions] == list(paths)
    np.testing.assert_allclose([prediction.probabilities for prediction in predictions], expected, atol=1e-5)
    for prediction, row in zip(predictions, expected, strict=True):
        assert prediction.label == CLASSES[row.argmax()]
        assert prediction.probability == pytest.approx(row.max(), abs=1e-5)
        assert not prediction.problem


def test_pictures_are_squared_as_the_contract_says(tmp_path, monkeypatch):
    monkeypatch.setattr("tlkeras.data.resize.vectorised", lambda: False)
    squashing = replace(image_model(), source=replace(image_model().source, resize="squash"))
    (artifact,) = export_model(squashing, tmp_path, targets=["tflite_float32"])
    paths = write_pictures(tmp_path, image_examples())[:8]
    from PIL import Image

    across = [image.resize((24, image.height), Image.Resampling.BILINEAR) for image in map(Image.open, paths)]
    pixels = np.stack([np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR)) for image in across])
    expected = plain(image_model())(pixels.astype(np.float32), training=False).numpy()
    predictions = predict_images(load_artifact(artifact.path), paths)
    np.testing.assert_allclose([prediction.probabilities for prediction in predictions], expected, atol=1e-5)
    assert abs(expected - reference(image_model(), image_examples())[:8]).max() > 1e-3


def test_unreadable_pictures_give_a_row_with_the_reason_among_the_others(image_artifacts, tmp_path):
    paths = list(write_pictures(tmp_path, image_examples()))[:20]
    (tmp_path / "notes.jpg").write_text("hello")
    whole = predict_images(load_artifact(image_artifacts[1].path), paths)
    mixed = predict_images(
        load_artifact(image_artifacts[1].path), [tmp_path / "notes.jpg", *paths[:9], b"", *paths[9:], tmp_path / "gone.png"]
    )
    reasons = {0: "text, not a picture", 10: "empty", 22: "does not exist"}
    for row, reason in reasons.items():
        assert reason in mixed[row].problem
        assert mixed[row].label is mixed[row].probability is None
        assert mixed[row].probabilities.shape == (0,)
    assert [p.label for i, p in enumerate(mixed) if i not in reasons] == [p.label for p in whole]


@pytest.mark.parametrize("index", [0, 1])
def test_texts_of_any_length_are_cut_as_in_training_and_answered_in_order(text_artifacts, index):
    predictor = load_artifact(text_artifacts[index].path)
    examples = text_examples()
    assert max(len(text.split()) for text in texts()) > 12  # longer than the sequence length
    predictions = predict_texts(predictor, texts())
    np.testing.assert_allclose(
        [prediction.probabilities for prediction in predictions], reference(text_model(), examples), atol=1e-6
    )
    assert [prediction.source for prediction in predictions] == list(texts())


@pytest.mark.parametrize("index", [0, 1])
def test_nothing_in_gives_nothing_out_and_an_empty_text_an_answer(text_artifacts, index):
    predictor = load_artifact(text_artifacts[index].path)
    assert predict_texts(predictor, []) == []
    (prediction,) = predict_texts(predictor, [""])
    assert np.isfinite(prediction.probabilities).all()


def test_a_model_refuses_the_other_modality(image_artifacts, text_artifacts):
    with pytest.raises(ArtifactError, match=r"is a model for images\. Received: texts"):
        predict_texts(load_artifact(image_artifacts[1].path), ["hello"])
    with pytest.raises(ArtifactError, match=r"is a model for texts\. Received: pictures"):
        predict_images(load_artifact(text_artifacts[1].path), ["a.jpg"])


def test_what_is_no_artefact_is_refused_clearly(image_artifacts, tmp_path):
    (tmp_path / "notes.tflite").write_text("not a model at all")
    content = image_artifacts[1].path.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(image_artifacts[1].path) as archive:
        length = archive.infolist()[0].header_offset
    (tmp_path / "foreign.tflite").write_bytes(content[:length])
    (tmp_path / "folder").mkdir()
    (tmp_path / "run" / "exports").mkdir(parents=True)
    for name in ("model_int8.tflite", "model_float16.rejected.tflite"):
        (tmp_path / "run" / "exports" / name).write_bytes(content)
    expected = {
        "gone.tflite": "no such artefact",
        "notes.tflite": "not a .tflite model",
        "cut.tflite": "cut short",
        "foreign.tflite": "not exported by tlkeras",
        "folder": "not a model that tlkeras exported",
        "run": f"Give one of them: {tmp_path}/run/exports/model_int8.tflite",
        "run/exports": f"Give one of them: {tmp_path}/run/exports/model_int8.tflite",
    }
    for name, words in expected.items():
        with pytest.raises(ArtifactError) as caught:
            load_artifact(tmp_path / name)
        assert words in str(caught.value)
        assert name in str(caught.value)
        assert "rejected" not in str(caught.value)


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_tflite_needs_neither_tensorflow_nor_keras_nor_pandas(image_artifacts, text_artifacts, kind, tmp_path):
    picture = write_pictures(tmp_path, image_examples().take([0]))[0]
    path, call = (
        (image_artifacts[1].path, f"predict_images(p, [{picture!r}])")
        if kind == "image"
        else (text_artifacts[1].path, "predict_texts(p, ['Good'])")
    )
    code = (
        "import sys; from tlkeras.export.predict import *; "
        f"p = load_artifact({str(path)!r}); assert {call}[0].label; "
        "print({'tensorflow', 'keras', 'keras_hub', 'pandas', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_the_command_starts_tensorflow_without_its_lines_for_a_saved_model_only(image_artifacts, tmp_path, monkeypatch, capsys):
    picture = write_pictures(tmp_path, image_examples().take([0]))[0]
    started = []
    monkeypatch.setattr("tlkeras.cli.start_tensorflow", lambda: started.append("TensorFlow"))
    answers = []
    for artifact, expected in ((image_artifacts[1], []), (image_artifacts[0], ["TensorFlow"])):
        assert main(["predict", str(artifact.path), picture, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
        assert started == expected
    assert answers[0]["label"] == answers[1]["label"]
