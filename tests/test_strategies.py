"""Strategies are data."""

from typing import Any

import pytest

from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import STRATEGIES, plan_phases
from tlkeras.training.schedules import learning_rate


def test_fine_tune_fits_the_head_first_and_the_top_blocks_at_a_tenth_of_the_rate():
    head, top = plan_phases("fine_tune", trainable="top:3", epochs=7, learning_rate=2e-3)
    assert (head.trainable, head.solver) == ("head", "closed_form")
    assert (top.trainable, top.learning_rate, top.epochs, top.batch_norm) == ("top:3", 2e-4, 7, "frozen")


@pytest.mark.parametrize("strategy", ["feature_extraction", "fine_tune"])
def test_trainable_head_means_one_phase(strategy):
    assert [phase.trainable for phase in plan_phases(strategy, trainable="head")] == ["head"]


def test_from_scratch_starts_from_random_weights_and_moves_the_statistics():
    (phase,) = plan_phases("from_scratch", epochs=3)
    assert (phase.initialise, phase.trainable, phase.batch_norm) == ("random", "all", "train")


def test_a_near_miss_is_answered_with_the_right_name():
    with pytest.raises(ValueError, match=r"Received: 'finetune'. Did you mean 'fine_tune'"):
        plan_phases("finetune")


def test_from_scratch_refuses_to_train_a_part():
    with pytest.raises(ValueError, match=r"trains all blocks. Received: trainable='top:2'"):
        plan_phases("from_scratch", trainable="top:2")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("learning_rate", 0.0, "above 0. Received: 0.0"),
        ("epochs", 0, "at least one epoch. Received: 0"),
        ("patience", 0, "Received: 0"),
        ("solver", "closed_form", "fits the head only. Received: trainable='all'"),
    ],
)
def test_a_phase_that_cannot_be_trained_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        Phase(name="x", trainable="all", **{field: value})


def test_gradual_unfreezing_goes_down_in_four_stages():
    phases = plan_phases("gradual_unfreeze", epochs=8)
    assert [phase.trainable for phase in phases] == ["head", "top:25%", "top:50%", "top:75%", "top:100%"]
    assert [phase.epochs for phase in phases[1:]] == [2, 2, 2, 2]


@pytest.mark.parametrize("name", ["image_classification", "text_classification"])
def test_the_recipes_offer_every_strategy_of_the_table(name):
    from typing import get_args, get_type_hints

    from tlkeras.recipes import find_recipe, load_recipe

    assert set(get_args(get_type_hints(load_recipe(find_recipe(name)).Config)["strategy"])) == set(STRATEGIES)


def test_every_strategy_of_the_table_gives_phases():
    for name in STRATEGIES:
        assert all(isinstance(phase, Phase) for phase in plan_phases(name))


def test_cosine_warms_up_over_a_tenth_and_ends_at_zero():
    schedule: Any = learning_rate(Phase(name="x", learning_rate=1e-3, epochs=10), steps_per_epoch=10)
    assert float(schedule(0)) == pytest.approx(1e-4)
    assert float(schedule(5)) == pytest.approx(5.5e-4)
    assert float(schedule(10)) == pytest.approx(1e-3)
    assert float(schedule(55)) == pytest.approx(5e-4)
    assert float(schedule(100)) == pytest.approx(0.0, abs=1e-9)


def test_one_cycle_rises_over_a_quarter_and_falls_to_nearly_nothing():
    schedule: Any = learning_rate(Phase(name="x", learning_rate=1e-3, epochs=10, schedule="one_cycle"), steps_per_epoch=10)
    assert [float(schedule(step)) for step in (0, 25, 100)] == pytest.approx([4e-5, 1e-3, 1e-8], rel=1e-2)
    # Half way up and half way down, a half cosine is half way between its ends.
    assert float(schedule(12.5)) == pytest.approx((4e-5 + 1e-3) / 2)
    assert float(schedule(62.5)) == pytest.approx((1e-3 + 1e-8) / 2)


def test_slanted_triangles_follow_the_formula_of_howard_and_ruder():
    schedule: Any = learning_rate(Phase(name="x", learning_rate=1e-3, epochs=10, schedule="slanted"), steps_per_epoch=10)
    cut, ratio = 10, 32
    for step in (0, 3, 10, 40, 99):
        share = step / cut if step < cut else 1 - (step - cut) / (cut * (100 / cut - 1))
        assert float(schedule(step)) == pytest.approx(1e-3 * (1 + share * (ratio - 1)) / ratio)


def test_the_other_schedules_start_at_the_rate():
    assert learning_rate(Phase(name="x", learning_rate=3e-4, schedule="constant"), 5) == 3e-4
    assert learning_rate(Phase(name="x", learning_rate=3e-4, schedule="plateau"), 5) == 3e-4
