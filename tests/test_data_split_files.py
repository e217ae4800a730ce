import csv
import json
import logging

import numpy as np
import pytest

from tests.data_files import words
from tests.test_data_units import CLASSES, parts_of, texts
from tlkeras.data.examples import Skipped, Texts
from tlkeras.data.load import load_texts
from tlkeras.data.quarantine import Quarantined, apply_quarantine, read_quarantine, write_quarantine
from tlkeras.data.split_files import compare_splits, load_splits, save_splits
from tlkeras.data.splits import split_examples
from tlkeras.errors import DataError


@pytest.fixture
def saved(tmp_path):
    splits = split_examples(texts([0] * 40 + [1] * 40), CLASSES, seed=0)
    save_splits(splits, tmp_path / "splits.csv")
    return splits, tmp_path / "splits.csv"


def test_splits_come_back_as_they_were_written_whatever_the_seed_says(saved):
    splits, path = saved
    other = split_examples(texts([0] * 40 + [1] * 40), CLASSES, seed=1)
    assert parts_of(other) != parts_of(splits)
    again = load_splits(other, path)
    assert parts_of(again) == parts_of(splits) and again.classes == CLASSES


def test_new_examples_join_the_parts_and_no_known_one_moves(saved):
    splits, path = saved
    more = split_examples(texts([0] * 40 + [1] * 40 + [0] * 20 + [1] * 20), CLASSES, seed=5)
    after = parts_of(load_splits(more, path, seed=5))
    assert all(after[name] == part for name, part in parts_of(splits).items())
    new = [part for name, part in after.items() if name not in parts_of(splits)]
    assert (new.count("val"), new.count("test")) == (6, 6)  # 15 % of 40 new examples, as of the old ones


def test_a_text_is_known_again_after_rows_were_inserted_above_it(saved):
    splits, path = saved
    shifted = texts([0] * 40 + [1] * 40)
    moved = type(shifted)(np.array([f"row {n + 7}" for n in range(80)]), shifted.store, shifted.targets)
    again = load_splits(split_examples(moved, CLASSES, seed=3), path)
    old = parts_of(splits)
    assert {f"row {int(name[4:]) - 7}": part for name, part in parts_of(again).items()} == old


def test_what_moved_is_counted(saved):
    splits, path = saved
    assert str(compare_splits(splits, path)).startswith("80 examples stay in their part, 0 moved, 0 are new, 0 gone")
    fewer = split_examples(texts([0] * 40 + [1] * 30), CLASSES, seed=0)
    change = compare_splits(fewer, path)
    old, new = parts_of(splits), parts_of(fewer)
    assert change.removed == 10 and change.added == 0 and change.kept + change.moved == 70
    assert change.moved == sum(old[name] != part for name, part in new.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,part\nrow 1,train\n", "no list of splits. Its columns: 'id', 'part'"),
        ("id,split\nrow 1,maybe\n", "row 2: the part 'maybe' is not known. Write train, val or test"),
        ("id,split\nphoto.jpg,train\n", "fits none of the 80 examples: it lists 'photo.jpg'"),
    ],
)
def test_a_file_that_is_no_list_of_splits_is_explained(saved, tmp_path, text, message):
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load_splits(saved[0], tmp_path / "other.csv")


def test_a_list_by_hand_with_paths_is_followed(saved, tmp_path):
    splits = saved[0]
    lines = [f"row {n},{'test' if n % 4 == 0 else 'validation' if n % 4 == 1 else 'training'}" for n in range(80)]
    (tmp_path / "mine.csv").write_text("path,split\n" + "\n".join(lines) + "\n")
    place = parts_of(load_splits(splits, tmp_path / "mine.csv"))
    assert (place["row 4"], place["row 5"], place["row 6"]) == ("test", "val", "train")


def test_inputs_that_were_left_out_are_listed_beside_the_splits(tmp_path):
    splits = split_examples(texts([0, 1] * 5), CLASSES, seed=0, skipped=[Skipped("a\udcff.jpg", "the file is empty")])
    save_splits(splits, tmp_path / "splits.csv")
    (line,) = (tmp_path / "bad_inputs.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"where": "a\\udcff.jpg", "reason": "the file is empty"}


def test_a_quarantine_list_is_left_out_and_said(saved, tmp_path):
    splits = saved[0]
    out = [splits.train.ids[0], splits.test.ids[1]]
    (tmp_path / "quarantine.csv").write_text("id,reason\n" + "".join(f"{name},blank\n" for name in out) + "row 999,gone\n")
    after = apply_quarantine(splits, tmp_path / "quarantine.csv")
    assert set(parts_of(splits)) - set(parts_of(after)) == set(out)
    assert after.fingerprint != splits.fingerprint and after.notes[-1].startswith("2 examples left out")


def test_a_quarantine_list_of_other_data_or_that_takes_a_whole_class_is_refused(saved, tmp_path):
    splits = saved[0]
    (tmp_path / "q.csv").write_text("id,reason\nphoto.jpg,blank\n")
    with pytest.raises(DataError, match="lists 1 examples, none of which is in this data"):
        apply_quarantine(splits, tmp_path / "q.csv")
    (tmp_path / "q.csv").write_text("name,reason\nphoto.jpg,blank\n")
    with pytest.raises(DataError, match="no quarantine list: it has no column 'id'"):
        apply_quarantine(splits, tmp_path / "q.csv")
    cats = splits.val.ids[splits.val.labels == 0]
    (tmp_path / "q.csv").write_text("id,reason\n" + "".join(f"{name},x\n" for name in cats))
    with pytest.raises(DataError, match="val part holds no example of 'cat'"):
        apply_quarantine(splits, tmp_path / "q.csv")


def test_a_quarantine_list_of_ones_own_is_kept_when_another_is_written(tmp_path):
    path = tmp_path / "quarantine.csv"
    write_quarantine([Quarantined("=a.jpg", "blank", "x/=a.jpg")], path)
    assert read_quarantine(path) == (Quarantined("=a.jpg", "blank", "x/=a.jpg"),)
    first = path.read_bytes()
    write_quarantine(read_quarantine(path), path)
    assert path.read_bytes() == first and not (tmp_path / "quarantine.earlier.csv").exists()
    write_quarantine([], path)
    assert not path.exists() and (tmp_path / "quarantine.earlier.csv").read_bytes() == first


def test_names_that_are_formulas_or_no_utf8_come_back(tmp_path):
    base = texts([0, 1] * 10)
    ids = np.array([f"=row{n}" if n % 2 else f"\udcff{n}" for n in range(20)])
    store = Texts(base.store.texts, base.store.rows, "t.csv")
    splits = split_examples(type(base)(ids, store, base.targets), CLASSES, seed=0)
    save_splits(splits, tmp_path / "splits.csv")
    with (tmp_path / "splits.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["id"][0] for row in csv.DictReader(stream)} == {"'", "\\"}
    assert parts_of(load_splits(splits, tmp_path / "splits.csv")) == parts_of(splits)


def test_saving_says_how_many_examples_moved_since_the_run_before(tmp_path, caplog):
    def save(count, run):
        lines = [f"{words(number, 6)},{'ab'[number % 2]}" for number in range(count)]
        (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
        splits = load_texts(tmp_path / "data.csv")
        (tmp_path / run).mkdir(exist_ok=True)
        with caplog.at_level(logging.INFO, "tlkeras"):
            caplog.clear()
            save_splits(splits, tmp_path / run / "splits.csv")
        return splits, caplog.text

    first, said = save(40, "one")
    assert "moved" not in said
    assert "moved" not in save(40, "two")[1]  # nothing did
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "splits.csv").write_text("id,split,digest\nrow 2,train,ab\nrow 3,train,cd\n")  # of other data
    second, said = save(60, "three")
    before, now = parts_of(first), parts_of(second)
    moved = sum(before[one] != now[one] for one in before)
    assert f"splits of two: {40 - moved} examples stay in their part, {moved} moved, 20 are new, 0 gone" in said
