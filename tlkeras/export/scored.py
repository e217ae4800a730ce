"""Score a table: every column kept, the predictions added."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import DataError
from tlkeras.export.answers import cells, columns
from tlkeras.export.predict import Predictor, predict_texts
from tlkeras.files import write_file

if TYPE_CHECKING:
    import pandas

_log = logging.getLogger("tlkeras")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_WRITERS = {".csv", ".tsv", ".jsonl"}


def predict_table(predictor: Predictor, path: str | Path, output: str | Path, *, text_column: str | None = None) -> Path:
    """Predict on the texts of a table and write it with more columns: `label` and `probability`.

    With several labels they are `labels` and `probabilities`, in regression `value` (see `tlkeras.export.answers.columns`).
    Where the table has columns of these names, the new ones begin with `predicted_`. In CSV and TSV, a cell that a spreadsheet
    would run as a formula gets a `'` in front.

    Args:
        predictor: A loaded text model.
        path: CSV, TSV, JSONL or XLSX.
        output: CSV, TSV or JSONL; the suffix decides.
        text_column: The column with the texts; if not given, `text`, or else the one with the longest cells.

    Returns:
        The path of the written table.

    Raises:
        DataError: The column does not exist, or no column holds texts.
        ValueError: The output's suffix is unknown.
    """
    from tlkeras.data.tables import read_table

    output = Path(output)
    if output.suffix.lower() not in _WRITERS:
        raise ValueError(f"The table cannot be written. Received: {output.name}. Allowed: {', '.join(sorted(_WRITERS))}")
    table = read_table(Path(path))
    for where, reason in table.attrs.get("skipped", ()):
        _log.warning("Left out %s: %s", where, reason)
    column = text_column if text_column is not None else _guess_text_column(table, path)
    if column not in table.columns:
        raise DataError(f"{path} has no column {column!r}. Its columns: {', '.join(table.columns)}")
    predictions = predict_texts(predictor, list(table[column]))
    names = columns(predictor.task)
    prefix = "predicted_" if set(names) & set(table.columns) else ""
    answers = [cells(predictor.task, predictor.labels, prediction) for prediction in predictions]
    scored = table.copy()
    for place, name in enumerate(names):
        scored[f"{prefix}{name}"] = [answer[place] for answer in answers]
    write_file(output, lambda temporary: _write(scored, temporary, output.suffix.lower()))
    _log.info("Wrote %s: %d rows, texts from column %r", output, len(scored), column)
    return output


def _guess_text_column(table: "pandas.DataFrame", path: str | Path) -> str:
    named = [name for name in table.columns if str(name).strip().casefold() == "text"]
    lengths = {name: int(table[name].str.len().sum()) for name in table.columns}
    if not any(lengths.values()):
        raise DataError(f"{path} has no column of texts. Its columns: {', '.join(table.columns)}. Name one: --text-column")
    return named[0] if named else max(lengths, key=lambda name: lengths[name])


def _write(table: "pandas.DataFrame", path: Path, suffix: str) -> None:
    if suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True, force_ascii=False)
        return
    safe = table.map(_defused).rename(columns=_defused)
    safe.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",", lineterminator="\n")


def _defused(value: object) -> object:
    """Return a cell that no spreadsheet runs (OWASP, "CSV Injection"); numbers stay."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
