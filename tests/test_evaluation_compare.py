"""Comparisons: parts of the data, intervals, verdicts, what is kept and what is not repeated."""

import json
import math
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.networks import square_splits, tiny_source
from tlkeras.errors import TlkerasError
from tlkeras.evaluation.arms import Arm, Training, depth_arms, make_arms
from tlkeras.evaluation.compare import PARTS, compare, words
from tlkeras.evaluation.evaluate import evaluate
from tlkeras.evaluation.learning_curves import Point, cost_to_reach, difference, mean_score, point, worth
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.outcome import Meter, Outcome, Step
from tlkeras.evaluation.signs import find_signs
from tlkeras.evaluation.subsets import nested_subsets
from tlkeras.sources.macs import count_macs
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.fit import fit


def _step(epochs, val_score, *, val_loss=1.0, seconds=None, macs=None):
    return Step(epochs, float(epochs if seconds is None else seconds), macs, 1.0, val_loss, 0.5, val_score)


def _outcome(scores, *, train=0.9, val=0.5, n_train=90, steps=()):
    return Outcome(np.array(scores, float), train, val, n_train, 2.0, 1000, None, tuple(steps))


def _fake(right, *, val=None, calls=None, transfer=True, name="arm"):
    """An arm that is right on the first `right` shares of the 30 test examples."""

    def train(splits, seed):
        if calls is not None:
            calls.append((name, len(splits.train), seed))
        scores = (np.arange(30) < round(30 * right)).astype(float)
        return _outcome(scores, val=right if val is None else val, n_train=len(splits.train))

    return Arm(name, transfer, train)


def test_parts_lie_within_each_other_and_keep_the_classes():
    splits = square_splits()
    parts = nested_subsets(splits, [1.0, 0.1, 0.5], seed=3)
    assert list(parts) == [0.1, 0.5, 1.0] and parts[1.0] is splits
    assert [len(part.train) for part in parts.values()] == [9, 45, 90]
    assert [len(part.val) for part in parts.values()] == [3, 15, 30]
    assert set(parts[0.1].train.ids) < set(parts[0.5].train.ids)
    assert np.bincount(parts[0.5].train.labels).tolist() == [15, 15, 15]
    assert all(part.test is splits.test for part in parts.values())
    assert len({part.fingerprint for part in parts.values()}) == 3
    other = nested_subsets(splits, [0.5], seed=4)[0.5]
    assert set(other.train.ids) != set(parts[0.5].train.ids)
    assert np.bincount(nested_subsets(splits, [0.001])[0.001].train.labels).tolist() == [1, 1, 1]


@pytest.mark.parametrize("fractions", [[0.0], [1.1], [0.5, -1], []])
def test_a_fraction_is_above_0_and_at_most_1(fractions):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        nested_subsets(square_splits(), fractions)


def test_an_interval_adds_the_chance_of_examples_and_of_seeds():
    one = mean_score([np.array([0.0, 1.0, 1.0, 1.0])])
    assert one.value == 0.75 and one.n == 4
    half = 1.959964 * math.sqrt(0.25 / 4)  # the variance of 0, 1, 1, 1 is 1/4
    assert (one.low, one.high) == (pytest.approx(0.75 - half), pytest.approx(0.75 + half))
    # Two seeds whose means are 0.5 and 1: Student's quantile for one degree of freedom is 12.706, the variance 1/8.
    two = mean_score([np.array([-3.0, 4.0]), np.array([-2.0, 4.0])])
    examples = 1.959964**2 * np.var([-2.5, 4.0], ddof=1) / 2
    assert two.high - two.value == pytest.approx(math.sqrt(examples + 12.7062**2 * 0.125 / 2), rel=1e-5)
    assert mean_score([np.ones(5), np.ones(5)]) == Measure(1.0, 1.0, 1.0, 5)
    assert point(1.0, [_outcome([0, 1, 1, 1])]).score.high == 1.0  # a share is at most 1
    gain = difference([_outcome([1, 1, 0, 1])], [_outcome([1, 0, 0, 0])])
    assert gain.value == 0.5 and gain.low == pytest.approx(0.5 - 1.959964 * math.sqrt(1 / 3 / 4))


def _curve(**values):
    return [Point(1.0, int(n[1:]), Measure(value, 0, 1, 9), (value,), value, 0, 0, 0, None) for n, value in values.items()]


def test_what_transfer_is_worth_is_read_between_the_points_of_the_other_curve():
    scratch = _curve(n100=0.6, n400=0.8, n1600=0.9)
    found = worth(_curve(n50=0.5, n100=0.8, n400=0.85, n1600=0.95), scratch)
    assert [(one.n, one.at_least) for one in found] == [(100, False), (400, False), (1600, True)]
    assert [one.times for one in found] == pytest.approx([4.0, 2.0, 1.0])  # 400 and 800 (half-way in the logarithm)
    assert worth(_curve(n50=0.6), scratch)[0].times == pytest.approx(2.0)
    assert worth(_curve(n50=0.75), _curve(n100=0.7, n200=0.75, n400=0.72))[0].times == pytest.approx(4.0)


def test_costs_are_those_of_the_first_epoch_that_reaches_the_goal():
    ways = [[_step(0, 0.5), _step(1, 0.8, macs=5.0), _step(2, 0.9)], [_step(1, 0.6), _step(2, 0.7)]]
    outcomes = [_outcome([1.0], steps=way) for way in ways]
    cost = cost_to_reach(0.8, outcomes)
    assert (cost.reached, cost.seconds, cost.epochs, cost.macs) == (1, 1.0, 1.0, 5.0)
    assert cost_to_reach(0.7, outcomes).seconds == 1.5
    assert cost_to_reach(0.99, outcomes).seconds is None


def test_signs_are_read_from_the_curves():
    def signs(train, test, steps=()):
        outcome = _outcome([test], train=train, steps=steps)
        return [sign.sign.split(":")[0] for sign in find_signs("arm", [outcome], best_test=0.9, chance=0.1)]

    assert signs(0.45, 0.45) == ["underfits"]
    assert signs(1.0, 0.8) == ["overfits"] and signs(0.95, 0.9) == []
    rising = [_step(epoch, 0.5, val_loss=loss) for epoch, loss in enumerate((1.0, 0.5, 2.0), 1)]
    (sign,) = find_signs("arm", [_outcome([0.5], train=1.0, steps=rising)], best_test=0.9, chance=0.1)
    assert "ends 4.0 times above its lowest" in sign.sign and "augmentation" in sign.remedy
    better = [_step(epoch, epoch / 10, val_loss=1 / epoch) for epoch in range(1, 6)]
    assert signs(0.9, 0.9, better) == ["was still getting better when it ended"]
    assert signs(0.9, 0.9, better[:3]) == []
    assert signs(0.9, 0.9, [*better, _step(6, 0.1)]) == []


@pytest.mark.parametrize(
    ("own", "other", "start"), [(0.9, 0.2, "helped"), (0.2, 0.9, "hurt"), (0.5, 0.5, "made no difference")]
)
def test_the_verdict_says_helped_hurt_or_no_difference(own, other, start):
    found = compare(square_splits(), {"a": _fake(own), "b": _fake(other, transfer=False)}, fractions=[1], seeds=1)
    assert found.verdict.startswith(f"Transfer {start}") and "30 test examples, 1 seed." in found.verdict
    assert found.gain is not None and found.gain.value == pytest.approx(own - other)


def test_the_verdict_names_what_transfer_is_worth_in_data():
    found = compare(square_splits(), {"a": _fake(0.9), "from_scratch": _fake(0.2, transfer=False)}, fractions=[0.1, 1], seeds=2)
    assert found.verdict.endswith("With 9 examples it is as good as from_scratch with more than 10.0 times the data.")
    assert "No verdict" in words("classification", "a", None, None, (), None, 3)


def test_the_arms_of_the_verdict_are_chosen_by_validation_not_by_test():
    arms = {"lucky": _fake(0.9, val=0.1), "sound": _fake(0.5, val=0.8), "other": _fake(0.4, transfer=False)}
    assert compare(square_splits(), arms, fractions=[1], seeds=1).best_transfer == "sound"


def test_what_was_trained_is_kept_and_only_what_is_new_is_trained(tmp_path):
    calls: list = []
    arms = {"a": _fake(0.9, calls=calls, name="a"), "b": _fake(0.5, calls=calls, name="b", transfer=False)}
    splits = square_splits()
    first = compare(splits, arms, fractions=[0.5], seeds=2, folder=tmp_path, settings={"epochs": 3})
    assert sorted(calls) == sorted((name, n, seed) for name in "ab" for n in (45, 90) for seed in (0, 1))
    calls.clear()
    assert compare(splits, arms, fractions=[0.5], seeds=2, folder=tmp_path, settings={"epochs": 3}) == first and calls == []
    (tmp_path / PARTS / "a_0.5_1.json").unlink()
    more = {**arms, "c": _fake(0.1, calls=calls, name="c")}
    compare(splits, more, fractions=[0.5], seeds=2, depths={50: more["c"]}, folder=tmp_path, settings={"epochs": 3})
    assert sorted(calls) == sorted([("a", 45, 1), *(("c", n, seed) for n in (45, 90, 90) for seed in (0, 1))])


def test_a_folder_of_other_settings_or_with_a_damaged_file_is_refused(tmp_path):
    splits, arms = square_splits(), {"a": _fake(0.9)}
    compare(splits, arms, fractions=[1], seeds=1, folder=tmp_path, settings={"epochs": 3})
    with pytest.raises(ValueError, match=r"differs in epochs \(there 3, now 4\)"):
        compare(splits, arms, fractions=[1], seeds=1, folder=tmp_path, settings={"epochs": 4})
    with pytest.raises(ValueError, match="differs in fingerprint"):
        compare(replace(splits, fingerprint="1"), arms, fractions=[1], seeds=1, folder=tmp_path, settings={"epochs": 3})
    (tmp_path / PARTS / "a_1_0.json").write_text("{")
    with pytest.raises(TlkerasError, match=r"a_1_0\.json is damaged"):
        compare(splits, arms, fractions=[1], seeds=1, folder=tmp_path, settings={"epochs": 3})
    with pytest.raises(ValueError, match="0 seeds"):
        compare(splits, arms, seeds=0)


def test_outcomes_survive_their_file():
    outcome = _outcome([0.0, 1.0], steps=[_step(1, math.nan, macs=3.0), _step(2, 0.5)])
    back = Outcome.from_json(json.loads(json.dumps(outcome.to_json())))
    assert math.isnan(back.steps[0].val_score) and back.steps[0].macs == 3.0 and back.steps[1] == outcome.steps[1]
    assert back.scores.tolist() == [0.0, 1.0] and back.to_json() == outcome.to_json()


def test_a_meter_sees_time_and_memory():
    with Meter(every=0.001) as meter:
        held = np.ones(20_000_000)
        held.sum()
        meter._done.wait(0.05)
    assert meter.seconds >= 0.05 and meter.peak_bytes > 50_000_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Real arms on a tiny network, with the source's weights before and after."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TLKERAS_CACHE", str(tmp_path_factory.mktemp("cache")))
    source, splits = tiny_source(), square_splits()
    before = [weight.copy() for weight in source.network.get_weights()]
    training = Training(epochs=3, learning_rate=1e-2)
    names = ["scratch", "random_frozen", "feature_extraction", "fine_tune", "pixels"]
    arms = {**make_arms(names, source, training), "top": depth_arms([34], source, training)[34]}
    outcomes = {name: arm.train(splits, 0) for name, arm in arms.items()}
    patch.undo()
    return source, before, splits, arms, outcomes


def test_arms_leave_the_source_as_it_is_and_each_gives_a_score_for_each_test_example(trained):
    source, before, _, arms, outcomes = trained
    for old, new in zip(before, source.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [name for name, arm in arms.items() if arm.transfer] == ["feature_extraction", "fine_tune", "top"]
    assert all(outcome.scores.shape == (30,) and outcome.n_train == 90 for outcome in outcomes.values())
    assert outcomes["pixels"].scores.mean() > 0.9  # the squares can be read off the pixels
    assert outcomes["pixels"].steps == () and len(outcomes["from_scratch"].steps) == 3


def test_the_head_on_kept_features_is_the_head_that_fit_solves(trained):
    source, _, splits, _, outcomes = trained
    model = build_classifier(source, splits.classes)
    history = fit(model, splits, plan_phases("feature_extraction"))
    evaluation = evaluate(model, splits, compare_nulls=False)
    found = outcomes["feature_extraction"]
    np.testing.assert_array_equal(found.scores, evaluation.outputs.argmax(axis=1) == evaluation.targets)
    assert found.steps[0].val_loss == pytest.approx(history.rows[0]["val_loss"], rel=1e-3)
    assert found.trained == 10 * 3 + 3


def test_costs_add_up(trained):
    source, *_, outcomes = trained
    whole = count_macs(source.network, source.input_size)
    head = 10 * 3
    assert outcomes["feature_extraction"].steps[0].macs == whole * 120
    steps = outcomes["from_scratch"].steps
    assert [step.epochs for step in steps] == [1, 2, 3] and steps[0].macs == (whole + head) * (3 * 90 + 30)
    assert steps[2].macs == 3 * steps[0].macs
    assert steps[-1].seconds == pytest.approx(outcomes["from_scratch"].seconds, abs=0.01)
    # The top two of three blocks: the frozen part is the whole network without the head, for the phase that fits the head.
    assert outcomes["top"].steps[0].macs == whole * 120


def test_unknown_arms_are_named_with_what_there_is():
    with pytest.raises(ValueError, match=r"'fine_tun'.*fine_tune"):
        make_arms(["fine_tun"], tiny_source(), Training())
    with pytest.raises(ValueError, match="tf_idf"):
        make_arms(["tf_idf"], tiny_source(), Training())


def test_a_training_that_is_not_kept_stops_at_once_when_asked_to():
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 0:  # once: a second one would have been heard anyway
                signal.raise_signal(signal.SIGINT)

    model = build_classifier(tiny_source(), ("high", "low", "middle"))
    with pytest.raises(KeyboardInterrupt):
        fit(model, square_splits(), plan_phases("from_scratch", epochs=2), callbacks=[Interrupt()])
