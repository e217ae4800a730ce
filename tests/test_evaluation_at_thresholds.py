"""From thresholds chosen on validation to the numbers at them, the run folder, the exported file and its decisions."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, jaccard_score

import tlkeras as tl
from tests.export_models import write_pictures
from tests.networks import squares, tiny_source
from tlkeras.data.examples import ClassTargets, Examples, MultiLabelTargets, Splits
from tlkeras.evaluation.thresholds import at_thresholds
from tlkeras.export.predict import load_artifact, predict_images


def _examples(task: str, count: int, seed: int) -> Examples:
    """Squares in three places: whether it is the first; or which of the first two it is not."""
    found = squares(count, seed=seed)
    first = found.labels == 0
    if task == "classification":
        return replace(found, targets=ClassTargets((~first).astype(np.int32)))
    return replace(found, targets=MultiLabelTargets(np.stack([~first, found.labels != 1], axis=1).astype(np.uint8)))


@pytest.fixture(scope="module", params=["classification", "multi_label"])
def evaluated(request):
    """A model whose head is pushed towards "no" after training, so that another threshold than 0.5 is surely better."""
    task = request.param
    train, val, test = (_examples(task, count, seed) for count, seed in ((90, 1), (60, 2), (60, 3)))
    splits = Splits(train, val, test, ("no", "yes") if task == "classification" else ("not high", "not low"), fingerprint="0")
    model = tl.build_model(tiny_source(), splits)
    tl.fit(model, splits, [tl.Phase("all", trainable="all", epochs=12, learning_rate=1e-2, patience=12)])
    dense = model.head.network.get_layer("logits")
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel, bias - (np.array([0, 4.0]) if task == "classification" else 4.0)])
    model = tl.calibrate(model, splits, smallest=40)
    return model, splits, tl.evaluate(model, splits, compare_nulls=False)


def test_measures_at_thresholds_are_those_of_scikit_learn(evaluated):
    model, splits, evaluation = evaluated
    taken = evaluation.outputs >= np.array([model.thresholds.get(name, 0.5) for name in model.classes])
    value = {name: one.value for name, one in evaluation.measures.items()}
    assert evaluation.thresholds == model.thresholds and len(model.thresholds) >= 1
    if model.task == "classification":
        assert set(model.thresholds) == {"yes"}
        assert value["accuracy_at_thresholds"] == pytest.approx(accuracy_score(splits.test.labels, taken[:, 1]))
        expected = balanced_accuracy_score(splits.test.labels, taken[:, 1])
        assert value["balanced_accuracy_at_thresholds"] == pytest.approx(expected)
        assert expected > value["balanced_accuracy"] + 0.1
    else:
        truth = splits.test.targets.labels
        expected = jaccard_score(truth, taken, average="samples", zero_division=1)
        assert value["jaccard_at_thresholds"] == pytest.approx(expected)
        assert value["f1_macro_at_thresholds"] == pytest.approx(f1_score(truth, taken, average="macro"))
        assert expected > value["jaccard"] + 0.1


def test_run_folder_and_exported_file_decide_at_the_thresholds(evaluated, tmp_path):
    model, splits, evaluation = evaluated
    tl.save_evaluation(evaluation, tmp_path)
    again = tl.load_evaluation(tmp_path)
    assert again.thresholds == model.thresholds
    assert again.measures == evaluation.measures
    (artifact,) = tl.export_model(model, tmp_path / "exports", targets=("tflite_float32",))
    (result,) = tl.verify([artifact], model, splits.test)
    assert result.passed and result.label_agreement == 1
    answers = predict_images(load_artifact(artifact.path), write_pictures(tmp_path, splits.test))
    expected = at_thresholds(model.task, model.thresholds, model.classes, evaluation.outputs)
    if model.task == "classification":
        assert [one.label for one in answers] == [model.classes[row] for row in expected]
        assert len({one.label for one in answers}) == 2
    else:
        assert [one.labels for one in answers] == [
            tuple(name for name, has in zip(model.classes, row, strict=True) if has) for row in expected
        ]
