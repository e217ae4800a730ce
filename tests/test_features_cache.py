"""The cache: what is read is what was written, what is missing is computed, what is damaged or too much goes."""

import logging
import os

import numpy as np
import pytest

from tlkeras.features.cache import cache_folder, cache_key, cached_rows, read_arrays, write_arrays


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path))


def _squares_of(numbers, asked):
    def compute(indices):
        asked.append(indices.tolist())
        return numbers[indices, None] ** 2

    return compute


def test_only_rows_of_new_contents_are_computed_and_order_does_not_matter():
    asked: list[list[int]] = []
    numbers = np.array([1.0, 2.0, 3.0, 2.0])
    rows, computed = cached_rows("k", np.array(["1", "2", "3", "2"]), _squares_of(numbers, asked))
    np.testing.assert_array_equal(rows[:, 0], [1, 4, 9, 4])
    more = np.array([5.0, 3.0, 1.0, 4.0])
    again, added = cached_rows("k", np.array(["5", "3", "1", "4"]), _squares_of(more, asked))
    np.testing.assert_array_equal(again[:, 0], [25, 9, 1, 16])
    assert asked == [[0, 1, 2], [0, 3]]
    assert (computed, added) == (3, 2)


def test_another_key_has_other_rows():
    asked: list[list[int]] = []
    digests, numbers = np.array(["1"]), np.array([1.0])
    for key in (cache_key(weights="a", size=224), cache_key(weights="b", size=224), cache_key(weights="a", size=225)):
        cached_rows(key, digests, _squares_of(numbers, asked))
    assert len(asked) == 3
    assert cache_key(size=224, weights="a") == cache_key(weights="a", size=224)


@pytest.mark.parametrize("damage", ["flip", "cut", "nonsense", "pickle"])
def test_a_damaged_entry_is_removed_and_computed_anew(tmp_path, caplog, damage):
    values = np.arange(4000.0)
    write_arrays("k", {"rows": values})
    (file,) = tmp_path.rglob("*.npz")
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "pickle":
        with file.open("wb") as stream:
            np.savez(stream, rows=np.array([{"a": 1}], dtype=object))
        content = bytearray(file.read_bytes())
    file.write_bytes({"cut": content[:100], "nonsense": b"hello"}.get(damage, bytes(content)))
    with caplog.at_level(logging.WARNING, "tlkeras"):
        assert read_arrays("k") is None
    assert "computed anew" in caplog.text
    assert not file.exists()


def test_over_budget_the_entries_not_used_for_longest_go(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE_GB", "0.000020")  # 20 kB: two entries of 8 kB
    for age, key in enumerate(("a", "b")):
        write_arrays(key, {"rows": np.zeros(1000)})
        os.utime(tmp_path / "arrays" / f"{key}.npz", (age, age))
    assert read_arrays("a") is not None  # used just now
    write_arrays("c", {"rows": np.zeros(1000)})
    assert [key for key in "abc" if read_arrays(key) is not None] == ["a", "c"]


def test_switched_off_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", "off")
    write_arrays("k", {"rows": np.zeros(3)})
    assert cache_folder() is None
    assert read_arrays("k") is None
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_costs_a_warning_only(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "tlkeras"):
        rows, computed = cached_rows("k", np.array(["1"]), lambda indices: np.ones((1, 1)))
    assert (rows.tolist(), computed) == ([[1.0]], 1)
    assert "Nothing was kept" in caplog.text
