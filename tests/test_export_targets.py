import ast
import hashlib
import importlib.util
import json
import logging
import subprocess
import sys

import numpy as np
import pytest

from tests.export_models import (
    CLASSES,
    SIZE,
    exported_images,
    exported_texts,
    image_examples,
    image_model,
    reference,
    text_examples,
    text_model,
    texts,
    write_pictures,
)
from tlkeras.data.decode import read_pixels
from tlkeras.errors import TlkerasError
from tlkeras.export import material, metadata, targets, tflite
from tlkeras.export.predict import load_artifact, predict_texts
from tlkeras.export.targets import export_model
from tlkeras.features.inputs import read_inputs
from tlkeras.features.litert import load_litert


@pytest.fixture
def exported():
    artifacts = exported_images()
    return artifacts[0].path.parent, artifacts


def test_every_target_is_written_beside_labels_and_a_summary(exported):
    folder, artifacts = exported
    names = ["labels.txt", "metadata.json", "model_float16.tflite", "model_float32.tflite", "saved_model"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert [artifact.target for artifact in artifacts] == ["saved_model", "tflite_float32", "tflite_float16"]
    for artifact in artifacts:
        files = [artifact.path] if artifact.path.is_file() else [f for f in artifact.path.rglob("*") if f.is_file()]
        assert artifact.size_bytes == sum(len(file.read_bytes()) for file in files)
        assert artifact.labels == CLASSES
        assert artifact.signature["input"]["name"] == "image"
    assert (folder / "labels.txt").read_text().splitlines() == ["ant", "bée", 'a "wasp", <b> =cmd|x']


def test_the_summary_binds_each_file_by_its_sha256(exported):
    folder, _ = exported
    summary = json.loads((folder / "metadata.json").read_text())
    assert summary["labels"] == list(CLASSES)
    digests = {name: digest for entry in summary["artifacts"] for name, digest in entry["sha256"].items()}
    assert {"model_float32.tflite", "model_float16.tflite", "saved_model/saved_model.pb"} < digests.keys()
    for name, digest in digests.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_picture_models_take_uint8_batches_of_any_size(exported):
    import tensorflow as tf

    folder, _ = exported
    pixels = read_pixels(image_examples().store, SIZE)
    expected = reference(image_model(), image_examples())
    lite = load_litert(folder / "model_float32.tflite")
    server = tf.saved_model.load(str(folder / "saved_model"))
    assert lite.inputs == {"image": (np.dtype(np.uint8), (None, SIZE, SIZE, 3))}
    for rows in (slice(0, 1), slice(1, 4)):
        served = server.signatures["pixels"](image=tf.constant(pixels[rows]))
        np.testing.assert_allclose(lite(image=pixels[rows])["probabilities"], expected[rows], atol=1e-5)
        np.testing.assert_allclose(served["probabilities"], expected[rows], atol=1e-5)


def test_a_saved_model_holds_every_weight_once(exported):
    import tensorflow as tf

    folder, _ = exported
    stored = [
        shape for name, shape in tf.train.list_variables(str(folder / "saved_model" / "variables" / "variables")) if shape
    ]
    assert sum(np.prod(shape) for shape in stored) == sum(np.prod(item.shape) for item in image_model().network.variables)


def test_text_models_for_phones_take_token_ids_and_carry_their_tokenizer():
    artifact = exported_texts()[1]
    model = load_litert(artifact.path)
    assert model.inputs == {"token_ids": (np.dtype(np.int32), (None, None))}
    token_ids = read_inputs(text_examples(), text_model().source).batch(np.arange(4))
    np.testing.assert_allclose(
        model(token_ids=token_ids)["probabilities"], reference(text_model(), text_examples())[:4], atol=1e-6
    )
    assert metadata.read_tflite(artifact.path).files.keys() == {"labels.txt", "tokenizer.json", "vocab.txt"}


@pytest.mark.skipif(importlib.util.find_spec("tensorflow_text") is None, reason="there is no tensorflow-text for Windows")
def test_text_models_for_servers_take_strings_or_token_ids():
    import tensorflow as tf

    artifact = exported_texts()[0]
    assert artifact.signature["input"]["dtype"] == "string"
    examples = text_examples()
    expected = reference(text_model(), examples)
    signatures = (loaded := tf.saved_model.load(str(artifact.path))).signatures
    served = signatures["serving_default"](text=tf.constant(texts()))["probabilities"]
    np.testing.assert_allclose(served, expected, atol=1e-6)
    token_ids = read_inputs(examples, text_model().source).batch(np.arange(4))
    served = signatures["token_ids"](token_ids=tf.constant(token_ids))["probabilities"]
    np.testing.assert_allclose(served, expected[:4], atol=1e-6)
    assert loaded is not None


def test_without_tensorflow_text_the_saved_model_takes_token_ids_and_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with caplog.at_level(logging.WARNING, "tlkeras"):
        (artifact,) = export_model(text_model(), tmp_path, targets=["saved_model"])
    assert artifact.signature["input"]["name"] == "token_ids"
    expected = reference(text_model(), text_examples())
    predictions = predict_texts(load_artifact(artifact.path), texts())
    np.testing.assert_allclose([prediction.probabilities for prediction in predictions], expected, atol=1e-6)
    assert "takes token ids instead of strings" in caplog.text


def test_each_file_is_logged_with_its_size(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "tlkeras"):
        (artifact,) = export_model(image_model(), tmp_path, targets=["saved_model"])
    assert f"Wrote {artifact.path} (" in caplog.text
    assert f"{artifact.size_bytes / 1000:.1f} kB" in caplog.text


def test_unknown_targets_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"'tflite_flaot32'\. Did you mean 'tflite_float32'"):
        export_model(image_model(), tmp_path / "out", targets=["saved_model", "tflite_flaot32"])
    with pytest.raises(ValueError, match=r"No export target"):
        export_model(image_model(), tmp_path / "out", targets=[])
    assert not (tmp_path / "out").exists()


def test_an_interrupted_export_leaves_whole_files_and_no_summary(tmp_path, monkeypatch):
    export_model(image_model(), tmp_path, targets=["saved_model", "tflite_float32"])
    before = (tmp_path / "model_float32.tflite").read_bytes()

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    # The writer has begun its file when it is interrupted.
    monkeypatch.setattr(tflite.metadata, "seal_tflite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_model(image_model(), tmp_path, targets=["saved_model", "tflite_float32"])
    assert (tmp_path / "model_float32.tflite").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.txt", "model_float32.tflite", "saved_model"]


def test_an_existing_export_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "stale").write_text("old")
    export_model(image_model(), tmp_path, targets=["saved_model"])
    assert not (tmp_path / "saved_model" / "stale").exists()
    assert metadata.read_saved_model(tmp_path / "saved_model").contract["labels"] == list(CLASSES)


def test_every_target_has_bounds_for_its_verification():
    from tlkeras.export.bounds import BOUNDS

    assert targets.TARGETS.keys() - {"coreml"} == BOUNDS.keys()  # runs on Apple's systems only


def test_a_network_that_cannot_be_converted_leaves_no_file(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise TlkerasError("LiteRT has no operation for Erfinv")

    monkeypatch.setattr(material, "convert_saved_model", refuse)
    with pytest.raises(TlkerasError, match=r"Erfinv"):
        export_model(image_model(), tmp_path, targets=["tflite_float32"])
    assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]


SERVER = """
import json, sys
import tensorflow as tf
picture_model, picture, text_model = sys.argv[1:]
pictures = tf.saved_model.load(picture_model)
data = tf.constant([open(picture, "rb").read()] * 2)
answers = [pictures.signatures["serving_default"](image_bytes=data)]
import tensorflow_text
texts = tf.saved_model.load(text_model)
answers.append(texts.signatures["serving_default"](text=tf.constant(["The film was good!"])))
found = [{name: str(value.numpy().tolist()) for name, value in answer.items()} for answer in answers]
assert not {name for name in sys.modules if name.split(".")[0] in ("tlkeras", "keras_hub", "tokenizers")}
print(json.dumps(found))
"""


@pytest.mark.skipif(importlib.util.find_spec("tensorflow_text") is None, reason="there is no tensorflow-text for Windows")
def test_a_server_with_plain_tensorflow_takes_picture_files_and_strings_and_gives_labels(exported, tmp_path):
    picture = write_pictures(tmp_path, image_examples().take([3]))[0]
    command = [sys.executable, "-c", SERVER, str(exported[0] / "saved_model"), picture, str(exported_texts()[0].path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    pictures, texts_ = json.loads(done.stdout)
    expected = reference(image_model(), image_examples())[3]
    probabilities = ast.literal_eval(pictures["probabilities"])
    np.testing.assert_allclose(probabilities, [expected] * 2, atol=0.01)
    assert ast.literal_eval(pictures["label"]) == [CLASSES[expected.argmax()].encode()] * 2
    np.testing.assert_allclose(ast.literal_eval(pictures["score"]), np.max(probabilities, axis=1))
    (score,), (label,) = ast.literal_eval(texts_["score"]), ast.literal_eval(texts_["label"])
    (row,) = ast.literal_eval(texts_["probabilities"])
    assert (score, label) == (max(row), CLASSES[int(np.argmax(row))].encode())


def test_the_contract_of_a_saved_model_says_which_files_it_decodes(exported):
    terms = metadata.read_saved_model(exported[0] / "saved_model").contract
    assert terms["input"]["signature"] == "pixels"
    assert terms["encoded"] == {
        "signature": "serving_default", "name": "image_bytes", "dtype": "string", "formats": ["JPEG", "PNG"],
    }  # fmt: skip
