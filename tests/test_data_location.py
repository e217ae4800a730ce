import shutil

import pytest

from tests.data_files import by_id, fill_classes, sizes, words
from tlkeras.data.load import load_images, load_texts
from tlkeras.data.location import KINDS, locate
from tlkeras.data.table_folders import tables_by_part
from tlkeras.errors import DataError


def reviews(path, start=0, number=12, separator=","):
    rows = [f"{words(n)}{separator}{'ab'[n % 2]}" for n in range(start, start + number)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"text{separator}label", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "csv"),
        ("a.TSV", "tsv"),
        ("a.jsonl", "jsonl"),
        ("a.xlsx", "xlsx"),
        ("a.pq", "parquet"),
        ("a.feather", "arrow"),
        ("a.zip", "archive"),
        ("a.tar.gz", "archive"),
        ("a.csv.gz", "archive"),
        ("a.mp4", "file"),
        ("noname", "file"),
    ],
)
def test_the_suffix_of_a_file_says_its_kind(tmp_path, name, kind):
    (tmp_path / name).touch()
    location = locate(tmp_path / name, "text")
    assert (location.kind, location.path) == (kind, tmp_path / name)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"sample", "tfds"}))
def test_a_prefix_says_the_kind_whatever_it_looks_like(tmp_path, kind):
    (tmp_path / "a: b.csv").touch()
    location = locate(f"{kind}:{tmp_path / 'a: b.csv'}", "text")
    assert (location.kind, location.path) == (kind, tmp_path / "a: b.csv")


def test_names_of_catalogues_and_samples_are_no_paths():
    assert locate("tfds:glue:cola", "text").name == "glue:cola" and locate("sample:60", "text").name == "sample:60"
    assert locate("sample", "image").kind == "sample"


def test_a_path_that_begins_like_a_kind_is_written_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reviews(tmp_path / "csv:odd.csv")
    assert locate("./csv:odd.csv", "text").kind == "csv" and sum(sizes(load_texts("./csv:odd.csv"))) == 12
    with pytest.raises(DataError, match=r"'odd\.csv' does not exist"):
        locate("csv:odd.csv", "text")


def test_a_table_under_another_name_is_read_when_its_kind_is_said(tmp_path):
    shutil.copy(reviews(tmp_path / "a.csv"), tmp_path / "data.bin")
    with pytest.raises(DataError, match=r"file of no known kind.*--data csv:.*data\.bin"):
        load_texts(tmp_path / "data.bin")
    splits = load_texts(f"csv:{tmp_path / 'data.bin'}")
    assert by_id(splits) == by_id(load_texts(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere.csv", r"'nowhere\.csv' does not exist \(looked for /"),
        ("exel:table.xls", r"does not exist.*'exel' is no kind of data; the kinds: sample, folder, csv"),
        ("s3://bucket/data", "is an address"),
        ("hf:nowhere", r"'nowhere' does not exist"),
        ("", "No data was named"),
    ],
)
def test_what_does_not_exist_is_explained(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        load_texts(data)


@pytest.mark.parametrize("folder", ["", "data/"])
@pytest.mark.parametrize("names", [("train.csv", "valid.csv", "test.csv"), ("my-train-00.tsv", "my-dev-00.csv", "my_test.csv")])
def test_tables_named_after_parts_are_one_data_set(tmp_path, folder, names):
    for place, name in enumerate(names):
        reviews(tmp_path / folder / name, 100 * place, 12 if place == 0 else 4, "\t" if name.endswith("tsv") else ",")
    (tmp_path / "README.md").write_text("x")
    splits = load_texts(tmp_path)
    assert sizes(splits) == [12, 4, 4] and set(splits.test.ids) == {f"{folder}{names[2]}, row {n}" for n in range(2, 6)}
    assert splits.val.store.where(0).startswith(str(tmp_path / folder / names[1]))
    assert any(f"val from {names[1]}" in note for note in splits.notes)


def test_a_bad_row_of_one_of_several_tables_is_named_with_its_file(tmp_path):
    reviews(tmp_path / "train.csv")
    with reviews(tmp_path / "test.csv", 100, 4).open("a") as stream:
        stream.write("only one cell\n")
    (skipped,) = load_texts(tmp_path).skipped
    assert skipped.where == f"{tmp_path / 'test.csv'}, row 6" and "1 cells instead of 2" in skipped.reason


def test_tables_whose_columns_do_not_fit_are_named(tmp_path):
    for name, header in (("train", "text,mood"), ("test", "text,label")):
        rows = [f"{words(n)},{'ab'[n % 2]}" for n in range(12)]
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows]))
    with pytest.raises(DataError, match=r"test.csv' has the columns 'label', but lacks 'mood' of '.*train.csv'.*same names"):
        load_texts(tmp_path)


def test_tables_without_a_training_part_are_not_taken_for_one(tmp_path):
    reviews(tmp_path / "test.csv")
    reviews(tmp_path / "train_and_test.csv")
    assert tables_by_part(tmp_path) == []
    with pytest.raises(DataError, match="no table named after the training part"):
        load_texts(f"tables:{tmp_path}")
    train, test = reviews(tmp_path / "train.csv", 200), tmp_path / "test.csv"
    assert tables_by_part(tmp_path) == [("test", test), ("train", train)]


def test_a_single_table_in_a_folder_is_what_is_meant(tmp_path):
    reviews(tmp_path / "reviews.csv")
    (tmp_path / "notes.md").write_text("x")
    assert sum(sizes(load_texts(tmp_path))) == 12


def test_class_folders_win_over_a_table_beside_them_and_the_prefix_over_both(tmp_path):
    fill_classes(tmp_path, {"cat": 5, "dog": 5})
    rows = [f"cat/{n:04}.png,{'xy'[n % 2]}" for n in range(5)] + [f"dog/{n:04}.png,{'xy'[n % 2]}" for n in range(5, 10)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    assert load_images(tmp_path).classes == ("cat", "dog")
    assert load_images(tmp_path / "list.csv").classes == ("x", "y")
    (tmp_path / "list.csv").rename(tmp_path / "metadata.csv")
    with pytest.raises(DataError, match="has no column 'file_name'"):
        load_images(tmp_path)
    assert load_images(f"folder:{tmp_path}").classes == ("cat", "dog")


def test_options_for_tables_are_refused_where_there_is_none(tmp_path):
    fill_classes(tmp_path, {"cat": 5, "dog": 5})
    with pytest.raises(DataError, match=r"class folders of .* have none\. Received: label_column"):
        load_images(tmp_path, label_column="x")
    with pytest.raises(DataError, match=r"the sample have none\. Received: target"):
        load_texts("sample", target="value")
