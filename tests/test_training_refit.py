"""Few validation examples are trained on as well, once they have chosen."""

from dataclasses import replace

import numpy as np
import pytest

import tlkeras as tl
from tlkeras.data.joined import join_examples
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import HEAD
from tlkeras.training.refit import phases_again

SAMPLE = "sample:120"
ROWS = [
    {"phase": "head", "epoch": 1, "strength": 10.0, "best": 1},
    {"phase": "top", "epoch": 1, "best": 0},
    {"phase": "top", "epoch": 2, "best": 1},
    {"phase": "top", "epoch": 3, "best": 0},
]


@pytest.fixture(scope="module")
def splits():
    return tl.load_images(SAMPLE)


def _model(splits):
    return tl.build_model(tl.load_image_source("tiny_cnn", image_size=33), splits, seed=0)


def test_the_second_head_is_the_one_that_all_labelled_examples_give_at_the_chosen_strength(splits):
    model = _model(splits)
    history = tl.fit(model, splits, [HEAD])
    first = model.network.get_weights()
    second = tl.refit_few(model, splits, [HEAD], history)
    expected = _model(splits)
    joined = replace(splits, train=join_examples([splits.train, splits.val]))
    tl.fit(expected, joined, [replace(HEAD, strength=history.rows[0]["strength"])])
    assert second is not None and second.rows[0]["strength"] == history.rows[0]["strength"]
    for found, wanted in zip(model.network.get_weights(), expected.network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert not np.array_equal(first[-1], model.network.get_weights()[-1])


def test_nothing_is_trained_again_with_enough_validation_examples_or_with_steps_that_look_at_them(splits):
    model = _model(splits)
    history = tl.fit(model, splits, [HEAD])
    before = model.network.get_weights()
    assert tl.refit_few(model, splits, [HEAD], history, fewer_than=len(splits.val)) is None
    phases = [HEAD, Phase(name="top", trainable="top:1", epochs=1, patience=1, after=("soup",))]
    history = tl.fit(_model(splits), splits, phases)
    assert tl.refit_few(model, splits, phases, history) is None
    for found, wanted in zip(model.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_phase_that_ran_to_its_end_does_so_again_and_one_that_was_no_better_is_left_out():
    phases = [HEAD, Phase(name="top", trainable="top:1", epochs=3, patience=3)]
    head, top = phases_again(phases, ROWS, whole=True)
    assert (head.strength, top.epochs, top.keep) == (10.0, 3, "last")
    assert phases_again(phases, ROWS)[1].epochs == 2
    stopped = [phases[0], replace(phases[1], epochs=9)]
    assert phases_again(stopped, ROWS, whole=True)[1].epochs == 2
    worse = [{**row, "best": int(row["phase"] == "head")} for row in ROWS]
    assert [phase.name for phase in phases_again(phases, worse, whole=True)] == ["head"]


def test_refit_says_what_it_needs(splits):
    many = tl.load_images("sample")
    model = _model(many)
    history = tl.fit(model, many, [HEAD])
    assert history.start is None
    with pytest.raises(ValueError, match="keep_start=True"):
        tl.refit(model, many, [HEAD], history)
    assert tl.refit(model, many, [HEAD], history, wanted=False) is None
