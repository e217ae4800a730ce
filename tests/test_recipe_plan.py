"""`tlkeras plan`: what is shown is what `fit` then does, and nothing is trained."""

import logging
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import tlkeras
from tests.networks import square_splits, tiny_source
from tlkeras.cli import main
from tlkeras.errors import TlkerasError
from tlkeras.recipes import find_recipe, load_recipe, until_training
from tlkeras.strategies.table import STRATEGIES, plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.fit import fit
from tlkeras.training.plan import Table, plan_parts, plan_training

SPLITS = square_splits()


def _model():
    return build_classifier(tiny_source(), SPLITS.classes, seed=1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_plan_counts_what_fit_then_trains(strategy, caplog):
    phases = plan_phases(strategy, epochs=1)
    expected = [f"trains {plan.trainable:,} of" for plan in plan_training(_model(), SPLITS, phases)]
    with caplog.at_level(logging.INFO, "tlkeras"):
        fit(_model(), SPLITS, phases)
    announced = [record.getMessage() for record in caplog.records if "trains" in record.getMessage()]
    assert len(announced) == len(phases)
    assert all(count in line for count, line in zip(expected, announced, strict=True))


def test_the_plan_shows_the_rates_that_fit_then_logs():
    phases = plan_phases("discriminative", epochs=3)
    head, top = plan_training(_model(), SPLITS, phases, batch_size=30)
    assert (head.steps, top.steps) == (0, 9)
    logged = [row["learning_rate"] for row in fit(_model(), SPLITS, phases, batch_size=30).rows if row["phase"] != "head"]
    # Keras logs the rate of the step that would come next.
    np.testing.assert_allclose(logged, [*top.rates[3::3], 0.0], atol=1e-9)
    # Three blocks below the head, each at 0.85 of the one above.
    assert [block.rate for block in top.blocks] == pytest.approx([0.85**3, 0.85**2, 0.85, 1.0])


def test_the_tables_say_what_is_frozen_and_what_batch_normalization_does():
    phases = plan_phases("fine_tune", trainable="top:1", penalties="l2_sp=0.01")
    first, penalties, _, second = plan_parts(plan_training(_model(), SPLITS, phases))
    (header, rows), (_, blocks) = cast(Table, first), cast(Table, second)
    table = dict(zip(header, rows[1], strict=True))
    # Above block_1 lies a map of 6 by 6 by 8 float32: 1,152 bytes for each of 90 pictures.
    assert table["frozen below"] == "up to block_1: computed once, 103.7 kB for 90 training examples"
    assert table["BatchNormalization"] == "frozen"
    assert "l2_sp=0.01" in penalties
    assert [row[0] for row in blocks] == ["head", "block_2", "block_1", "block_0"]
    assert blocks[2][2:] == ("frozen", "frozen")


def test_a_recipe_runs_up_to_its_training_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(find_recipe("image_classification"))
    training = until_training(recipe, recipe.Config(**recipe.SMOKE, strategy="lora", batch_size=7))
    assert [phase.name for phase in training.phases] == ["head", "adapters"]
    assert training.options["batch_size"] == 7
    assert training.model.source.name == "tiny_cnn"
    assert not list(tmp_path.iterdir())
    assert tlkeras.fit is fit


def test_a_recipe_without_a_training_has_no_plan(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import dataclasses\n@dataclasses.dataclass\nclass Config:\n    a: int = 1\ndef run(config): ...\n")
    recipe = load_recipe(path)
    with pytest.raises(TlkerasError, match=r"mine.py never calls tl.fit"):
        until_training(recipe, recipe.Config())


def test_plan_prints_tables_draws_pictures_and_suggests_a_flag(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "image_classification", "--smoke", "--lr-find"]) == 0
    shown = capsys.readouterr().out
    assert "BatchNormalization" in shown
    assert "Take it by --learning-rate" in shown
    folder = Path("saved_models/plans/image_classification")
    assert {file.name for file in folder.iterdir()} == {"plan.png", "rates.png"}


def test_plan_wants_the_recipe_first(capsys):
    assert main(["plan", "--smoke"]) == 2
    assert "tlkeras plan NAME" in capsys.readouterr().err
