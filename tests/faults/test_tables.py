"""Table faults of the catalogue that no other test checks."""

import tracemalloc

from tests.data_files import words
from tlkeras.data.table_files import parse_table


def test_a_large_table_is_read_in_memory_of_its_size(tmp_path):
    path = tmp_path / "large.csv"
    row = f'"{words(0, 100)}",yes\n'
    with path.open("w", encoding="utf-8") as stream:
        stream.write("text,label\n")
        stream.writelines(f"{number} {row}" if number % 1000 else row for number in range(8_000))
    size = path.stat().st_size
    tracemalloc.start()
    table = parse_table(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The texts themselves, once: a reader that held the whole file beside them, or twice, would need more.
    assert len(table.rows) + len(table.skipped) == 8_000 and peak < 1.7 * size
