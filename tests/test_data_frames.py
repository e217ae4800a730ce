import logging

import numpy as np
import pandas
import pytest

from tests.data_files import by_id, save_png, sizes, words
from tlkeras.data.frames import frame_table, splits_from_frame
from tlkeras.errors import DataError


def frame(number=20, **columns):
    data = {"text": [words(n) for n in range(number)], "label": ["ab"[n % 2] for n in range(number)], **columns}
    return pandas.DataFrame(data, index=range(500, 500 + number))


def test_cells_of_a_frame_are_text_as_they_would_stand_in_a_file():
    data = pandas.DataFrame(
        {
            "int": [1, 2, 3],
            "gap": [1, None, 3],
            "real": [1.5, float("nan"), 2],
            "bool": [True, False, True],
            "text": ["NA", None, "01"],
            "list": [["a", "b"], np.array(["c"]), []],
            "day": pandas.to_datetime(pandas.Series(["2024-05-31", None, "2024-06-01"])),
            "category": pandas.Categorical(["x", None, "y"]),
            7: pandas.array([1, None, 3], dtype="Int64"),
        }
    )
    table = frame_table(data)
    assert {name: table.column(name) for name in table.columns} == {
        "int": ["1", "2", "3"],
        "gap": ["1", "", "3"],
        "real": ["1.5", "", "2.0"],
        "bool": ["true", "false", "true"],
        "text": ["NA", "", "01"],
        "list": ['["a", "b"]', '["c"]', "[]"],
        "day": ["2024-05-31 00:00:00", "", "2024-06-01 00:00:00"],
        "category": ["x", "", "y"],
        "7": ["1", "", "3"],
    }


def test_texts_of_a_frame_are_split_and_named_by_position():
    splits = splits_from_frame(frame())
    assert splits.classes == ("a", "b") and sum(sizes(splits)) == 20 and by_id(splits)["row 3"] == "b"
    assert splits.train.store.where(0) == f"frame, {splits.train.ids[0]}"


def test_a_frame_and_its_file_give_the_same_texts_and_labels(tmp_path):
    from tlkeras.data.load import load_texts

    frame().to_csv(tmp_path / "a.csv", index=False)
    ours, theirs = by_id(splits_from_frame(frame())), by_id(load_texts(tmp_path / "a.csv"))
    assert {int(name[4:]) + 2: label for name, label in ours.items()} == {
        int(name[4:]): label for name, label in theirs.items()
    }


def test_targets_groups_and_times_of_a_frame_are_followed():
    data = frame(price=[n / 4 for n in range(20)], person=[n // 2 for n in range(20)])
    data["when"] = pandas.date_range("2024-01-01", periods=20, freq="D")
    splits = splits_from_frame(data, label_column="price", target="value", time_column="when", group_column="person")
    assert by_id(splits)["row 6"] == "1.5" and splits.test.metadata["group"].dtype.kind == "U"
    assert max(splits.train.metadata["time"]) < min(splits.test.metadata["time"])
    tags = [["x", "y"] if n % 3 else ["x"] for n in range(20)]
    several = splits_from_frame(frame(tags=tags), label_column="tags")
    assert by_id(several)["row 0"] == "x" and by_id(several)["row 1"] == "x|y"


def test_pictures_of_a_frame_are_found_below_the_folder(tmp_path):
    paths = [save_png(tmp_path / f"{n}.png", n).name for n in range(12)]
    data = pandas.DataFrame({"file": paths, "label": ["cat", "dog"] * 6})
    assert sum(sizes(splits_from_frame(data, image_column="file", folder=tmp_path))) == 12
    with pytest.raises(DataError, match=r"None of the 12 pictures that 'frame' names exists, the first in frame, row 0"):
        splits_from_frame(data, image_column="file", folder=tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (frame(0), {}, "'frame' holds no rows"),
        (pandas.DataFrame([["a", "b", "x"]], columns=["text", "text", "label"]), {}, "several columns named 'text'"),
        (frame(), {"label_column": "lable"}, "no column 'lable'. Did you mean 'label'"),
        (frame(day=["2024-01-01"] * 19 + ["soon"]), {"time_column": "day"}, "frame, row 19: 'soon'"),
    ],
)
def test_a_frame_that_cannot_be_right_is_explained(data, options, message):
    with pytest.raises(DataError, match=message):
        splits_from_frame(data, **options)


def test_what_is_left_out_of_a_frame_is_said_and_much_is_refused(caplog):
    few = frame(60)
    few.iloc[3, 0] = None
    with caplog.at_level(logging.INFO, "tlkeras"):
        splits_from_frame(few)
    assert "frame, row 3: empty text" in caplog.text and "labels in 'label'" in caplog.text
    many = frame(300)
    many.iloc[:101, 1] = None
    with pytest.raises(DataError, match=r"101 of 300 examples cannot be used.*frame, row 0: empty label"):
        splits_from_frame(many)


def test_missing_cells_are_skipped_by_row():
    data = frame()
    data.iloc[3, 0], data.iloc[4, 1] = None, np.nan
    skipped = splits_from_frame(data).skipped
    assert [(one.where, one.reason) for one in skipped] == [("frame, row 3", "empty text"), ("frame, row 4", "empty label")]
