"""Many texts in one block, in memory or in a file."""

import mmap
import tracemalloc

import numpy as np
import pytest

from tests.data_files import words
from tlkeras.data import cells
from tlkeras.data.cells import Cells, join_texts, pack, pack_rows, take_texts
from tlkeras.data.examples import Texts
from tlkeras.data.load import load_texts
from tlkeras.data.table_files import parse_table

TEXTS = ("", "one", "  zwölf Äpfel ", "\u2003\u6f22\u5b57\n", "\udcff", " \t ", "🙂")


@pytest.mark.parametrize("limit", [0, 10**6])
def test_texts_come_back_as_they_went_in(monkeypatch, limit):
    monkeypatch.setattr(cells, "MEMORY_LIMIT", limit)
    packed = pack(iter(TEXTS))
    assert isinstance(packed.data, bytes) == bool(limit)
    assert packed == TEXTS and packed != TEXTS[1:] and packed != (*TEXTS[:-1], "x")
    assert packed[2] == TEXTS[2] and packed[-1] == TEXTS[-1] and tuple(packed[1:4]) == TEXTS[1:4]
    assert packed.sizes.tolist() == [0, 3, 16, 10, 3, 3, 4]
    assert packed.stripped() == tuple(text.strip() for text in TEXTS)
    assert take_texts(packed, np.array([3, 1])) == (TEXTS[3], TEXTS[1]) == take_texts(TEXTS, np.array([3, 1]))


def test_a_choice_of_texts_copies_none():
    packed = pack(TEXTS)
    chosen = packed.take(np.array([5, 2]))
    assert isinstance(chosen, Cells) and chosen.data is packed.data
    joined = join_texts([chosen, packed.stripped()])
    assert isinstance(joined, Cells) and joined.data is packed.data
    assert joined == (TEXTS[5], TEXTS[2], *(text.strip() for text in TEXTS))
    assert join_texts([packed, pack(["more"])]) == (*TEXTS, "more") == join_texts([TEXTS, pack(["more"])])


def test_rows_are_read_by_row_and_by_column():
    rows = pack_rows([("a", "1"), ("b", ""), ("c", "3")], 2)
    assert rows == (("a", "1"), ("b", ""), ("c", "3")) and rows[1] == ("b", "") and rows[1:] == [("b", ""), ("c", "3")]
    assert pack([]) == () and len(pack_rows([], 3)) == 0 and pack_rows([(), ()], 0) == ((), ())


def test_a_table_larger_than_the_limit_is_read_and_split_without_being_held(tmp_path, monkeypatch):
    path = tmp_path / "large.csv"
    with path.open("w", encoding="utf-8") as stream:
        stream.write("text,label\n")
        stream.writelines(f'"{number} {words(number % 50, 300)} {number}",{"ab"[number % 2]}\n' for number in range(4000))
    size = path.stat().st_size
    monkeypatch.setattr(cells, "MEMORY_LIMIT", size // 8)
    tracemalloc.start()
    table = parse_table(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    column = table.column("text")
    assert isinstance(column, Cells) and isinstance(column.data, mmap.mmap) and peak < size / 3
    splits = load_texts(path, near_duplicates=False)
    stores = [part.store for part in (splits.train, splits.val, splits.test)]
    texts = [text for store in stores if isinstance(store, Texts) for text in store.texts]
    assert sorted(int(text.split()[0]) for text in texts) == list(range(4000))
