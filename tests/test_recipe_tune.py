"""`tlkeras tune`: tries what was asked for, by validation alone, goes on where it was stopped, and says what to run."""

import csv
import json
from pathlib import Path
from typing import cast

import pytest

from tlkeras.cli import main
from tlkeras.recipe_tune import Choice, parse_search, tune_recipe
from tlkeras.recipes import find_recipe, load_recipe
from tlkeras.training import fit as fit_module
from tlkeras.training.history import History
from tlkeras.tune_settings import TuneSettings

RECIPE = load_recipe(find_recipe("image_classification"))
SEARCH = ("learning_rate=1e-4..1e-2", "batch_size=16,32")


def _config(**values):
    return RECIPE.Config(**{**RECIPE.SMOKE, "data": "sample", "output": "found", **values})


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Replaces training by a score that is the better the nearer the rate is to 2e-3; gives what was trained."""
    seen = []

    def fit(model, splits, phases, **options):
        seen.append((phases[-1].learning_rate * 10, options["batch_size"]))
        accuracy = 1 / (1 + abs(seen[-1][0] - 2e-3) * 1e3)
        return History([{"phase": "x", "epoch": 1, "best": 1, "val_accuracy": accuracy, "val_loss": 1.0}])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit_module, "fit", fit)
    return seen


def test_choices_are_read_by_what_they_look_like():
    one, two, three = parse_search(["learning_rate=1e-4..1e-2", "--batch-size=16,32", "trainable=head,None"], _config())
    assert one == Choice("learning_rate", ends=(1e-4, 1e-2))
    assert two == Choice("batch_size", values=(16, 32))
    assert three == Choice("trainable", values=("head", None))
    assert (one.holds(1e-3), one.holds(1.0), two.holds(16), two.holds(17)) == (True, False, True, False)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("learning_rat=1", r"Received: 'learning_rat'. Did you mean 'learning_rate'"),
        ("learning_rate=2..1", "from the lower to the higher"),
        ("learning_rate=a..b", r"two numbers.*Received: 'a'"),
        ("learning_rate", "name=low..high or name=a,b,c"),
        ("seed=1,2", "Unknown field"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(item, message):
    with pytest.raises(ValueError, match=message):
        parse_search([item], _config())


def test_the_search_finds_the_best_starts_from_the_settings_and_says_the_command(trained):
    *_, table, _, command = tune_recipe(RECIPE, _config(), TuneSettings(trials=12, search=SEARCH))
    header, rows = cast(tuple, table)
    assert trained[0] == (pytest.approx(1e-3), 32), "the settings come first"
    assert len(trained) == 12
    assert all(1e-4 <= rate <= 1e-2 and size in (16, 32) for rate, size in trained)
    best = max(trained, key=lambda one: -abs(one[0] - 2e-3))
    assert header[:2] == ("trial", "val_accuracy")
    assert float(rows[0][1]) == pytest.approx(1 / (1 + abs(best[0] - 2e-3) * 1e3), abs=1e-4)
    assert f"--learning-rate {best[0]:.3g}" in command
    assert "--source tiny_cnn" in command
    with Path("found/trials.csv").open() as stream:
        scores = [float(row["val_accuracy"]) for row in csv.DictReader(stream)]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 12


def test_a_search_goes_on_where_it_was_stopped_and_refuses_another(trained):
    list(tune_recipe(RECIPE, _config(), TuneSettings(trials=3, search=SEARCH)))
    list(tune_recipe(RECIPE, _config(), TuneSettings(trials=5, search=SEARCH)))
    assert len(trained) == 5
    assert len({rate for rate, _ in trained}) == 5
    with pytest.raises(ValueError, match="found holds a search with other settings"):
        list(tune_recipe(RECIPE, _config(epochs=9), TuneSettings(trials=5, search=SEARCH)))


def test_the_command_trains_for_real_and_leaves_the_test_examples_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        "tune",
        "image_classification",
        "--smoke",
        "--trials",
        "2",
        "--search",
        "batch_size=8,16",
        "strategy=fine_tune,lora",
    ]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "Trial 2 of 2 ended: val_accuracy" in shown
    assert "tlkeras run image_classification --" in shown
    folder = Path("saved_models/tune/image_classification")
    assert {file.name for file in folder.iterdir()} >= {"trials.csv", "trials.journal"}
    assert "test" not in json.dumps([line for line in shown.splitlines() if "accuracy" in line and "Trial" in line])
