"""`tlkeras compare`: how a recipe is prepared, what is printed and written, the page in a browser."""

import json
from pathlib import Path

import pytest

from tests.browser_tools import chromium
from tests.networks import square_splits
from tests.test_evaluation_compare import _fake, _outcome, _step
from tlkeras import cli
from tlkeras.cli import main
from tlkeras.evaluation.arms import Arm
from tlkeras.evaluation.compare import compare
from tlkeras.report.compare_command import shown
from tlkeras.report.comparison_page import curve_rows, render_comparison
from tlkeras.report.comparison_plot import save_comparison


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "start_tensorflow", lambda: None)


@pytest.fixture(scope="module")
def found():
    steps = [_step(epoch, epoch / 10, val_loss=1 / epoch, macs=1e12 * epoch) for epoch in range(1, 6)]
    scratch = Arm("from_scratch", False, lambda splits, seed: _outcome([0.0, 1.0] * 15, n_train=len(splits.train), steps=steps))
    arms = {"from_scratch": scratch, "fine_tune": _fake(0.9), "pixels": _fake(0.4, transfer=False)}
    return compare(square_splits(), arms, fractions=[0.1, 1], seeds=3, depths={50: _fake(0.8), 100: _fake(0.9)})


def test_the_table_has_a_row_for_each_arm_and_a_column_for_each_size(found):
    header, rows = curve_rows(found)
    assert header == ("accuracy in % with", "9 examples", "90 examples", "gap", "seconds")
    assert rows[1] == ("fine_tune", "90.0 [79.1, 100.0]", "90.0 [79.1, 100.0]", "+0.0", "2.0")
    *_, last = shown(found)
    assert str(last).startswith("\nTransfer helped: fine_tune against from_scratch, +40.0 points")


def test_the_page_shows_verdict_costs_and_depth_and_loads_its_picture(found, tmp_path):
    save_comparison(found, tmp_path / "comparison.png")
    page = render_comparison(found, tmp_path, "tiny", {"recipe": "mine", "data": "<b>photos"})
    (tmp_path / "comparison.html").write_text(page, encoding="utf-8")
    assert "<b>" not in page and "&lt;b&gt;photos" in page and "top 50 %" in page and "was still getting better" in page
    assert "tlkeras compare mine --data &#39;&lt;b&gt;photos&#39;" in page
    assert '<span class="big">90.0 %</span>' in page and "79.1 to 100.0 % with 95 % confidence" in page
    with chromium() as browser:
        opened, troubles = browser.new_page(viewport={"width": 380, "height": 800}), []
        opened.on("console", lambda message: troubles.append(message.text))
        opened.goto(f"file://{tmp_path}/comparison.html")
        assert opened.evaluate("[...document.images].map(one => one.naturalWidth > 500)") == [True]
        assert opened.evaluate("document.documentElement.scrollWidth") <= 380 and troubles == []


def test_the_command_trains_each_arm_once_and_goes_on_where_it_was(tmp_path, capsys):
    words = ["compare", "image_classification", "--smoke", "--arms", "feature_extraction", "--fractions", "1", "--seeds", "1"]
    words += ["--depths", "", "--output", "out"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Training 2 of 2: pixels on 60 examples, seed 0" in printed and "Wrote out/comparison.html" in printed
    found = json.loads(Path("out/comparison.json").read_text())
    assert set(found["curves"]) == {"feature_extraction", "pixels"} and found["verdict"].startswith("Transfer")
    assert main(words) == 0 and "Training" not in capsys.readouterr().out
    assert main([*words, "--epochs", "5"]) == 2 and "differs in epochs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fractions", "a"], "--fractions takes numbers"),
        (["--depths", "120", "--fractions", "1"], "0 to 100"),
        (["--arms", "fine_tun", "--fractions", "1"], "'fine_tun'"),
        (["--no-flip"], "--output FOLDER"),
    ],
)
def test_flags_that_cannot_be_used_are_named(flags, message, capsys):
    assert (
        main(["compare", "image_classification", "--smoke", *([] if "--no-flip" in flags else ["--output", "out"]), *flags])
        == 2
    )
    assert message in capsys.readouterr().err
