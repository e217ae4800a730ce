"""ONNX files: run by ONNX Runtime at any batch size and length, carrying their contract, damage noticed."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.export_models import (
    CLASSES,
    SIZE,
    image_examples,
    image_model,
    reference,
    text_examples,
    text_model,
    texts,
    write_pictures,
)
from tests.test_export_verify import image_defect
from tlkeras.data.decode import read_pixels
from tlkeras.errors import ParityError, TlkerasError
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.onnx_file import load_onnx
from tlkeras.export.predict import load_artifact, predict_images, predict_texts
from tlkeras.export.targets import export_model
from tlkeras.export.verify import verify
from tlkeras.sources.model import Block
from tlkeras.tasks.classification import build_classifier

pytest.importorskip("tf2onnx")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    (artifact,) = export_model(image_model(), tmp_path_factory.mktemp("onnx"), targets=["onnx"])
    return artifact


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    (artifact,) = export_model(text_model(), tmp_path_factory.mktemp("onnx"), targets=["onnx"])
    return artifact


def test_plain_onnx_runtime_runs_it_at_any_batch_size(pictures):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(pictures.path))
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type, taken.shape) == ("image", "tensor(uint8)", ["batch", SIZE, SIZE, 3])
    pixels, expected = read_pixels(image_examples().store, SIZE), reference(image_model(), image_examples())
    for rows in (slice(0, 1), slice(1, 6)):
        np.testing.assert_allclose(session.run(None, {"image": pixels[rows]})[0], expected[rows], atol=1e-5)


def test_pictures_and_texts_are_answered_from_the_file_alone_and_pass(pictures, reviews, tmp_path):
    answers = predict_images(load_artifact(pictures.path), write_pictures(tmp_path, image_examples()))
    expected = reference(image_model(), image_examples())
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected, atol=1e-5)
    assert load_artifact(pictures.path).labels == CLASSES
    found = [answer.probabilities for answer in predict_texts(load_artifact(reviews.path), texts())]
    np.testing.assert_allclose(found, reference(text_model(), text_examples()), atol=1e-6)
    assert verify([pictures], image_model(), image_examples())[0].passed
    assert verify([reviews], text_model(), text_examples())[0].passed


@pytest.mark.parametrize("kind", ["labels", "channels", "scaling", "weights", "stale"])
def test_a_defect_is_caught(kind, tmp_path):
    artifacts = export_model(image_defect(kind), tmp_path, targets=["onnx"])
    with pytest.raises(ParityError, match=r"model\.onnx does not behave"):
        verify(artifacts, image_model(), image_examples())


def test_damage_foreign_files_and_other_kinds_are_refused(pictures, tmp_path):
    import onnx

    content = pictures.path.read_bytes()
    path = tmp_path / "model.onnx"
    embedded, _ = load_onnx(pictures.path)
    weight = np.asarray(image_model().network.get_weights()[0]).tobytes()[:64]
    damaged = bytearray(content)
    place = content.find(weight[:16])
    damaged[place if place > 0 else embedded.contract["model"]["size_bytes"] // 2] ^= 1
    for data, words in (
        (bytes(damaged), r"damaged|cannot be loaded"),
        (content[: len(content) // 2], r"cannot be loaded"),
        (b"hello", r"cannot be loaded"),
        (content[: embedded.contract["model"]["size_bytes"]], r"not exported by tlkeras"),
    ):
        path.write_bytes(data)
        with pytest.raises(ArtifactError, match=words):
            load_artifact(path)
    # The metadata are appended, and the whole is one valid message.
    whole = onnx.load(str(pictures.path))
    onnx.checker.check_model(whole)
    assert {one.key for one in whole.metadata_props} == {"metadata.json", "labels.txt"}


def test_operations_that_onnx_lacks_are_named(tmp_path):
    pixels = keras.Input((SIZE, SIZE, 3))
    erfc = keras.layers.Conv2D(4, 3)(pixels)
    network = keras.Model(pixels, keras.ops.erfinv(keras.ops.tanh(erfc)))
    source = replace(image_model().source, network=network, blocks=(Block("body", network),))
    with pytest.raises(TlkerasError, match=r"ONNX has no form of Erfinv"):
        export_model(build_classifier(source, CLASSES), tmp_path, targets=["onnx"])
    assert not (tmp_path / "model.onnx").exists()


def test_what_is_missing_is_named_with_the_way_to_get_it(monkeypatch, pictures, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TlkerasError, match=r"pip install 'tlkeras\[onnx\]'"):
        export_model(image_model(), tmp_path, targets=["onnx"])
    with pytest.raises(TlkerasError, match=r"needs ONNX Runtime.*pip install"):
        load_artifact(pictures.path)


def test_nothing_is_printed(capfd, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        export_model(image_model(), tmp_path, targets=["onnx"])
    assert capfd.readouterr() == ("", "")
