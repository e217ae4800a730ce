"""What `tlkeras sources` shows."""

from collections.abc import Iterator, Sequence

from tlkeras.evaluation.limits import parse_size
from tlkeras.report.sources_settings import SourcesSettings
from tlkeras.sources.catalog import SourceRow, find_source, list_sources

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]


def list_parts(settings: SourcesSettings) -> Iterator[Part]:
    """Yield the table of the source models within the limits, and what to do next."""
    megabytes = parse_size(settings.max_size) if settings.max_size else None
    rows = list_sources(modality=settings.task, megabytes=megabytes, licence=settings.licence)
    yield _HEADER, [_row(row) for row in rows]
    yield f"\n{len(rows)} sources. One with its blocks: tlkeras sources NAME    Which one for your data: tlkeras rank DATA"


def show_one(name: str) -> Iterator[Part]:
    """Yield all facts of a source model."""
    yield ("fact", name), _sheet(find_source(name))
    yield ""


_HEADER = ("source", "parameters", "MB", "MMACs", "input", "weights", "ImageNet", "licence")


def _row(row: "SourceRow") -> tuple[str, ...]:
    """Return a source model as the cells of a table under `_HEADER`."""
    parameters = f"{row.parameters / 1e6:.1f} M" if row.parameters >= 100_000 else f"{row.parameters:,}"
    size = f"{row.input_size} {'tokens' if row.modality == 'text' else 'pixels'}"
    cost = f"{row.macs:,.0f}" if row.macs >= 10 else f"{row.macs:.1f}"
    accuracy = row.accuracy.split(" ", 1)[0] if row.accuracy and "on ImageNet" in row.accuracy else ""
    return row.name, parameters, f"{row.megabytes:,.1f}", cost, size, row.weights, accuracy, row.licence


def _sheet(row: "SourceRow") -> list[tuple[str, str]]:
    """Return all facts of a source model, each with its name."""
    unit = "tokens" if row.modality == "text" else "pixels"
    cost = f"{row.macs:,.1f} million multiply-accumulates at {row.input_size} {unit}"
    facts = {
        "for": "pictures" if row.modality == "image" else "texts",
        "built by": row.constructor,
        "trained on": row.source_data,
        "trained for": row.source_task,
        "trained with": row.regularization,
        "accuracy there": row.accuracy or "not stated",
        "parameters": f"{row.parameters:,} ({row.megabytes:,.1f} MB as float32)",
        "cost": cost,
        "scaling" if row.modality == "image" else "pieces": row.scaling,
        "LiteRT": f"lacks {row.litert}" if row.litert else "runs with built-in operations",
        "licence": row.licence,
        "origin": row.origin,
        "weights": _where_in_words(row),
        "note": row.note,
    }
    return [(name, value) for name, value in facts.items() if value]


def _where_in_words(row: "SourceRow") -> str:
    bring = f"or bring them: --source {row.name}:FILE with a .weights.h5 or .h5 file" if row.modality == "image" else ""
    if row.weights == "installed":
        return "here"
    if row.weights == "random":
        return "none: it starts from random ones"
    if row.weights == "download":
        other = bring or "or bring a folder: --source FOLDER"
        return f"fetched at the first use, and checked where a digest is published; {other}"
    return f"to be installed: {row.weights}"
