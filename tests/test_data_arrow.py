import datetime
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from tests.data_files import by_id, png, sizes, words
from tlkeras.data import arrow_tables, encoded
from tlkeras.data.decode import read_pixels
from tlkeras.data.load import load_images, load_texts
from tlkeras.data.table_files import parse_table
from tlkeras.errors import DataError

NAMES = ["neg", "pos"]
TEXT_FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": NAMES, "_type": "ClassLabel"},
}
IMAGE_FEATURES = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}


def stored(part: Any) -> Any:
    """Return the store of a part, whatever its kind."""
    return part.store


def text_rows(start, number):
    return pyarrow.table(
        {"text": [words(n) for n in range(start, start + number)], "label": [n % 2 for n in range(start, start + number)]}
    )


def image_rows(start, number):
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    images = [{"bytes": png(n), "path": None} for n in range(start, start + number)]
    return pyarrow.table({"image": pyarrow.array(images, kind), "label": [n % 2 for n in range(start, start + number)]})


def save_split(folder, shards, features):
    """Write what `Dataset.save_to_disk` of datasets 5.2 writes."""
    folder.mkdir(parents=True)
    files = []
    for place, shard in enumerate(shards):
        name = f"data-{place:05}-of-{len(shards):05}.arrow"
        with pyarrow.ipc.new_stream(folder / name, shard.schema) as writer:
            writer.write_table(shard, max_chunksize=3)
        files.append({"filename": name})
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_format_type": None, "_split": None}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def save_dict(root, rows, features):
    """Write what `DatasetDict.save_to_disk` writes: two shards of training rows, one of validation, one of another name."""
    save_split(root / "train", [rows(0, 8), rows(8, 4)], features)
    save_split(root / "validation", [rows(100, 4)], features)
    save_split(root / "extra", [rows(200, 2)], features)
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation", "extra"]}))
    return root


def test_cells_of_a_parquet_file_are_text_as_a_person_would_write_it(tmp_path):
    columns = {
        "int": [1, None, 3],
        "gap": [1.0, float("nan"), 2.0],
        "real": [1.5, None, 2.0],
        "bool": [True, False, None],
        "text": ["NA", "None", None],
        "bytes": [b"caf\xc3\xa9", b"", None],
        "list": [["a", "b"], [], None],
        "day": [datetime.date(2024, 5, 31), None, None],
        "decimal": [Decimal("1.10"), None, None],
        "category": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    table = parse_table(tmp_path / "a.parquet")
    cells = {name: table.column(name) for name in table.columns}
    assert cells == {
        "int": ["1", "", "3"],
        "gap": ["1", "", "2"],
        "real": ["1.5", "", "2.0"],
        "bool": ["true", "false", ""],
        "text": ["NA", "None", ""],
        "bytes": ["caf\u00e9", "", ""],
        "list": ['["a", "b"]', "[]", ""],
        "day": ["2024-05-31", "", ""],
        "decimal": ["1.10", "", ""],
        "category": ["x", "y", "x"],
    }
    assert tuple(table.numbers) == (1, 2, 3)


def test_pictures_saved_without_their_bytes_are_found_by_their_paths(tmp_path):
    rows = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        path.write_bytes(png(number))
        rows.append({"image": {"bytes": None, "path": path.name}, "label": "ab"[number % 2]})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    splits = load_images(tmp_path / "a.parquet")
    assert {*splits.train.ids, *splits.val.ids, *splits.test.ids} == {f"{number}.png" for number in range(12)}


def test_columns_that_are_neither_text_nor_pictures_are_left_out_and_named(tmp_path):
    columns = {"text": ["a"], "label": ["b"], "blob": [b"\xff\xfe\x00"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    table = parse_table(tmp_path / "a.parquet")
    assert table.columns == ("text", "label") and "left out: blob" in table.notes[0]


@pytest.mark.parametrize("form", ["stream", "file", "parquet"])
def test_what_datasets_notes_in_a_file_is_understood(tmp_path, form):
    note = {"huggingface": json.dumps({"info": {"features": TEXT_FEATURES}})}
    rows = text_rows(0, 12).replace_schema_metadata(note)
    path = tmp_path / f"a.{'parquet' if form == 'parquet' else 'arrow'}"
    if form == "parquet":
        pyarrow.parquet.write_table(rows, path)
    else:
        with (pyarrow.ipc.new_stream if form == "stream" else pyarrow.ipc.new_file)(path, rows.schema) as writer:
            writer.write_table(rows)
    splits = load_texts(path)
    assert splits.classes == ("neg", "pos") and by_id(splits)["row 4"] == "pos"


def test_lists_of_classes_and_missing_labels_are_understood(tmp_path):
    features = {"tags": {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "List"}, **TEXT_FEATURES}
    rows = pyarrow.table({"text": ["a", "b", "c"], "tags": [[0, 1], [], None], "label": [1, -1, None]})
    note = {"huggingface": json.dumps({"info": {"features": features}})}
    pyarrow.parquet.write_table(rows.replace_schema_metadata(note), tmp_path / "a.parquet")
    table = parse_table(tmp_path / "a.parquet")
    assert table.column("tags") == ['["neg", "pos"]', "[]", ""] and table.column("label") == ["pos", "", ""]
    assert table.orders == {"tags": ("neg", "pos"), "label": ("neg", "pos")}


@pytest.mark.parametrize("prefix", ["", "hf:"])
def test_a_saved_dictionary_of_texts_is_loaded(tmp_path, prefix):
    splits = load_texts(f"{prefix}{save_dict(tmp_path / 'data', text_rows, TEXT_FEATURES)}")
    assert sum(sizes(splits)) == 16 and len(splits.test) == 4
    assert by_id(splits)["train/data-00001-of-00002.arrow, row 2"] == "pos"
    assert splits.test.store.where(0) == str(tmp_path / "data" / splits.test.ids[0])
    assert any("left out: 'extra'" in note for note in splits.notes)


def test_pictures_of_a_saved_dictionary_are_read_by_row(tmp_path):
    splits = load_images(save_dict(tmp_path, image_rows, IMAGE_FEATURES))
    assert read_pixels(splits.test.store, 4)[:, 0, 0, 0].tolist() == [100, 101, 102, 103]
    assert splits.test.labels.tolist() == [0, 1, 0, 1] and sum(sizes(splits)) == 16


def test_a_single_saved_set_is_split(tmp_path):
    save_split(tmp_path / "data", [text_rows(0, 20)], TEXT_FEATURES)
    splits = load_texts(tmp_path / "data")
    assert sum(sizes(splits)) == 20 and any("No parts were given" in note for note in splits.notes)


def test_what_the_datasets_library_saves_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=NAMES)})
    one = datasets.Dataset.from_dict(text_rows(0, 12).to_pydict(), features=features)
    datasets.DatasetDict({"train": one, "test": one.select(range(4))}).save_to_disk(
        str(tmp_path / "saved"), num_shards={"train": 2, "test": 1}
    )
    one.to_parquet(str(tmp_path / "train-00000-of-00001.parquet"))
    splits = load_texts(tmp_path / "saved")
    assert len(splits.test) == 4 and splits.classes == ("neg", "pos")
    assert {one["text"][n]: NAMES[one["label"][n]] for n in range(4)} == dict(
        zip(stored(splits.test).texts, splits.test.targets.cells(splits.classes), strict=True)
    )
    images = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    pictures = datasets.Dataset.from_dict(image_rows(0, 12).to_pydict(), features=images)
    pictures.save_to_disk(str(tmp_path / "pictures"))
    assert sum(sizes(load_images(tmp_path / "pictures"))) == 12
    assert by_id(load_texts(f"parquet:{tmp_path / 'train-00000-of-00001.parquet'}"))["row 2"] == "pos"


def damage(root, what):
    shard = root / "train" / "data-00001-of-00002.arrow"
    if what == "gone":
        shard.unlink()
    elif what == "cut":
        shard.write_bytes(shard.read_bytes()[:200])
    elif what == "empty":
        shard.write_bytes(b"")
    elif what == "state":
        (root / "train" / "state.json").write_text("{")
    elif what == "no state":
        (root / "validation" / "state.json").unlink()
    elif what == "escape":
        (root / "train" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../../x.arrow"}]}))
    elif what == "indices":
        (root / "train" / "state.json").write_text(json.dumps({"_indices_data_files": [{"filename": "i.arrow"}]}))
    elif what == "other names":
        (root / "dataset_dict.json").write_text(json.dumps({"splits": ["extra"]}))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("gone", r"train/data-00001-of-00002\.arrow' does not exist"),
        ("cut", r"data-00001-of-00002\.arrow' is not a readable Parquet or Arrow file"),
        ("empty", r"data-00001-of-00002\.arrow' is not a readable Parquet or Arrow file"),
        ("state", r"train/state\.json' is no readable JSON"),
        ("no state", r"validation/state\.json' does not exist"),
        ("escape", r"train/state\.json' names no data files"),
        ("indices", r"flatten_indices\(\)"),
        ("other names", r"None of the splits .*Received: extra.*/extra'"),
    ],
)
def test_a_damaged_saved_set_is_named_by_file(tmp_path, what, message):
    damage(save_dict(tmp_path / "data", text_rows, TEXT_FEATURES), what)
    with pytest.raises(DataError, match=message):
        load_texts(f"hf:{tmp_path / 'data'}")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=rf"{name}' is not a readable Parquet or Arrow file"):
        load_texts(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{name}' is not a readable"):
        load_texts(tmp_path / name)


def test_a_folder_that_is_no_saved_set_is_explained(tmp_path):
    with pytest.raises(DataError, match="is no data set saved by"):
        load_texts(f"hf:{tmp_path}")


def test_parquet_that_would_fill_the_memory_is_unpacked_into_a_file(tmp_path, monkeypatch):
    rows = image_rows(0, 12).append_column("kind", pyarrow.array(["x", "y", None] * 4).dictionary_encode())
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(rows, path, row_group_size=5)
    small = parse_table(path)
    monkeypatch.setattr(encoded, "MEMORY_LIMIT", 500)
    monkeypatch.setattr(arrow_tables, "_CHUNK", 4)
    before = pyarrow.total_allocated_bytes()
    large = parse_table(path)
    assert pyarrow.total_allocated_bytes() - before < 1000 < path.stat().st_size
    assert large.columns == small.columns and tuple(large.rows) == tuple(small.rows)
    assert large.pictures["image"][:] == small.pictures["image"][:] == [png(n) for n in range(12)]
    assert read_pixels(load_images(path, label_column="label").test.store, 4).shape[1:] == (4, 4, 3)


def test_where_there_is_no_room_to_unpack_parquet_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(encoded, "MEMORY_LIMIT", 500)
    monkeypatch.setattr(arrow_tables.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    pyarrow.parquet.write_table(image_rows(0, 12), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet' unpacks to [\d,]+ bytes, for which there is no room in .*TMPDIR"):
        load_images(tmp_path / "a.parquet")


def test_arrow_pictures_stay_in_their_file_until_they_are_read(tmp_path):
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    noise = [np.random.default_rng(n).bytes(1_000_000) for n in range(20)]
    rows = pyarrow.table({"image": pyarrow.array([{"bytes": blob, "path": ""} for blob in noise], kind), "label": [0, 1] * 10})
    save_split(tmp_path / "data", [rows], IMAGE_FEATURES)
    del rows
    before = pyarrow.total_allocated_bytes()
    from tlkeras.data.saved_datasets import read_saved_dataset

    table = read_saved_dataset(tmp_path / "data")
    assert pyarrow.total_allocated_bytes() - before < 1_000_000
    assert table.pictures["image"][17] == noise[17]
