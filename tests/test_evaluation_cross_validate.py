"""Cross-validation tests every example once, by a model that has not seen it; a refit does what validation had chosen."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.networks import square_splits, tiny_source
from tlkeras.data.joined import join_examples
from tlkeras.evaluation import cross_validate as module
from tlkeras.evaluation.cross_validate import cross_validate
from tlkeras.runs import Run
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.fit import fit
from tlkeras.training.refit import phases_again, refit

SPLITS = square_splits()
HEAD = Phase(name="head", solver="closed_form", epochs=1)
EVERYTHING = join_examples([SPLITS.train, SPLITS.val, SPLITS.test])


def _model():
    return build_classifier(tiny_source(), SPLITS.classes, seed=1)


def _run(path):
    return Run(path=path, recipe="test", config={})


def _folds(**options):
    result = cross_validate(_model(), SPLITS, [HEAD], folds=3, **options)
    assert result is not None
    return result


def test_every_example_is_predicted_once_and_the_weights_are_put_back(tmp_path):
    model = _model()
    before = model.network.get_weights()
    result = cross_validate(model, SPLITS, [HEAD], folds=3, seed=0, run=_run(tmp_path))
    assert result is not None
    assert sorted(result.evaluation.ids) == sorted(EVERYTHING.ids)
    labels = dict(zip(EVERYTHING.ids, EVERYTHING.labels, strict=True))
    assert [labels[name] for name in result.evaluation.ids] == list(result.evaluation.targets)
    right = result.evaluation.outputs.argmax(axis=1) == result.evaluation.targets
    assert result.evaluation.measures["accuracy"].value == pytest.approx(right.mean())
    # Folds of 50 examples each: the mean over folds is that over all.
    assert result.mean == pytest.approx(right.mean())
    assert result.scores == pytest.approx([part.mean() for part in np.split(right, 3)])
    assert result.spread == pytest.approx(np.std(result.scores, ddof=1))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.network.get_weights(), strict=True))
    with (tmp_path / "folds" / "predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 150
    assert json.loads((tmp_path / "folds" / "folds.json").read_text())["mean"] == pytest.approx(result.mean)


def test_a_fold_is_predicted_by_a_model_that_was_trained_without_it(tmp_path, monkeypatch):
    trained = []

    def watching(model, splits, phases, **options):
        trained.append(splits)
        return fit(model, splits, phases, **options)

    monkeypatch.setattr(module, "fit", watching)
    first = _folds(run=_run(tmp_path))
    for part in trained:
        assert not set(part.test.ids) & {*part.train.ids, *part.val.ids}
        assert not set(part.val.ids) & set(part.train.ids)
    (tmp_path / "folds" / "fold_2.npz").unlink()
    again = _folds(run=_run(tmp_path))
    assert len(trained) == 4, "a resumed run trains the folds that are missing"
    np.testing.assert_allclose(first.evaluation.outputs, again.evaluation.outputs, atol=1e-6)


def test_no_folds_are_no_work():
    assert cross_validate(_model(), SPLITS, [HEAD], folds=0) is None
    with pytest.raises(ValueError, match="3 folds or more"):
        cross_validate(_model(), SPLITS, [HEAD], folds=2)


def test_a_refit_repeats_what_validation_chose():
    phases = [*plan_phases("gradual_unfreeze", epochs=12)[:3], Phase(name="last")]
    rows = [
        {"phase": "head", "epoch": 1, "best": 1, "strength": 0.1},
        {"phase": "top 25 %", "epoch": 1, "best": 1},
        {"phase": "top 25 %", "epoch": 2, "best": 1},
        {"phase": "top 25 %", "epoch": 3, "best": 0},
        {"phase": "top 50 %", "epoch": 1, "best": 0},
        {"phase": "last", "epoch": 1, "best": 1},
    ]
    head, top, last = phases_again(phases, rows)
    assert (head.name, head.strength) == ("head", 0.1)
    assert (top.name, top.epochs, top.keep) == ("top 25 %", 2, "last")
    assert (last.name, last.epochs) == ("last", 1)


def test_a_refit_is_a_training_on_all_examples_from_the_beginning(tmp_path):
    phases = [HEAD, Phase(name="top", trainable="top:1", epochs=3, learning_rate=1e-2)]
    model, other = _model(), _model()
    history = fit(model, SPLITS, phases, keep_start=True, run=_run(tmp_path))
    measured = model.network.get_weights()
    second = refit(model, SPLITS, phases, history, run=_run(tmp_path))
    assert second is not None
    fit(other, replace(SPLITS, train=EVERYTHING), phases_again(phases, history.rows))
    for a, b in zip(model.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(measured, model.network.get_weights(), strict=True))
    assert json.loads((tmp_path / "refit.json").read_text())["examples"] == 150


@pytest.mark.parametrize("options", [{"after": "soup"}, {"schedule": "plateau"}])
def test_what_needs_validation_cannot_be_refitted_and_says_so_before_training(options):
    with pytest.raises(ValueError, match="A refit has no validation examples"):
        fit(_model(), SPLITS, plan_phases("fine_tune", **options), keep_start=True)
