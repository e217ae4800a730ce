"""Numbers and tables as a person reads them."""

import pytest

from tlkeras.summary import format_size, format_table


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (6_912_345, "6.9 MB"), (2_300_000_000, "2.3 GB")]
)
def test_sizes_are_decimal(size, shown):
    assert format_size(size) == shown


def test_columns_are_aligned_and_lines_end_without_spaces():
    assert format_table(("a", "bb"), [("xxx", "y"), ("z", "")]) == "a    bb\nxxx  y\nz"
