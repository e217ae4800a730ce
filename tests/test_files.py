"""Files are whole or not there; values become what JSON knows."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tlkeras.files import plain, printable, safe_cell, write_file, write_json, write_text


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.keras"
    write_text(path, "old")

    def half(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_file(path, half)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["model.keras"]


def test_the_writer_sees_the_final_name_so_that_formats_chosen_by_suffix_work(tmp_path):
    names = []

    def write(path: Path) -> None:
        names.append(path.name)
        path.write_bytes(b"x")

    write_file(tmp_path / "weights.weights.h5", write)
    assert names == ["weights.weights.h5"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    def one(folder: Path) -> None:
        (folder / "variables").mkdir(parents=True)
        (folder / "variables" / "a").write_text("1")

    def two(folder: Path) -> None:
        folder.mkdir()
        (folder / "b").write_text("2")

    write_file(tmp_path / "saved_model", one)
    write_file(tmp_path / "saved_model", two)
    assert [item.name for item in (tmp_path / "saved_model").iterdir()] == ["b"]
    assert [item.name for item in tmp_path.iterdir()] == ["saved_model"]


def test_a_link_is_replaced_and_never_written_through(tmp_path):
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("precious")
    link = tmp_path / "out.txt"
    link.symlink_to(elsewhere)
    write_text(link, "new")
    assert (elsewhere.read_text(), link.read_text(), link.is_symlink()) == ("precious", "new", False)


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "é\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é\n".encode()


def test_json_takes_dataclasses_arrays_and_paths_and_has_null_for_what_is_not_a_number(tmp_path):
    @dataclass(frozen=True)
    class Measure:
        value: float
        counts: np.ndarray

    value = {"auc": float("nan"), "m": Measure(0.5, np.array([[1, 2], [3, 4]])), "p": tmp_path, "t": (np.float32(0.25), np.inf)}
    write_json(tmp_path / "x.json", value)
    read = json.loads((tmp_path / "x.json").read_text())
    assert read == {"auc": None, "m": {"value": 0.5, "counts": [[1, 2], [3, 4]]}, "p": str(tmp_path), "t": [0.25, None]}


def test_plain_keeps_bools_and_none():
    assert plain({"a": True, "b": None, 3: {"x"}}) == {"a": True, "b": None, "3": ["x"]}


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(cell):
    assert safe_cell(cell) == f"'{cell}"


def test_an_ordinary_cell_stays():
    assert safe_cell("a=b") == "a=b"


def test_what_moves_a_cursor_or_cannot_be_encoded_is_escaped_on_a_terminal():
    assert printable("cat\x1b[2J\rdog\x07\u202e\udcff") == "cat\\x1b[2J\\rdog\\x07\\u202e\\udcff"
    assert printable("Käse 猫\n\tx") == "Käse 猫\n\tx"


def test_names_of_files_that_are_not_utf8_are_written_escaped_and_come_back_from_json(tmp_path):
    name = "caf\udce9.jpg"
    write_json(tmp_path / "a.json", {"where": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"where": name}
    write_text(tmp_path / "a.txt", name)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == safe_cell(name) == "caf\\udce9.jpg"
