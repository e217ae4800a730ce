"""Slices and fairness against hand-worked tables, fairlearn and SciPy, and data without any difference."""

import io
from dataclasses import replace

import numpy as np
import pytest
from fairlearn import metrics as fairlearn
from PIL import Image
from scipy.stats import fisher_exact

from tests.networks import square_splits
from tests.test_evaluation_saved import evaluation as plain_evaluation
from tlkeras.data.examples import ClassTargets, Examples, ImageFiles, Texts
from tlkeras.data.load import load_texts
from tlkeras.data.slicing import MISSING, OTHER, slice_values
from tlkeras.errors import DataError
from tlkeras.evaluation import classification, regression
from tlkeras.evaluation.fairness import equalizing_thresholds, measure_fairness, rates
from tlkeras.evaluation.saved import save_evaluation
from tlkeras.evaluation.slices import difference_p_value, measure_slices, slice_columns

GROUPS = np.array(["north"] * 60 + ["south"] * 40)
RIGHT = np.array([1.0] * 55 + [0.0] * 5 + [1.0] * 20 + [0.0] * 20)


def test_a_slice_is_compared_with_all_the_others():
    found = measure_slices({"region": GROUPS}, RIGHT, classification, "accuracy")
    assert [(one.value, one.n) for one in found] == [("south", 40), ("north", 60)]
    worst = found[0]
    assert worst.metric.value == 0.5 and worst.metric.n == 40
    assert worst.difference == pytest.approx(20 / 40 - 55 / 60)
    # Two slices were looked at, the same table both times.
    assert worst.p_value == pytest.approx(min(1, 2 * fisher_exact([[20, 20], [55, 5]]).pvalue))
    assert worst.significant


def test_few_slices_differ_where_nothing_does():
    generator = np.random.default_rng(0)
    columns = {f"column {place}": generator.choice(["a", "b", "c", "d"], 400) for place in range(25)}
    scores = (generator.random(400) < 0.8).astype(float)
    found = measure_slices(columns, scores, classification, "accuracy")
    assert len(found) == 100
    assert not any(one.significant for one in found)
    assert min(difference_p_value(scores[c == v], scores[c != v]) for c in columns.values() for v in "abcd") < 0.05


def test_small_slices_are_left_out_and_errors_are_worse_when_larger():
    column = np.array(["a"] * 50 + ["b"] * 50 + ["rare"] * 5)
    error = np.concatenate([np.linspace(1, 2, 50), np.linspace(3, 4, 50), np.ones(5)])
    found = measure_slices({"x": column}, -error, regression, "mean_absolute_error")
    assert [one.value for one in found] == ["b", "a"]
    assert found[0].metric.value == pytest.approx(3.5)
    assert found[0].difference < 0 and found[0].significant


def test_texts_are_sliced_by_their_number_of_words_and_by_the_columns_of_the_data():
    texts = tuple("word " * (1 + row) for row in range(30))
    metadata = {
        "digest": np.arange(30).astype(str),
        "group": np.array(["x", "y", "z"] * 10),
        "patient": np.arange(30).astype(str),
        "time": 86400 * np.linspace(0.0, 29.0, 30),
    }
    examples = Examples(np.arange(30).astype(str), Texts(texts, np.arange(30)), ClassTargets(np.zeros(30, np.int32)), metadata)
    columns = slice_columns(examples)
    assert set(columns) == {"group", "time", "text length"}  # an identity is nothing to slice by
    assert columns["time"][0] == "low: 1970-01-01 to 1970-01-10"
    assert list(np.unique(columns["text length"])) == ["high: 21 to 30", "low: 1 to 10", "middle: 11 to 20"]


def test_pictures_are_sliced_by_size_and_brightness(tmp_path):
    paths = []
    for row in range(9):
        stream = io.BytesIO()
        Image.new("RGB", (10 * (row + 1), 10 * (row + 1)), (20 * row,) * 3).save(stream, "png")
        (tmp_path / f"{row}.png").write_bytes(stream.getvalue())
        paths.append(str(tmp_path / f"{row}.png"))
    examples = Examples(np.arange(9).astype(str), ImageFiles(tuple(paths)), ClassTargets(np.zeros(9, np.int32)))
    columns = slice_columns(examples)
    assert columns["picture size"][0] == "low: 10 to 30" and columns["picture size"][-1] == "high: 70 to 90"
    assert columns["brightness"][4] == "middle: 60 to 100"
    assert set(slice_columns(square_splits().test)) == {"brightness"}  # arrays are all of one size


def test_fairness_is_that_of_fairlearn_and_of_a_table_worked_out_by_hand():
    #        true, taken: a 10 of 20 true found 8, 2 of 10 others taken; b 10 of 20 true found 4, 1 of 10 others taken
    groups = np.repeat(["a", "b"], 20)
    true = np.tile(np.repeat([1, 0], 10), 2)
    taken = np.array([1] * 8 + [0] * 2 + [1] * 2 + [0] * 8 + [1] * 4 + [0] * 6 + [1] * 1 + [0] * 9)
    outputs = np.stack([1 - 0.8 * taken, 0.1 + 0.8 * taken], axis=1)
    (found,) = measure_fairness({"sex": groups}, true, outputs, ("no", "yes"))
    assert found.of == "yes"
    assert found.groups["a"]["true_positive_rate"] == pytest.approx(0.8)
    assert found.groups["b"]["false_positive_rate"] == pytest.approx(0.1)
    assert found.groups["b"]["selection_rate"] == pytest.approx(0.25)
    assert found.demographic_parity_difference == pytest.approx(0.25)
    assert found.equalized_odds_difference == pytest.approx(0.4)
    by_group = fairlearn.MetricFrame(metrics=fairlearn.selection_rate, y_true=true, y_pred=taken, sensitive_features=groups)
    np.testing.assert_allclose(rates(groups, true == 1, taken == 1)[:, 0], by_group.by_group)
    # Dealing 40 people at random to two groups gives differences too.
    assert 0.05 < found.null < 0.4 and 0.005 < found.p_value < 0.5


def test_a_predictor_that_ignores_the_group_is_rarely_called_unfair():
    generator = np.random.default_rng(0)
    groups, true = generator.choice(["a", "b", "c"], 600), generator.integers(0, 3, 600)
    outputs = generator.dirichlet(np.ones(3), 600)
    found = measure_fairness({"region": groups}, true, outputs, ("x", "y", "z"))
    assert len(found) == 3
    assert all(one.p_value > 0.05 for one in found)


def test_thresholds_by_group_bring_the_true_positive_rates_together():
    generator = np.random.default_rng(0)
    groups, true = generator.choice(["a", "b"], 2000), generator.random(2000) < 0.4
    scores = np.clip(0.35 * true + 0.5 * generator.random(2000) - 0.2 * (groups == "b") + 0.1, 0, 1)
    outputs = np.stack([1 - scores, scores], axis=1)
    half = np.arange(2000) < 1000
    validation = ({"sex": groups[half]}, true[half].astype(int), outputs[half])
    (found,) = measure_fairness(
        {"sex": groups[~half]}, true[~half].astype(int), outputs[~half], ("no", "yes"), validation=validation
    )
    assert found.thresholds["a"] > found.thresholds["b"]
    after = found.equalized_odds_difference_after
    assert after is not None and found.equalized_odds_difference > 0.3 > 0.12 > after


def test_the_threshold_of_a_group_finds_the_share_that_all_find():
    groups, true = np.array(["a"] * 4 + ["b"] * 4), np.ones(8, bool)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.9, 0.4, 0.3, 0.2])
    # Over all 5 of 8 are found: 0.625 of 4 is 2.5, which rounds to 2.
    assert equalizing_thresholds(groups, true, scores) == {"a": pytest.approx(0.75), "b": pytest.approx(0.35)}


def test_a_column_of_one_group_is_refused():
    with pytest.raises(ValueError, match="needs two groups of 10"):
        measure_fairness({"sex": np.array(["a"] * 20)}, np.arange(20) % 2, np.eye(2)[np.arange(20) % 2], ("n", "y"))


def test_the_pictures_of_slices_and_curves_are_drawn(tmp_path):
    first = plain_evaluation()
    found = measure_slices({"region": GROUPS}, RIGHT, classification, "accuracy")
    save_evaluation(replace(first, slices=found), tmp_path)
    for name in ("slices.png", "curves.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 500


def test_any_column_can_be_sliced_by_few_values_numbers_or_many_values():
    assert slice_values(["x", " y ", "", "x"]).tolist() == ["x", "y", MISSING, "x"]
    numbers = slice_values([str(value) for value in range(30)] + [""])
    assert numbers.dtype == np.float64 and np.isnan(numbers[-1])
    names = slice_values([f"name {value}" for value in range(40)] + ["often"] * 5)
    assert len(np.unique(names)) == 20
    assert {"often", OTHER} <= set(names.tolist())


def test_columns_that_are_asked_for_become_slices_of_texts_and_pictures(tmp_path):
    rows = [
        f"text {row} is {('bad', 'good')[row % 2]},{('no', 'yes')[row % 2]},{('north', 'south', '')[row % 3]},{age}"
        for row, age in enumerate(str(20 + row % 30) if row % 3 else "" for row in range(90))
    ]
    (tmp_path / "table.csv").write_text("\n".join(["text,label,site,age", *rows]))
    splits = load_texts(tmp_path / "table.csv", label_column="label", slice="site,age")
    columns = slice_columns(splits.test)
    assert set(columns) == {"site", "age", "text length"} or set(columns) == {"site", "age"}
    assert set(np.unique(columns["site"])) == {"north", "south", MISSING}
    assert {value.partition(":")[0] for value in np.unique(columns["age"])} == {"low", "middle", "high", MISSING}
    with pytest.raises(DataError, match="Did you mean 'site'"):
        load_texts(tmp_path / "table.csv", label_column="label", slice="sites")
    with pytest.raises(DataError, match="slice"):
        load_texts("sample", slice="site")
