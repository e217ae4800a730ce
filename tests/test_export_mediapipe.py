"""Files for MediaPipe's Tasks: the text variant with BERT's inputs, and MediaPipe itself as a judge where it is given.

MediaPipe does not fit beside TensorFlow: to run its tests, `pip install mediapipe==1.2.2` in an environment of its own and set
TLKERAS_MEDIAPIPE_PYTHON to its Python.
"""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from flatbuffers import number_types as types
from flatbuffers.table import Table
from PIL import Image

from tests.export_models import (
    CLASSES,
    exported_images,
    exported_small,
    image_examples,
    image_model,
    reference,
    text_examples,
    text_model,
    texts,
    write_pictures,
)
from tests.test_export_tflite_metadata import Node, metadata_buffers
from tlkeras.errors import ParityError, TlkerasError
from tlkeras.export import metadata
from tlkeras.export.predict import load_artifact, predict_images, predict_texts
from tlkeras.export.targets import export_model
from tlkeras.export.verify import verify
from tlkeras.features.litert import load_litert
from tlkeras.tasks.model import Familiar
from tlkeras.tasks.regression import build_regressor

JUDGE = Path(__file__).parent.parent / "benchmarks" / "mediapipe_judge.py"
PYTHON = os.environ.get("TLKERAS_MEDIAPIPE_PYTHON")
judged = pytest.mark.skipif(not PYTHON, reason="TLKERAS_MEDIAPIPE_PYTHON names no Python with MediaPipe")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mediapipe")
    return export_model(text_model(), folder, targets=["mediapipe_float32", "mediapipe_dynamic"])


def test_the_text_variant_has_the_three_inputs_of_bert_of_one_length(exported):
    model = load_litert(exported[0].path)
    assert model.inputs == {name: (np.dtype(np.int32), (1, 12)) for name in ("ids", "mask", "segment_ids")}
    terms = metadata.read_tflite(exported[0].path).contract
    assert terms["input"]["shape"] == [1, 12]
    assert terms["input"]["tensors"] == ["ids", "mask", "segment_ids"]


def test_segments_change_nothing_and_the_mask_hides_what_it_leaves_out(exported):
    model = load_litert(exported[0].path)
    ids = np.array([[2, 4, 5, 6, 3, 9, 9, 9, 9, 9, 9, 9]], np.int32)
    mask = (np.arange(12) < 5).astype(np.int32)[None]

    def answer(**inputs):
        return model(**{"ids": ids, "mask": mask, "segment_ids": ids * 0, **inputs})["probabilities"]

    np.testing.assert_array_equal(answer(), answer(segment_ids=mask))
    np.testing.assert_array_equal(answer(), answer(ids=ids * mask))
    assert np.abs(answer() - answer(mask=mask * 0 + 1)).max() > 1e-3


def test_it_answers_as_keras_does_and_passes(exported):
    predictions = predict_texts(load_artifact(exported[0].path), texts())
    expected = reference(text_model(), text_examples())
    np.testing.assert_allclose([prediction.probabilities for prediction in predictions], expected, atol=1e-6)
    assert all(result.passed for result in verify(exported, text_model(), text_examples()))


def test_a_defect_in_it_is_caught(exported, tmp_path):
    content, embedded = exported[0].path.read_bytes(), metadata.read_tflite(exported[0].path)
    path = tmp_path / "planted.tflite"
    terms = {**embedded.contract, "input": {**embedded.contract["input"], "pad_id": 5}}
    model = content[: embedded.contract["model"]["size_bytes"]]
    path.write_bytes(metadata.seal_tflite(model, terms, embedded.files))
    with pytest.raises(ParityError, match=r"does not behave"):
        verify([replace(exported[0], path=path)], text_model(), text_examples())


def test_the_buffer_names_inputs_tokenizer_and_labels_in_the_order_of_the_graph(exported):
    (data,) = metadata_buffers(exported[0].path.read_bytes())
    root = Node(Table(bytearray(data), flatbuffers.encode.Get(types.UOffsetTFlags.packer_type, data, 0)))
    graph = root.first(3)
    assert [Node(graph.element(2, place)).text(0) for place in range(3)] == graph_inputs(exported[0].path)
    assert graph.first(5).number(0) == 4  # BertTokenizerOptions
    vocabulary = graph.first(5).child(1).first(0)
    assert (vocabulary.text(0), vocabulary.number(2)) == ("vocab.txt", 5)  # VOCABULARY
    labels = graph.first(3).first(6)
    assert (labels.text(0), labels.number(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def graph_inputs(path) -> list[str]:
    """Return the names of the signature in the order of the graph's inputs."""
    interpreter = load_litert(path).interpreter
    details = interpreter.get_signature_runner("serving_default").get_input_details()
    names = {detail["index"]: name for name, detail in details.items()}
    return [names[detail["index"]] for detail in interpreter.get_input_details()]


def test_what_mediapipe_cannot_open_is_refused(tmp_path):
    with pytest.raises(TlkerasError, match=r"opens the ordinary \.tflite of a picture model"):
        export_model(image_model(), tmp_path, targets=["mediapipe_float32"])
    source = text_model().source
    assert source.tokenizer is not None
    with pytest.raises(TlkerasError, match=r"gives a value"):
        export_model(build_regressor(source, np.arange(9.0)), tmp_path, targets=["mediapipe_float32"])
    import tokenizers

    cased = json.loads(source.tokenizer.to_str())
    cased["normalizer"]["lowercase"] = False
    wrong = replace(source, tokenizer=tokenizers.Tokenizer.from_str(json.dumps(cased)))
    with pytest.raises(TlkerasError, match=r"WordPiece, lower case False"):
        export_model(replace(text_model(), source=wrong), tmp_path, targets=["mediapipe_float32"])


def judge(kind: str, model: Path, inputs: list[str], folder: Path) -> list[list]:
    (folder / "inputs.json").write_text(json.dumps(inputs))
    command = [str(PYTHON), str(JUDGE), kind, str(model), str(folder / "inputs.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    return json.loads(done.stdout)


@judged
@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_mediapipe_opens_picture_files_and_gives_our_labels(index, tmp_path):
    """Square JPEG files of the model's own size, so that nothing is resized."""
    artifact = [*exported_images()[1:], *exported_small()][index]
    paths = []
    for number, path in enumerate(write_pictures(tmp_path, image_examples())):
        paths.append(str(tmp_path / f"{number}.jpg"))
        Image.open(path).resize((24, 24)).save(paths[-1], quality=95)
    answers = judge("image", artifact.path, paths, tmp_path)
    ours = predict_images(load_artifact(artifact.path), paths)
    shown = ["ant", "bée", 'a "wasp", <b> =cmd|x']
    for answer, prediction in zip(answers, ours, strict=True):
        scores = dict(map(tuple, answer))
        assert scores.keys() <= set(shown)
        found = [scores.get(name, 0.0) for name in shown]
        np.testing.assert_allclose(found, prediction.probabilities, atol=0.02)


@judged
@pytest.mark.parametrize("target", ["tflite_float32", "tflite_int8"])
def test_mediapipe_gives_the_similarity_as_a_second_head(target, tmp_path):
    bank = np.random.default_rng(0).normal(size=(5, 8))
    familiar = Familiar((bank / np.linalg.norm(bank, axis=1, keepdims=True)).astype(np.float16), 0.5)
    model = replace(image_model(), familiar=familiar)
    (artifact,) = export_model(model, tmp_path / "out", targets=[target], calibration=image_examples(160))
    paths = []
    for number, path in enumerate(write_pictures(tmp_path, image_examples())[:5]):
        paths.append(str(tmp_path / f"{number}.jpg"))
        Image.open(path).resize((24, 24)).save(paths[-1], quality=95)
    ours = predict_images(load_artifact(artifact.path), paths)
    for answer, prediction in zip(judge("image", artifact.path, paths, tmp_path), ours, strict=True):
        assert answer[-1] == ["similarity", pytest.approx(prediction.similarity, abs=0.02)]
        assert len(answer) == 4


@judged
@pytest.mark.parametrize("index", [0, 1])
def test_mediapipe_opens_the_text_variant_and_gives_our_labels(exported, index, tmp_path):
    plain = ["The film was good!", "bad bad dull film", "playing was FINE", "unplayed", "good film playing !"]
    answers = judge("text", exported[index].path, plain, tmp_path)
    ours = predict_texts(load_artifact(exported[index].path), plain)
    for answer, prediction in zip(answers, ours, strict=True):
        scores = dict(map(tuple, answer))
        np.testing.assert_allclose([scores[name] for name in CLASSES[:2]], prediction.probabilities, atol=1e-3)
