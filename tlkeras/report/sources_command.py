"""What `tlkeras sources` shows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.evaluation.limits import parse_size
from tlkeras.files import plain
from tlkeras.report.sources_settings import SourcesSettings
from tlkeras.sources.catalog import SourceRow, find_source, list_sources

if TYPE_CHECKING:
    from tlkeras.sources.model import Block

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]


def list_parts(settings: SourcesSettings) -> Iterator[Part]:
    """Yield the table of the source models within the limits, and what to do next."""
    megabytes = parse_size(settings.max_size) if settings.max_size else None
    rows = list_sources(modality=settings.task, megabytes=megabytes, licence=settings.licence)
    yield _HEADER, [_row(row) for row in rows]
    starred = "    *: not as a classifier trained for it" if any(_accuracy(row).endswith("*") for row in rows) else ""
    yield (
        f"\n{len(rows)} sources. One with its blocks: tlkeras sources NAME    Which one for your data: tlkeras rank DATA"
        + starred
    )


def show_one(name: str) -> Iterator[Part]:
    """Yield all facts of a source model."""
    yield ("fact", name), _sheet(find_source(name))
    yield ""


def show_own(path: str) -> Iterator[Part]:
    """Yield what is known of a model in a file or folder, and its blocks; opens it, in a trial first.

    Raises:
        WeightsError: It is of no kind that can be read, or is hostile or damaged.
    """
    from tlkeras.sources.image import load_image_source
    from tlkeras.sources.local import holds_texts
    from tlkeras.sources.text import load_text_source

    source = load_text_source(path) if holds_texts(Path(path)) else load_image_source(path)
    unit = "tokens" if source.modality == "text" else "pixels"
    facts = {"for": f"{source.modality}s", "input": f"{source.input_size} {unit}", **plain(source.facts)}
    yield ("fact", path), [(name.replace("_", " "), str(value)) for name, value in facts.items() if value is not None]
    yield ""
    yield ("block", "layers", "parameters", "output shape"), [block_row(block) for block in source.blocks]
    yield f"\nRank it with others: tlkeras rank DATA --sources {path},…    Train it: tlkeras run RECIPE --source {path}"


def block_row(block: "Block") -> tuple[str, ...]:
    """Return the row of a block in a table of blocks."""
    shape = block.network.output_shape
    shown = " and ".join(map(str, shape)) if isinstance(shape, list) else str(shape)
    return block.name, str(len(block.network.layers)), f"{block.parameters:,}", shown


_HEADER = ("source", "parameters", "MB", "MMACs", "input", "weights", "ImageNet", "licence")


def _row(row: "SourceRow") -> tuple[str, ...]:
    """Return a source model as the cells of a table under `_HEADER`."""
    parameters = f"{row.parameters / 1e6:.1f} M" if row.parameters >= 100_000 else f"{row.parameters:,}"
    size = f"{row.input_size} {'tokens' if row.modality == 'text' else 'pixels'}"
    cost = f"{row.macs:,.0f}" if row.macs >= 10 else f"{row.macs:.1f}"
    return row.name, parameters, f"{row.megabytes:,.1f}", cost, size, row.weights, _accuracy(row), row.licence


def _accuracy(row: "SourceRow") -> str:
    """Return the accuracy on ImageNet where that is known, with a star where the network was not trained for it alone."""
    number, _, words = (row.accuracy or "").partition(" top-1 on ImageNet ")
    return number + ("" if words.startswith("(") else "*") if words else ""


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
