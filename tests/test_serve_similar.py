"""Near training examples: features are the network's own, the nearest to an example is itself, what is missing is said."""

import json
import time

import keras
import numpy as np
import pytest
import yaml
from PIL import Image

from tests.export_models import exported_images, exported_texts, image_examples, image_model, text_examples, text_model, texts
from tests.serving import ask, picture, serving
from tlkeras.data.load import load_images
from tlkeras.data.split_files import save_splits
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.features import with_features
from tlkeras.export.predict import load_artifact
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
from tlkeras.features.litert import load_litert
from tlkeras.serve.server import open_model
from tlkeras.serve.similar import find_features, nearest, training_examples


def test_the_features_are_what_the_head_reads_and_the_answers_stay_the_same():
    model, examples = image_model(), image_examples()
    body = keras.Model(model.network.inputs, model.pool.network(model.source.network(model.network.inputs[0])))
    (expected,) = run_network(body, [read_inputs(examples, model.source)])
    path = exported_images()[1].path
    pixels = read_inputs(examples, model.source).values
    outputs = load_litert(with_features(path))(image=pixels)
    np.testing.assert_allclose(outputs["features"], expected.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(outputs["probabilities"], load_litert(path)(image=pixels)["probabilities"])


def test_a_model_without_a_dense_head_is_refused(tmp_path):
    from tlkeras.features.litert import convert

    inputs = keras.Input((4, 4, 3), name="image")
    (tmp_path / "m.tflite").write_bytes(convert(keras.Model(inputs, keras.layers.ReLU()(inputs))))
    with pytest.raises(ArtifactError, match="no head that reads float32 features"):
        with_features(tmp_path / "m.tflite")


@pytest.mark.parametrize("kind", ["image", "text"])
def test_the_nearest_to_a_training_example_is_itself(kind):
    artifact, model, examples = (
        (exported_images()[1], image_model(), image_examples())
        if kind == "image"
        else (exported_texts()[1], text_model(), text_examples())
    )
    found = find_features(load_artifact(artifact.path), examples, model.classes)
    rows = read_inputs(examples, model.source)
    for place in (0, 17, 39):
        first, *others = nearest(found, rows.batch(np.array([place]))[0], 5)
        assert first["id"] == str(place)
        assert first["similarity"] == pytest.approx(1, abs=1e-3)
        assert first["label"] == model.classes[place % 2]
        similarities = [first["similarity"], *(other["similarity"] for other in others)]
        assert similarities == sorted(similarities, reverse=True)
    assert first["text"] == texts()[39] if kind == "text" else first["picture"].startswith("data:image/jpeg;base64,")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder, as a recipe leaves it, whose model saw pictures in a folder."""
    folder = tmp_path_factory.mktemp("run")
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 256, (30, 26, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")
    splits = load_images(folder / "photos", seed=3)
    save_splits(splits, folder / "splits.csv")
    settings = {"recipe": "image_classification", "data": str(folder / "photos"), "seed": 3, "epochs": 1, "output": None}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "exports").mkdir()
    (folder / "exports" / "model_float32.tflite").write_bytes(exported_images()[1].path.read_bytes())
    return folder, splits


def test_the_examples_of_a_run_are_those_it_was_trained_on(run):
    folder, splits = run
    examples, classes = training_examples(folder, "image")
    assert classes == ("a", "b")
    assert sorted(examples.ids.tolist()) == sorted(splits.train.ids.tolist())
    assert len(examples) < 16


def _when_ready(address, body):
    for _ in range(200):
        reply = ask(address, "/v1/similar", body)
        if reply.status != 503:
            return reply
        assert "still being read" in reply.json["detail"]
        time.sleep(0.05)
    raise AssertionError("never ready")


def test_a_run_is_served_with_its_training_examples(run):
    folder, splits = run
    predictor, find_neighbours = open_model(folder)
    with serving(predictor, find_neighbours=find_neighbours) as address:
        place = 2
        found = _when_ready(address, splits.train.store.encoded(place)).json
        assert found["examples"][0]["id"] == splits.train.ids[place]
        assert found["examples"][0]["label"] == splits.classes[splits.train.labels[place]]
        assert (found["searched"], found["training_examples"]) == (len(splits.train), len(splits.train))
        assert ask(address, "/v1/model").json["similar"] == "ready"


def test_data_that_is_gone_is_said_and_predictions_go_on(run, tmp_path):
    folder, _ = run
    for name in ("config.yaml", "splits.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "model_float32.tflite").write_bytes(exported_images()[1].path.read_bytes())
    settings = yaml.safe_load((tmp_path / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**settings, "data": str(tmp_path / "moved")}))
    predictor, find_neighbours = open_model(tmp_path)
    with serving(predictor, find_neighbours=find_neighbours) as address:
        reply = _when_ready(address, picture())
        assert reply.status == 404
        assert "moved" in reply.json["detail"]
        assert ask(address, "/v1/predict", picture()).status == 200
        assert json.dumps(ask(address, "/v1/model").json["similar"]).count("moved") >= 1
