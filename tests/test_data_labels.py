import time

import numpy as np
import pytest

from tests.data_files import all_parts, by_id, sizes, words
from tlkeras.data.labels import read_labels
from tlkeras.data.load import load_texts
from tlkeras.data.table import Table
from tlkeras.data.targets import ClassTargets, MultiLabelTargets, ValueTargets
from tlkeras.errors import DataError


def table(*columns, names=("label",), **options):
    rows = tuple(zip(*columns, strict=True))
    return Table("a.csv", tuple(names), rows, tuple(range(2, 2 + len(rows))), **options)


def read(*columns, names=("label",), target=None, separator=None, wanted=None, **options):
    found = table(*columns, names=names, **options)
    return read_labels(found, names, wanted or [True] * len(found.rows), target=target, separator=separator)


@pytest.mark.parametrize(
    ("name", "cells", "classes"),
    [
        ("stars", ["1", "2", "5", "2"] * 2, ("1", "2", "5")),
        ("Star Rating", ["1.0", "2.0", "5.0", "3,5"] * 2, ("1", "2", "3.5", "5")),
        ("x", ["5 stars", "1 star", "4 / 5", "2 out of 5"] * 2, ("1", "2", "4", "5")),
        ("x", ["\u2605\u2605\u2606\u2606\u2606", "\u2605", "\u2b50\u2b50\u2b50", "1\u2605"] * 2, ("1", "2", "3")),
    ],
)
def test_star_ratings_are_classes_in_their_order(name, cells, classes):
    labels = read(cells, names=(name,))
    assert labels.classes == classes and "ratings" in labels.notes[0] and set(labels.faults) == {""}


def test_columns_of_flags_that_are_not_taken_are_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,red,round\n" + "".join(f"{words(n)},{n % 2},{int(n % 3 == 0)}\n" for n in range(20)))
    splits = load_texts(path)
    assert splits.classes == ("0", "1")
    assert "Other columns of 0 and 1: 'round'. If they are labels as well: label_column='red,round'" in " ".join(splits.notes)
    assert "Other columns" not in " ".join(load_texts(path, label_column="red,round").notes)


def test_a_column_of_numbers_alone_names_the_target_for_them(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,weight\n" + "".join(f"{words(n)},{n + 0.5}\n" for n in range(20)))
    with pytest.raises(DataError, match=r"To predict the numbers of 'weight': .*--target value"):
        load_texts(path)
    assert len(load_texts(path, target="value").train)


def test_a_misspelt_part_among_right_ones_is_named_and_nothing_is_split_anew(tmp_path):
    parts = ["train"] * 12 + ["trian"] + ["test"] * 7
    path = tmp_path / "t.csv"
    path.write_text("text,label,split\n" + "".join(f"{words(n)},{'ab'[n % 2]},{part}\n" for n, part in enumerate(parts)))
    with pytest.raises(DataError, match=r"row 14: 'trian' in the column 'split' is no part"):
        load_texts(path)


def test_star_ratings_are_numbers_where_that_is_asked_for():
    labels = read(["5 stars", "\u2605\u2605", "4/5", "3.5"], names=("stars",), target="value")
    assert isinstance(labels.targets, ValueTargets) and labels.targets.values.tolist() == [5.0, 2.0, 4.0, 3.5]


@pytest.mark.parametrize(("name", "cells"), [("score", ["0", "1"] * 3), ("kind", ["1.0", "2.0", "01"] * 3)])
def test_labels_that_are_no_ratings_stay_as_they_are(name, cells):
    labels = read(cells, names=(name,))
    assert labels.notes == () and set(labels.classes) == set(cells)


def test_numbers_as_labels_are_in_numeric_order():
    assert read(["10", "9", "2", "page 10", "page 9"] * 2).classes == ("2", "9", "10", "page 9", "page 10")


def test_the_order_of_classes_that_the_data_gives_is_kept():
    labels = read(["pos", "neg", "mid"] * 2, orders={"label": ("neg", "mid", "pos", "never")})
    assert labels.classes == ("neg", "mid", "pos")
    assert isinstance(labels.targets, ClassTargets) and labels.targets.labels.tolist() == [2, 0, 1] * 2


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (["cat|dog", "cat", "[]", "dog | cat|cat"], {"target": "labels"}),
        (["cat, dog", "cat", "[]", "dog,cat"], {"target": "labels"}),
        (["cat+dog", "cat", "[]", "dog+cat+"], {"target": "labels", "separator": "+"}),
        (['["cat", "dog"]', '["cat"]', "[]", '["dog", "cat"]'], {}),
        (["['cat', 'dog']", "['cat']", "[]", "['dog', 'cat']"], {}),
    ],
)
def test_several_labels_in_a_cell_are_taken_apart(cells, options):
    labels = read(cells, **options)
    assert labels.classes == ("cat", "dog") and isinstance(labels.targets, MultiLabelTargets)
    assert labels.targets.labels.tolist() == [[1, 1], [1, 0], [0, 0], [1, 1]]
    assert labels.targets.labels.dtype == np.uint8 and "several labels" in labels.notes[0]


def test_joined_labels_are_one_class_unless_asked_for_and_that_is_said():
    labels = read(["cat", "dog", "cat|dog"] * 3)
    assert labels.classes == ("cat", "cat|dog", "dog") and "'cat|dog' look like several" in labels.notes[0]


def test_several_columns_are_labels_of_their_own():
    labels = read(["1", "0", "true", "No", "2"], ["0", "1.0", "", "yes", "0"], names=("rude", "kind"))
    assert labels.classes == ("rude", "kind") and isinstance(labels.targets, MultiLabelTargets)
    assert labels.targets.labels[:4].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert labels.faults == ("", "", "", "", "'2' in the column 'rude' is neither 0 nor 1")


def test_values_are_read_and_what_is_no_number_is_named():
    labels = read(["1", "-2.5", "1e3", "1,5", "nan", "1_0", "inf", "", "7", "8", "9", "10", "11", "12"], target="value")
    assert isinstance(labels.targets, ValueTargets) and labels.classes == ()
    assert labels.targets.values[:3].tolist() == [1.0, -2.5, 1000.0] and labels.targets.values.dtype == np.float32
    bad = {row for row, fault in enumerate(labels.faults) if fault}
    assert bad == {3, 4, 5, 6, 7} and "'1,5' is not a number (with a decimal point)" in labels.faults[3]
    assert labels.faults[7] == "empty label"


def test_rows_that_do_not_count_add_no_class():
    labels = read(["a", "b", "ghost", ""], wanted=[True, True, False, True])
    assert labels.classes == ("a", "b") and labels.faults == ("", "", "", "empty label")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ((["x", "y"] * 2,), {"target": "klass"}, r"Unknown target.*'klass'.*Did you mean 'class'"),
        ((["1", "0"], ["0", "1"]), {"target": "class", "names": ("a", "b")}, "several labels: target='labels'"),
        ((["a", "b", "c", "4"],), {"target": "value"}, r"3 of 4 labels in 'label' of 'a\.csv'.*a\.csv, row 2: 'a' is not"),
        ((["4", "4", "4"],), {"target": "value"}, "one value, 4, in every row"),
        (
            (["a", "b"], ["c", "d"]),
            {"names": ("x", "y")},
            r"2 of 2 labels in 'x', 'y'.*row 2: 'c' in the column",
        ),
        ((["a", "a|"],), {"target": "labels"}, "at least two classes"),
        (
            (["a;b", "a", "b"],),
            {"target": "labels", "separator": "|"},
            r"the separator '\|' in no cell; 1 hold ';'. Name that one",
        ),
        (([str(n) for n in range(9)],), {}, r"hardly labels.*target='value'"),
    ],
)
def test_label_columns_that_cannot_be_right_are_explained(columns, options, message):
    with pytest.raises((DataError, ValueError), match=message):
        read(*columns, **options)


def write(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_several_labels_are_loaded_and_split(tmp_path):
    rows = [f"{words(n)},{'cat|dog' if n % 3 == 0 else 'cat' if n % 3 == 1 else 'owl'}" for n in range(60)]
    splits = load_texts(write(tmp_path / "a.csv", "text,tags", rows), target="labels")
    assert splits.classes == ("cat", "dog", "owl") and len(by_id(splits)) == 60
    assert by_id(splits)["row 2"] == "cat|dog" and by_id(splits)["row 4"] == "owl"
    for part in (splits.train, splits.val, splits.test):
        assert part.targets.cells(splits.classes).count("owl") == len(part) / 3


def test_values_are_loaded_and_split(tmp_path, caplog):
    rows = [f"{words(n)},{n / 4}" for n in range(60)]
    with caplog.at_level("INFO", logger="tlkeras"):
        splits = load_texts(write(tmp_path / "a.csv", "text,price", rows), target="value", label_column="price")
    assert splits.classes == () and by_id(splits)["row 9"] == "1.75" and "texts; values from " in caplog.text


def test_rows_marked_unlabelled_are_a_pool(tmp_path):
    rows = [f"{words(n)},{'ab'[n % 2]},train" for n in range(20)]
    rows += [f"{words(n)},{'ab'[n // 2 % 2]},{part}" for n, part in enumerate(["val", "test"] * 4, 100)]
    rows += [f"{words(n)},{'' if n % 2 else 'ghost'},Unlabelled" for n in range(200, 205)] + [" ,,unlabelled"]
    splits = load_texts(write(tmp_path / "a.csv", "text,label,split", rows))
    assert splits.classes == ("a", "b") and splits.unlabelled is not None and len(splits.unlabelled) == 5
    assert splits.unlabelled.ids.tolist() == [f"row {n}" for n in range(30, 35)]
    assert [skipped.reason for skipped in splits.skipped] == ["empty text"]
    assert set(splits.unlabelled.metadata["split"].tolist()) == {"unlabelled"}


def test_a_column_that_marks_only_the_pool_leaves_the_rest_to_be_split(tmp_path):
    rows = [f"{words(n)},{'ab'[n % 2]}," for n in range(40)] + [f"{words(n)},,unlabelled" for n in range(100, 107)]
    splits = load_texts(write(tmp_path / "a.csv", "text,label,split", rows))
    assert splits.unlabelled is not None and len(splits.unlabelled) == 7 and sum(sizes(splits)) == 40 and not splits.skipped
    assert "The pool is taken from the column 'split'." in splits.notes and any(
        "No parts were given" in x for x in splits.notes
    )


def test_groups_and_times_become_metadata(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # where the machine stands says nothing about the data
    time.tzset()
    rows = [f"{words(n)},{'ab'[n % 2]}, g{n // 2},2024-01-{1 + n % 28:02}" for n in range(40)]
    rows[3] = f"{words(3)},b,,2024-01-04T12:00+01:00"
    splits = load_texts(write(tmp_path / "a.csv", "text,label,group,day", rows), time_column="day", target="class")
    place = splits.train.ids.tolist().index("row 5")
    assert splits.train.metadata["group"][place] == "" and "'group' are taken as a group" in " ".join(splits.notes)
    assert splits.train.metadata["time"][place] == 1704366000.0  # 2024-01-04 11:00 UTC
    place = splits.train.ids.tolist().index("row 2")
    assert splits.train.metadata["time"][place] == 1704067200.0  # 2024-01-01 00:00 UTC
    monkeypatch.undo()
    time.tzset()
    newest = min(splits.test.metadata["time"].tolist())
    assert max(splits.train.metadata["time"].tolist()) <= newest


@pytest.mark.parametrize(
    ("header", "extra", "options", "message"),
    [
        ("text,label,split", "other", {"split_column": "split"}, r"a\.csv, row 12: 'other' in the column 'split' is no part"),
        ("text,label,day", "yesterday", {"time_column": "day"}, r"a\.csv, row 12: 'yesterday' in the column 'day' is no time"),
        ("text,label,day", "2024-01-02", {"time_column": "dya"}, "no column 'dya'. Did you mean 'day'"),
        ("text,label,day", "2024-01-02", {"group_column": "person"}, "no column 'person'"),
    ],
)
def test_parts_and_times_that_cannot_be_right_name_their_row(tmp_path, header, extra, options, message):
    rows = [f"{words(n)},{'ab'[n % 2]},{'train' if 'split' in header else '2024-01-01'}" for n in range(10)]
    with pytest.raises(DataError, match=message):
        load_texts(write(tmp_path / "a.csv", header, [*rows, f"{words(99)},a,{extra}"]), **options)


def test_a_test_part_without_labels_is_left_out_and_said(tmp_path):
    rows = [f"{words(n)},{'ab'[n % 2]},{'val' if n > 29 else 'train'}" for n in range(40)]
    rows += [f"{words(n)},,test" for n in range(100, 105)]
    splits = load_texts(write(tmp_path / "a.csv", "text,label,split", rows))
    assert len(splits.test) == 10 and len(splits.skipped) == 5
    assert any("No row of test has a label" in note for note in splits.notes)


def test_several_text_columns_are_joined(tmp_path):
    rows = [f"title {n},{words(n)},{'ab'[n % 2]}" for n in range(20)] + [f",{words(99)},a"]
    splits = load_texts(write(tmp_path / "a.csv", "title,body,label", rows), text_column="title,body")
    texts = {text for part in all_parts(splits) for text in part.store.texts}
    assert f"title 3\n{words(3)}" in texts and words(99) in texts
    assert any("'title', 'body' are joined" in note for note in splits.notes)
