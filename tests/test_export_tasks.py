"""Artefacts of models with several labels and of values, from training to the command line."""

import csv
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tlkeras as tl
from tlkeras.cli import main
from tlkeras.data.examples import Examples, ImageArrays, Splits
from tlkeras.errors import ParityError
from tlkeras.export import compare, metadata
from tlkeras.export.answers import Prediction, cells, read_output
from tlkeras.export.predict import load_artifact, predict_images
from tlkeras.export.targets import export_model
from tlkeras.export.verify import verify

CLASSES = ("red", "green")
SIDE = 33


@dataclass(frozen=True)
class Config:
    output: str
    resume: bool = False


def part(task: str, n: int, seed: int) -> Examples:
    """Return grey noise in which red, green, both or neither are strong; the labels, or how strong red is."""
    random = np.random.default_rng(seed)
    strength = random.uniform(0, 1, (n, 2))
    pixels = random.integers(0, 60, (n, SIDE, SIDE, 3)).astype(float)
    pixels[..., :2] += 190 * strength[:, None, None, :]
    labels = tl.MultiLabelTargets((strength > 0.5).astype(np.uint8))
    values = tl.ValueTargets((20 - 50 * strength[:, 0]).astype(np.float32))
    ids = np.array([f"{seed}-{index}" for index in range(n)])
    return Examples(ids, ImageArrays(pixels.astype(np.uint8)), labels if task == "multi_label" else values)


class Trained:
    """A run of a recipe's steps."""

    def __init__(self, task: str, folder: str):
        classes = CLASSES if task == "multi_label" else ()
        self.task = task
        self.splits = Splits(part(task, 160, 1), part(task, 40, 2), part(task, 120, 3), classes, "fingerprint")
        run = tl.create_run(task, Config(folder))
        self.model = tl.build_model(tl.load_image_source("tiny_cnn", image_size=SIDE), self.splits)
        tl.fit(self.model, self.splits, tl.plan_phases("from_scratch", epochs=8, learning_rate=1e-2), run=run)
        self.evaluation = tl.evaluate(self.model, self.splits)
        tl.save_evaluation(self.evaluation, run.path)
        self.artifacts = tl.export_model(self.model, run.path / "exports")
        self.parity = tl.verify(self.artifacts, self.model, self.splits.test, output=run.path / "parity.json")
        self.run = tl.finish_run(run, self.evaluation, self.artifacts, self.parity)

    @property
    def outputs(self) -> np.ndarray:
        return self.evaluation.outputs


@pytest.fixture(scope="module", params=["multi_label", "regression"])
def trained(request, tmp_path_factory):
    return Trained(request.param, str(tmp_path_factory.mktemp("runs") / request.param))


@pytest.fixture(scope="module")
def files(trained, tmp_path_factory):
    """The test pictures as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    for index, pixels in enumerate(trained.splits.test.store.pixels[:6]):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


def test_the_model_learnt_something_and_every_artefact_is_its_equal(trained):
    least = {"multi_label": ("jaccard", 0.6), "regression": ("r_squared", 0.6)}
    name, value = least[trained.task]
    assert trained.evaluation.measures[name].value > value
    assert all(result.passed for result in trained.parity)
    assert {result.measure for result in trained.parity} == {compare.MEASURES[trained.task]}
    headline = next(iter(trained.evaluation.measures.values())).value
    assert trained.parity[0].measure_keras == pytest.approx(headline)
    agreement = {"multi_label": 1.0, "regression": None}[trained.task]
    assert trained.parity[1].label_agreement == agreement
    assert 0 < trained.parity[2].max_difference < 0.1


def test_the_contract_names_task_and_output(trained):
    terms = metadata.read_tflite(trained.artifacts[1].path).contract
    expected: dict[str, Any] = {
        "multi_label": (["red", "green"], {"name": "probabilities", "shape": [None, 2], "score": "sigmoid", "threshold": 0.5}),
        "regression": (["value"], {"name": "value", "shape": [None, 1], "score": "value"}),
    }
    labels, output = expected[trained.task]
    assert (terms["task"], terms["labels"]) == (trained.task, labels)
    assert terms["output"] == {"dtype": "float32", **output}


@pytest.mark.parametrize("index", [0, 1, 2])
def test_predict_answers_as_the_task_asks(trained, files, index):
    predictions = predict_images(load_artifact(trained.artifacts[index].path), [*files, b"no picture"])
    assert predictions[-1].problem
    assert (predictions[-1].labels, predictions[-1].value) == ((), None)
    for prediction, row in zip(predictions, trained.outputs[:6], strict=False):
        assert (prediction.label, prediction.probability) == (None, None)
        if trained.task == "regression":
            assert prediction.value == pytest.approx(float(row[0]), abs=0.1)
            assert prediction.labels == ()
        else:
            np.testing.assert_allclose(prediction.probabilities, row, atol=0.01)
            assert prediction.labels == tuple(name for name, value in zip(CLASSES, row, strict=True) if value >= 0.5)


def test_a_saved_model_answers_picture_files_in_words(trained, files):
    import tensorflow as tf

    server = tf.saved_model.load(str(trained.artifacts[0].path))
    answer = server.signatures["serving_default"](image_bytes=tf.constant([file.read_bytes() for file in files]))
    if trained.task == "regression":
        assert answer.keys() == {"value"}
        np.testing.assert_allclose(answer["value"], trained.outputs[:6], atol=0.1)
    else:
        names = [[name.decode() for name in row if name] for row in answer["labels"].numpy().tolist()]
        assert names == [
            [name for name, value in zip(CLASSES, row, strict=True) if value >= 0.5] for row in trained.outputs[:6]
        ]


def test_the_command_line_prints_and_writes_the_answers(trained, files, tmp_path, capsys):
    artifact, pictures = str(trained.artifacts[1].path), [str(file) for file in files]
    assert main(["predict", artifact, *pictures]) == 0
    table = capsys.readouterr().out.splitlines()
    assert main(["predict", artifact, *pictures, "--json"]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["predict", artifact, *pictures, "--output", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for shown, item, row, output in zip(table[1:], objects, rows, trained.outputs, strict=False):
        if trained.task == "regression":
            assert table[0].split() == ["input", "value"]
            assert float(shown.split()[-1]) == pytest.approx(float(output[0]), rel=1e-4)
            assert item == {"input": row["input"], "value": pytest.approx(float(output[0]), rel=1e-4)}
            assert float(row["value"]) == pytest.approx(float(output[0]), rel=1e-4)  # a negative one without an apostrophe
        else:
            names = [name for name, value in zip(CLASSES, output, strict=True) if value >= 0.5]
            assert [label["label"] for label in item["labels"]] == names
            assert row["labels"] == "|".join(names)
            assert len(row["probabilities"].split("|")) == max(1, len(names))
            assert shown.split("png", 1)[1].strip().startswith(names[0] if names else "none")


def test_the_summary_of_the_run_says_how_equal_the_artefacts_are(trained):
    log = (trained.run.path / "log.txt").read_text()
    if trained.task == "regression":
        assert "same value as Keras" in log
        assert "deviations, 120 values" in log
    else:
        assert "same label as Keras" in log
        assert "100.0% of 120" in log


def defect(trained, kind: str):
    weights = [weight.copy() for weight in trained.model.network.get_weights()]
    if kind == "labels":
        weights[-1], weights[-2] = weights[-1][::-1], weights[-2][:, ::-1]
    if kind == "offset":
        weights[-1] = weights[-1] + 0.1
    if kind == "channels":
        weights[0] = weights[0][:, :, ::-1]
    if kind == "constant":
        weights[-2] = weights[-2] * 0
    twin = tl.build_model(tl.load_image_source("tiny_cnn", image_size=SIDE), trained.splits)
    twin.network.set_weights(weights)
    return twin


@pytest.mark.parametrize("target", ["tflite_float32", "tflite_float16"])
@pytest.mark.parametrize("kind", ["labels", "offset", "channels", "constant"])
def test_a_planted_defect_is_caught(trained, kind, target, tmp_path):
    if kind == "labels" and trained.task == "regression":
        kind = "offset"
    artifacts = export_model(defect(trained, kind), tmp_path, targets=[target])
    with pytest.raises(ParityError, match=r"does not behave"):
        verify(artifacts, trained.model, trained.splits.test)


def test_the_undamaged_twin_passes(trained, tmp_path):
    artifacts = export_model(defect(trained, "none"), tmp_path, targets=["tflite_float16"])
    assert verify(artifacts, trained.model, trained.splits.test)[0].passed


def test_another_task_is_refused(trained, tmp_path):
    artifact = trained.artifacts[1]
    content = artifact.path.read_bytes()[: metadata.read_tflite(artifact.path).contract["model"]["size_bytes"]]
    terms = {**metadata.contract(trained.model), "task": "classification"}
    planted = replace(artifact, path=tmp_path / "planted.tflite")
    planted.path.write_bytes(metadata.seal_tflite(content, terms, {}))
    with pytest.raises(ParityError, match=r"its task is classification, the model's"):
        verify([planted], trained.model, trained.splits.test)


def test_labels_apply_from_one_half_on():
    row = np.array([0.5, 0.499, 0.9], np.float32)
    prediction = read_output("multi_label", ("a", "b", "c"), "x", row)
    assert prediction.labels == ("a", "c")
    assert cells("multi_label", ("a", "b", "c"), prediction) == ("a|c", "0.500000|0.900000")
    assert cells("regression", ("value",), Prediction("x", problem="empty")) == (None,)


def test_differences_of_values_are_in_deviations():
    reference = np.array([[10.0], [14.0]])  # deviation 2
    outputs = np.array([[11.0], [np.nan]])
    np.testing.assert_array_equal(compare.differences("regression", reference, outputs), [0.5, np.inf])


def test_the_margin_of_a_label_set_is_that_of_its_surest_change():
    reference = np.array([[0.9, 0.52], [0.45, 0.51]])
    changed = np.array([[True, True], [False, True]])
    np.testing.assert_allclose(compare.margins("multi_label", reference, changed), [0.8, 0.02])
