"""The sweep finds the rate that a known curve asks for, and leaves the model as it was."""

import numpy as np
import pytest

from tests.networks import square_splits, tiny_source
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.plan_plots import save_sweep
from tlkeras.training.rate_finder import lr_find, suggest

RATES = np.logspace(-6, 0, 61)


def test_the_suggestion_lies_half_way_down_the_fall():
    # Level up to 1e-4, falling by the decade to 1e-2, then rising.
    losses = np.interp(np.log10(RATES), [-6, -4, -2, 0], [2, 2, 0.5, 8])
    rate, reason = suggest(RATES, losses)
    assert rate == pytest.approx(1e-3, rel=0.3)
    assert "fall" in reason


def test_where_the_loss_does_not_fall_the_suggestion_is_a_tenth_of_where_it_rises():
    losses = np.interp(np.log10(RATES), [-6, -3, -2], [1, 1, 2])
    rate, reason = suggest(RATES, losses)
    # 1.1 times the beginning is reached at 10 ** -2.9 and passed at the next step.
    assert rate == pytest.approx(10**-2.8 / 10, rel=0.01)
    assert "hardly falls" in reason


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_the_sweep_raises_the_rate_and_puts_the_weights_back(decay, tmp_path):
    model, splits = build_classifier(tiny_source(), ("a", "b", "c"), seed=1), square_splits()
    before = model.network.get_weights()
    phase = Phase(name="x", trainable="all", layer_decay=decay)
    sweep = lr_find(model, splits, [phase], steps=25, low=1e-5, high=10.0)
    assert sweep.rates[0] == pytest.approx(1e-5)
    np.testing.assert_allclose(np.diff(np.log10(sweep.rates)), 6 / 24, rtol=1e-4)
    assert 1e-5 < sweep.suggestion < 1
    assert len(sweep.losses) == len(sweep.rates) > 10
    for a, b in zip(before, model.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    save_sweep(sweep.rates, sweep.losses, sweep.suggestion, tmp_path / "sweep.png", phase="x")
    assert (tmp_path / "sweep.png").stat().st_size > 5000


def test_a_strategy_without_a_rate_has_none_to_find():
    model = build_classifier(tiny_source(), ("a", "b", "c"))
    with pytest.raises(ValueError, match="No phase trains by gradient"):
        lr_find(model, square_splits(), plan_phases("feature_extraction"))
