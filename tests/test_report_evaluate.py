"""`tlkeras evaluate`: more measures of a finished run, added to what it has."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import tlkeras as tl
from tests.data_files import words
from tlkeras.cli import main
from tlkeras.evaluation.saved import load_evaluation
from tlkeras.export.finished import load_run


@dataclass(frozen=True)
class Config:
    data: str
    output: str
    group_column: str = "author"
    source: str = "tiny_bert"
    sequence_length: int = 16
    seed: int = 0
    resume: bool = False


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on 420 texts by three authors, of which two words tell the classes apart."""
    folder = tmp_path_factory.mktemp("texts")
    lines = [
        f"{words(row)} {('fine', 'awful')[row % 2]},{('good', 'bad')[row % 2]},{'xyz'[row // 2 % 3]}{row},{'ab'[row // 2 % 2]}"
        for row in range(420)
    ]
    (folder / "texts.csv").write_text("\n".join(["text,label,author,site", *lines]) + "\n")
    config = Config(str(folder / "texts.csv"), str(folder / "run"))
    run = tl.create_run("text_classification", config)
    splits = tl.load_texts(config.data, group_column="author")
    tl.save_splits(splits, run.path / "splits.csv")
    model = tl.build_model(tl.load_text_source(config.source, sequence_length=16), splits)
    tl.fit(model, splits, [tl.Phase("all", trainable="all", epochs=2, learning_rate=1e-2)], run=run)
    model = tl.calibrate(model, splits, smallest=20, run=run)
    writers = np.array([str(group)[0] for group in splits.test.metadata["group"]])
    evaluation = tl.evaluate(model, splits, columns={"writer": writers}, compare_nulls=False)
    tl.save_evaluation(evaluation, run.path)
    tl.write_gallery(model, splits, evaluation, run.path)
    tl.finish_run(run, evaluation, (), ())
    return run.path, model


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the run."""
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


def test_a_run_read_back_has_its_calibration(trained):
    path, model = trained
    back = load_run(path).model
    assert back.familiar is not None and model.familiar is not None
    assert (back.temperature, back.familiar.smallest) == (model.temperature, model.familiar.smallest)
    np.testing.assert_array_equal(back.familiar.bank, model.familiar.bank)
    assert back.thresholds == model.thresholds


def test_a_column_of_the_table_can_be_sliced_by_afterwards(folder, capsys):
    before = load_evaluation(folder)
    assert main(["evaluate", str(folder), "--slice", "site,label", "--fairness", "site"]) == 0
    out = capsys.readouterr().out
    assert "against the rest" in out
    after = load_evaluation(folder)
    assert {one.value for one in after.slices if one.column == "site"} == {"a", "b"}
    assert {one.column for one in after.fairness} == {"site"}
    assert {one.value for one in after.slices if one.column == "label"} == {"good", "bad"}
    assert len(after.slices) == len(before.slices) + 4
    assert "column:site" in (folder / "predictions.csv").read_text().splitlines()[0]
    assert main(["evaluate", str(folder), "--fairness", "salary"]) == 2
    assert "--slice salary" in capsys.readouterr().err


def test_texts_have_foreign_ones_by_default(trained):
    rejection = load_evaluation(trained[0]).rejection
    assert rejection is not None and rejection.auc is not None
    assert rejection.foreign == "100 paragraphs of Python's documentation"
    assert rejection.auc.n == 100 + len(load_evaluation(trained[0]).ids)


def test_what_is_asked_for_is_added_and_the_rest_stays(folder, capsys):
    before = load_evaluation(folder)
    (folder.parent / "foreign.csv").write_text("text,label\n" + "".join(f"{row} {row} {row},x\n" for row in range(30)))
    flags = ["--robustness", "--privacy", "--forgetting", "--fairness", "writer"]
    code = main(["evaluate", str(folder), *flags, "--foreign", str(folder.parent / "foreign.csv")])
    out = capsys.readouterr().out
    assert code == 0, out
    after = load_evaluation(folder)
    assert (after.measures, after.calibration, after.slices) == (before.measures, before.calibration, before.slices)
    assert {point.corruption for point in after.robustness} == {"typos", "capitals"}
    assert after.privacy is not None and after.privacy.members > 200
    assert after.forgetting is not None and after.forgetting.drift.value > 0 and after.forgetting.before is None
    assert {one.column for one in after.fairness} == {"writer"}
    assert after.rejection is not None and after.rejection.foreign == "30 foreign inputs"
    assert (folder / "robustness.png").stat().st_size > 5000
    assert (folder / "report.html").is_file()
    for said in ("typos", "false alarms", "drift of the features", "by chance", "refused, rightly"):
        assert said in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [([], "What is to be measured?"), (["--fairness", "sex"], "Columns: ['writer']")],
)
def test_what_cannot_be_measured_is_refused_with_the_way_out(folder, capsys, flags, message):
    assert main(["evaluate", str(folder), *flags]) == 2
    assert message in capsys.readouterr().err
    assert "privacy" not in json.loads((folder / "metrics.json").read_text())
