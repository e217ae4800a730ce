"""Which reader a table needs: by its suffix, or by name."""

from collections.abc import Callable
from pathlib import Path

from tlkeras.data.arrow_tables import read_arrow
from tlkeras.data.delimited import read_delimited
from tlkeras.data.json_lines import read_json_lines
from tlkeras.data.spreadsheets import read_workbook
from tlkeras.data.table import Table, check_table
from tlkeras.errors import DataError

TABLE_KINDS = {
    "csv": (".csv", ".txt"),
    "tsv": (".tsv", ".tab"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "xlsx": (".xlsx", ".xlsm"),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather"),
}
"""The kinds of tables, and the suffixes they are known by."""

TABLE_SUFFIXES = frozenset(suffix for suffixes in TABLE_KINDS.values() for suffix in suffixes) - {".txt", ".json"}
"""Suffixes that make a file a table; a `.txt` or `.json` file is one only where it is named as such."""

_READERS: dict[str, Callable[[Path, str | None], Table]] = {
    "csv": lambda path, encoding: read_delimited(path, encoding=encoding),
    "tsv": lambda path, encoding: read_delimited(path, encoding=encoding, tabs=True),
    "jsonl": lambda path, encoding: read_json_lines(path, encoding=encoding),
    "xlsx": lambda path, encoding: read_workbook(path),
    "parquet": lambda path, encoding: read_arrow(path),
    "arrow": lambda path, encoding: read_arrow(path),
}


def parse_table(path: str | Path, *, kind: str | None = None, encoding: str | None = None) -> Table:
    """Read a table: CSV (delimited by comma, semicolon, tab or bar), TSV, JSONL, XLSX, Parquet or Arrow.

    Args:
        path: The file.
        kind: A key of `TABLE_KINDS`; what the suffix says if not given.
        encoding: The encoding of a CSV, TSV or JSONL file; UTF-8 if not given.

    Raises:
        DataError: The file is missing, of another kind, in another encoding, has no rows, an unclosed quote or a header that
            cannot be right; the message names the row.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else f"does not exist (looked for {path.absolute()})"
        raise DataError(f"The table {str(path)!r} {what}. Expected a file: {', '.join(sorted(TABLE_SUFFIXES))}.")
    suffix = path.suffix.lower()
    kind = kind or next((name for name, suffixes in TABLE_KINDS.items() if suffix in suffixes), None)
    if kind is None:
        raise DataError(
            f"Cannot read {str(path)!r} as a table. Received a {suffix or 'file without suffix'}; allowed: "
            f"{', '.join(sorted(TABLE_SUFFIXES))}. Save it as one of these, or say what it is, as in --data csv:{path}"
        )
    try:
        table = _READERS[kind](path, encoding)
    except PermissionError:
        raise DataError(f"No permission to read {str(path)!r}.") from None
    check_table(table)
    return table
