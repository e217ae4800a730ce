import csv
import json

import pytest

from tests.export_models import exported_images, exported_texts
from tlkeras.errors import DataError
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.predict import load_artifact, predict_texts
from tlkeras.export.scored import predict_table


@pytest.fixture(scope="module")
def predictor():
    return load_artifact(exported_texts()[1].path)


def write_table(path, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def read(path, delimiter=","):
    with path.open(newline="") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


def test_every_column_is_kept_and_two_are_added(predictor, tmp_path):
    rows = [["id", "review"], ["007", "the film was good"], ["008", 'bad, "dull"\nfilm'], ["009", "fine"]]
    output = predict_table(predictor, write_table(tmp_path / "new.csv", rows), tmp_path / "out" / "scored.csv")
    header, *scored = read(output)
    assert header == ["id", "review", "label", "probability"]
    assert [row[:2] for row in scored] == rows[1:]
    for row, prediction in zip(scored, predict_texts(predictor, [row[1] for row in rows[1:]]), strict=True):
        assert row[2] == prediction.label
        assert float(row[3]) == pytest.approx(prediction.probability)


def test_columns_that_exist_are_not_overwritten(predictor, tmp_path):
    table = write_table(tmp_path / "new.csv", [["text", "label"], ["good film", "mine"], ["bad film", "mine"]])
    header, *scored = read(predict_table(predictor, table, tmp_path / "scored.tsv"), delimiter="\t")
    assert header == ["text", "label", "predicted_label", "predicted_probability"]
    assert [row[1] for row in scored] == ["mine", "mine"]


def test_no_cell_is_a_formula_and_numbers_stay(predictor, tmp_path):
    rows = [["text", "=x"], ["=cmd|' /C calc'!A0", "-3.5"], ["@SUM(1)", "+49"], ["- dull", "-1-1"], ["good", "a=b"]]
    header, *scored = read(predict_table(predictor, write_table(tmp_path / "new.csv", rows), tmp_path / "scored.csv"))
    assert header[:2] == ["text", "'=x"]
    assert [row[:2] for row in scored] == [
        ["'=cmd|' /C calc'!A0", "-3.5"],
        ["'@SUM(1)", "+49"],
        ["'- dull", "'-1-1"],
        ["good", "a=b"],
    ]


def test_json_lines_keep_their_text_as_it_is(predictor, tmp_path):
    table = write_table(tmp_path / "new.csv", [["text", "n"], ["=good", "1"], ["bäd", "2"]])
    lines = predict_table(predictor, table, tmp_path / "scored.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["=good", "bäd"]


def test_the_text_column_can_be_named_and_a_missing_one_is_an_error(predictor, tmp_path):
    table = write_table(tmp_path / "new.csv", [["a", "b"], ["good good good", "bad"], ["fine fine fine", "dull"]])
    predict_table(predictor, table, tmp_path / "scored.csv", text_column="b")
    labels = [row[2] for row in read(tmp_path / "scored.csv")[1:]]
    assert labels == [prediction.label for prediction in predict_texts(predictor, ["bad", "dull"])]
    with pytest.raises(DataError, match=r"no column 'c'.*a, b"):
        predict_table(predictor, table, tmp_path / "scored.csv", text_column="c")


def test_an_output_of_unknown_form_is_refused_before_reading(predictor, tmp_path):
    with pytest.raises(ValueError, match=r"scored\.docx.*\.csv"):
        predict_table(predictor, tmp_path / "gone.csv", tmp_path / "scored.docx")


def test_a_picture_model_scores_no_table(tmp_path):
    table = write_table(tmp_path / "new.csv", [["text"], ["good"], ["bad"]])
    with pytest.raises(ArtifactError, match=r"a model for images"):
        predict_table(load_artifact(exported_images()[1].path), table, tmp_path / "scored.csv")
