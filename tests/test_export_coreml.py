"""Core ML packages: converted here, checked by their structure; only Apple's systems can run them."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from tests.export_models import CLASSES, SIZE, image_examples, image_model, text_model
from tlkeras.errors import TlkerasError
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.coreml import structure_problems
from tlkeras.export.predict import load_artifact
from tlkeras.export.targets import export_model
from tlkeras.export.verify import verify
from tlkeras.tasks.model import Familiar
from tlkeras.tasks.multi_label import build_multi_label

coremltools = pytest.importorskip("coremltools")
# coremltools leaves its temporary folders to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    (artifact,) = export_model(image_model(), tmp_path_factory.mktemp("coreml"), targets=["coreml"])
    return artifact


def read(artifact):
    return coremltools.models.MLModel(str(artifact.path), skip_model_load=True)


def test_it_takes_a_picture_and_gives_labels_in_the_model_s_order(package):
    model = read(package)
    spec = model.get_spec()
    assert not list(structure_problems(spec, image_model()))
    assert spec.description.predictedFeatureName == "classLabel"
    assert json.loads(model.user_defined_metadata["tlkeras"])["labels"] == list(CLASSES)
    assert model.license == "Apache-2.0"


def test_another_structure_is_named(package):
    spec = read(package).get_spec()
    swapped = replace(image_model(), classes=CLASSES[::-1])
    assert [problem for problem in structure_problems(spec, swapped) if problem.startswith("its labels are")]
    larger = replace(image_model(), source=replace(image_model().source, input_size=SIZE + 1))
    assert any("not a picture 'image' of 25 x 25" in problem for problem in structure_problems(spec, larger))
    several = replace(image_model(), task="multi_label")
    assert any("and not 'probabilities'" in problem for problem in structure_problems(spec, several))


def test_the_similarity_is_an_output_beside_the_classes(tmp_path):
    bank = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float16)
    model = replace(image_model(), familiar=Familiar(bank, 0.5))
    spec = read(export_model(model, tmp_path, targets=["coreml"])[0]).get_spec()
    assert {one.name for one in spec.description.output} == {"classLabel", "classLabel_probs", "similarity"}
    assert not list(structure_problems(spec, model))


def test_it_is_not_said_to_be_verified(package, caplog):
    with caplog.at_level(logging.WARNING, "tlkeras"):
        (result,) = verify([package], image_model(), image_examples())
    assert (result.n, result.label_agreement, result.measure_artifact) == (0, None, None)
    assert "was not compared: Core ML runs on Apple's systems only" in caplog.text
    with pytest.raises(ArtifactError, match=r"runs on Apple's systems only"):
        load_artifact(package.path)


def test_several_labels_give_probabilities(tmp_path):
    model = build_multi_label(image_model().source, CLASSES)
    (artifact,) = export_model(model, tmp_path, targets=["coreml"])
    assert [one.name for one in read(artifact).get_spec().description.output] == ["probabilities"]


def test_texts_are_refused_with_what_there_is_instead(tmp_path):
    with pytest.raises(TlkerasError, match=r"tflite or onnx instead"):
        export_model(text_model(), tmp_path, targets=["coreml"])
