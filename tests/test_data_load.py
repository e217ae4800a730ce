import json
import logging

import pytest
from PIL import Image

from tests.data_files import words
from tlkeras.data.load import load_images, load_texts
from tlkeras.errors import DataError


def pictures(root, number=4):
    for place, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for shade in range(number):
            Image.new("RGB", (6, 6), (shade, place, 0)).save(root / name / f"{shade}.png")
    return root


def table(path):
    path.write_text("text,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(12)))
    return path


def test_a_folder_is_loaded_and_reported(tmp_path, caplog):
    (pictures(tmp_path) / "cat" / "bad\x1b[2J.jpg").write_bytes(b"")
    with caplog.at_level(logging.INFO, logger="tlkeras"):
        splits = load_images(str(tmp_path), seed=0)
    assert splits.classes == ("cat", "dog")
    text = caplog.text
    assert "4 train, 2 val, 2 test pictures; 2 classes: cat, dog" in text and "No parts were given" in text
    assert "Skipped 1: 1 x the file is empty" in text
    assert "\x1b" not in text and r"bad\x1b[2J.jpg" in text


def test_a_table_is_loaded_and_its_columns_are_shown(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="tlkeras"):
        splits = load_texts(table(tmp_path / "a.csv"), seed=0)
    assert splits.modality == "text" and "texts in 'text', labels in 'label'" in caplog.text


def test_the_samples_are_loaded_by_name():
    assert load_images("sample:60").modality == "image" and len(load_texts("sample:60", seed=1).train) == 60


def test_a_folder_of_text_files_is_loaded(tmp_path):
    for name in ("neg", "pos"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.txt").write_text(f"{name} {number}")
    assert load_texts(tmp_path).classes == ("neg", "pos")


def test_texts_given_as_pictures_name_the_text_recipe(tmp_path):
    path = table(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"run text_classification --data .*a\.csv"):
        load_images(path)
    with pytest.raises(DataError, match=r"holds the paths of pictures.*text_classification --data .*a\.csv"):
        load_images(tmp_path)
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "a" / "1.txt").write_text("x")
    with pytest.raises(DataError, match=r"holds texts, no pictures.*text_classification"):
        load_images(tmp_path / "texts")


def test_pictures_given_as_texts_name_the_picture_recipe(tmp_path):
    with pytest.raises(DataError, match=r"holds pictures, no texts.*run image_classification"):
        load_texts(pictures(tmp_path / "photos"))
    with pytest.raises(DataError, match=r"one picture.*image_classification"):
        load_texts(tmp_path / "photos" / "cat" / "0.png")


@pytest.mark.parametrize("load", [load_images, load_texts])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "does not exist"),
        ("https://example.org/a.zip", "Download it first"),
        ("a.zip", "damaged.*Copy it"),
        ("a.7z", "Unpack it"),
    ],
)
def test_what_is_neither_folder_nor_table_is_explained(tmp_path, load, name, message):
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "a.7z").write_bytes(b"7z")
    with pytest.raises(DataError, match=message):
        load(name if "://" in name else tmp_path / name)


@pytest.mark.parametrize("name", ["t.xls", "t.ods", "notes.docx"])
def test_files_of_office_programs_name_what_to_save_them_as(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(DataError, match="save it as XLSX or CSV"):
        load_texts(tmp_path / name)


def test_a_file_called_json_is_read_line_by_line_or_told_how(tmp_path):
    records = [{"text": words(n), "label": "ab"[n % 2]} for n in range(12)]
    (tmp_path / "t.json").write_text("\n".join(map(json.dumps, records)))
    assert len(load_texts(tmp_path / "t.json").train) == 8
    (tmp_path / "t.json").write_text(json.dumps(records))
    with pytest.raises(DataError, match=r"JSON array.*to_json"):
        load_texts(tmp_path / "t.json")


def test_one_picture_is_no_data_set(tmp_path):
    with pytest.raises(DataError, match=r"is one picture\. Expected a folder"):
        load_images(pictures(tmp_path) / "cat" / "0.png")


def test_a_folder_with_tables_asks_for_one(tmp_path):
    table(tmp_path / "a.csv")
    table(tmp_path / "b.csv")
    with pytest.raises(DataError, match=r"Name one if it is meant: 'a\.csv', 'b\.csv'"):
        load_texts(tmp_path)


def test_what_is_in_quarantine_is_left_out_before_anything_is_split(tmp_path):
    rows = [f"{words(number, 8)},{'ab'[number % 2]},g{number},{'train' if number < 30 else 'test'}" for number in range(40)]
    rows[30] = f"{words(77, 8)},a,g3,test"  # a group in two parts
    rows[5] = f"{words(78, 8)},B,g5,train"  # a class of one misspelt label
    (tmp_path / "data.csv").write_text("text,label,group,split\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match="look alike"):
        load_texts(tmp_path / "data.csv")
    (tmp_path / "quarantine.csv").write_text("id,reason\nrow 7,label\nrow 32,group\n")
    splits = load_texts(tmp_path / "data.csv", quarantine=tmp_path / "quarantine.csv")
    assert splits.classes == ("a", "b") and "2 examples left out: they are in quarantine" in splits.notes[-1]
    assert sum(len(part) for part in (splits.train, splits.val, splits.test)) == 38
    assert {one.where.rpartition(", ")[2]: one.reason for one in splits.skipped} == dict.fromkeys(
        ("row 7", "row 32"), "in quarantine"
    )


def test_files_in_quarantine_are_left_out_before_the_split_is_made(tmp_path):
    for number in range(20):
        path = tmp_path / "data" / ("ab"[number % 2]) / f"{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words(number, 9))
    (tmp_path / "quarantine.csv").write_text("id\na/00.txt\na/02.txt\nb/03.txt\n")
    splits = load_texts(tmp_path / "data", quarantine=tmp_path / "quarantine.csv")
    whole = load_texts(tmp_path / "data")
    for path in ("a/00.txt", "a/02.txt", "b/03.txt"):
        (tmp_path / "data" / path).unlink()
    without = load_texts(tmp_path / "data")
    for name in ("train", "val", "test"):
        assert getattr(splits, name).ids.tolist() == getattr(without, name).ids.tolist()
    assert splits.fingerprint == without.fingerprint != whole.fingerprint
