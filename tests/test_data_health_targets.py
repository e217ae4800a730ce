"""What the check finds about several labels per example, values, and times."""

from tests.data_files import words
from tests.test_data_health import findings, offenders, table
from tlkeras.data.columns import TableOptions
from tlkeras.report.check import check_data


def test_labels_that_cannot_be_learnt_or_mean_the_same_are_found(tmp_path):
    rows = [f"{words(n)},{n % 2},1,{n % 3 == 0:d},{n % 3 == 0:d},{n == 7:d},{'?' if n == 9 else 0}" for n in range(90)]
    header = "text,odd,all,third,fizz,rare,none"
    options = TableOptions(labels=("odd", "all", "third", "fizz", "rare", "none"))
    found = findings(table(tmp_path, rows, header), options=options)
    assert set(found) == {"constant_labels", "rare_labels", "twin_labels", "unusable_targets"}
    assert set(offenders(found["constant_labels"])) == {"all", "none"} and found["constant_labels"].severity == "error"
    assert offenders(found["rare_labels"]) == {"rare": "1 example"}
    assert "one part of a split has none" in found["rare_labels"].explanation
    assert set(offenders(found["twin_labels"])) == {"'third', 'fizz'"}
    assert offenders(found["unusable_targets"]) == {"row 11": "'?' in the column 'none' is neither 0 nor 1"}


def test_labels_missing_in_a_part_and_examples_without_any_are_found(tmp_path):
    labels = ["red", "red|round", "round", "[]"]
    rows = [
        f"{words(n)},{'train' if n < 120 else 'test'},{labels[n % 4] if n < 120 else labels[n % 2 * 3]}" for n in range(160)
    ]
    path = table(tmp_path, rows, "text,split,labels")
    found = findings(path, options=TableOptions(target="labels"))
    assert set(found) == {"bare_examples", "different_classes"}
    assert offenders(found["different_classes"]) == {"round": "not in test"} and found["bare_examples"].count == 50
    report = check_data(path, options=TableOptions(target="labels"))
    assert report.classes == {"red": {"train": 60, "test": 20}, "round": {"train": 60}}


def test_values_that_were_hardly_meant_are_found(tmp_path):
    values = [str(n / 10) for n in range(60)]
    values[4], values[9] = "9999", "n/a"
    found = findings(
        table(tmp_path, [f"{words(n)},{value}" for n, value in enumerate(values)]), options=TableOptions(target="value")
    )
    assert set(found) == {"far_values", "unusable_targets"} and found["far_values"].quarantine
    assert offenders(found["far_values"]) == {"row 6": "9999"} and set(offenders(found["unusable_targets"])) == {"row 11"}
    few = [f"{words(n)},{n % 3}" for n in range(60)]
    assert set(findings(table(tmp_path, few), options=TableOptions(target="value"))) == {"few_values"}


def test_test_values_beyond_those_of_training_are_told(tmp_path):
    rows = [f"{words(n)},{n},{'test' if n >= 50 else 'train'}" for n in range(60)]
    found = findings(table(tmp_path, rows, "text,label,split"), options=TableOptions(target="value"))
    assert "100% of the test values" in found["unseen_values"].title and "0 to 49" in found["unseen_values"].explanation


def test_rows_without_a_time_and_parts_against_time_are_found(tmp_path):
    rows = [f"{words(n)},{'ab'[n % 2]},2024-01-{n % 28 + 1:02},{'test' if n % 5 == 0 else 'train'}" for n in range(60)]
    rows[8] = f"{words(8)},a,soon,train"
    path = table(tmp_path, rows, "text,label,day,split")
    found = findings(path, options=TableOptions(time="day"))
    assert set(found) == {"no_time", "time_leak"} and offenders(found["no_time"]) == {"row 10": "'soon'"}
    assert "no_time" not in findings(path)
    sorted_rows = [f"{words(n)},{'ab'[n % 2]},{n},{'test' if n >= 45 else 'train'}" for n in range(60)]
    assert not findings(table(tmp_path, sorted_rows, "text,label,day,split"), options=TableOptions(time="day"))


def test_reading_texts_is_reported(tmp_path):
    seen = []
    check_data(table(tmp_path, [f"{words(n)},{'ab'[n % 2]}" for n in range(60)]), on_progress=lambda *done: seen.append(done))
    assert seen == [("Reading", 60, 60)]
