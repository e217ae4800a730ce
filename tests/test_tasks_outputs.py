"""Several labels and values: from targets to the network's output, trained and evaluated."""

from dataclasses import replace

import numpy as np
import pytest

from tests.networks import square_splits, squares, tiny_source
from tlkeras.data.examples import Examples, Splits
from tlkeras.data.targets import MultiLabelTargets, ValueTargets
from tlkeras.evaluation.evaluate import evaluate
from tlkeras.evaluation.saved import save_evaluation
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.regression import build_regressor
from tlkeras.tasks.table import build_model
from tlkeras.training.fit import fit

PHASES = [Phase(name="head", solver="closed_form", epochs=1), Phase(name="all", trainable="all", epochs=8, learning_rate=1e-2)]


def _with_targets(make) -> Splits:
    def change(examples: Examples) -> Examples:
        return replace(examples, targets=make(examples.labels))

    splits = square_splits()
    return replace(splits, train=change(splits.train), val=change(splits.val), test=change(squares(30, seed=3)))


@pytest.fixture(scope="module")
def several() -> Splits:
    # The place of the square says both: class 0 has both labels, class 1 the first, class 2 none.
    return _with_targets(lambda y: MultiLabelTargets(np.stack([y < 2, y < 1], axis=1).astype(np.uint8)))


@pytest.fixture(scope="module")
def values() -> Splits:
    splits = _with_targets(lambda y: ValueTargets((1000.0 + 50.0 * y).astype(np.float32)))
    return replace(splits, classes=())


def test_several_labels_get_a_probability_each_and_are_learnt(several, tmp_path):
    splits = replace(several, classes=("upper", "corner"))
    model = build_model(tiny_source(), splits)
    assert model.task == "multi_label"
    fit(model, splits, PHASES)
    evaluation = evaluate(model, splits)
    assert evaluation.outputs.shape == (30, 2)
    assert evaluation.measures["jaccard"].value > 0.8
    assert evaluation.gain is not None and evaluation.confusion is None
    assert {name: row["support"] for name, row in evaluation.per_class.items()} == {"upper": 20, "corner": 10}
    save_evaluation(evaluation, tmp_path)
    rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert rows[0] == "id,where,target,predicted,probability:upper,probability:corner,column:brightness"
    assert rows[1].startswith('3/0,"array, row 0",upper|corner,')
    assert not (tmp_path / "confusion_matrix.png").exists()


def test_values_are_learnt_and_given_in_the_units_of_the_data(values, tmp_path):
    model = build_model(tiny_source(), values)
    assert (model.task, model.classes) == ("regression", ("value",))
    history = fit(model, values, PHASES)
    evaluation = evaluate(model, values)
    assert 950 < evaluation.outputs.mean() < 1150
    assert evaluation.measures["mean_absolute_error"].value < 20
    assert evaluation.nulls["majority of training"].value == pytest.approx(100 / 3)
    assert {"error", "val_error"} <= set(history.rows[0])
    save_evaluation(evaluation, tmp_path)
    assert (tmp_path / "predicted.png").stat().st_size > 5000


def test_the_best_epoch_of_a_regression_is_the_one_with_the_lowest_error(values):
    model = build_model(tiny_source(), values)
    history = fit(
        model, values, [Phase(name="x", trainable="all", epochs=6, learning_rate=0.1, schedule="constant", patience=6)]
    )
    errors = [row["val_error"] for row in history.rows]
    marked = [index for index, row in enumerate(history.rows) if row["best"]]
    assert marked[-1] == int(np.argmin(errors))


@pytest.mark.parametrize("bad", [np.full(5, 2.0), np.array([1.0, np.nan])])
def test_values_that_cannot_be_standardised_are_refused(bad):
    with pytest.raises(ValueError, match="finite values that differ"):
        build_regressor(tiny_source(), bad)
