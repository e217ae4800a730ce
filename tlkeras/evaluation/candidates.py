"""Candidates for a ranking: who they are, how each is loaded, and the list that does not look at the data."""

import re
from collections.abc import Callable, Mapping, Sequence

from tlkeras.data.examples import Examples, Splits
from tlkeras.errors import unknown
from tlkeras.features.inputs import SharedPixels
from tlkeras.sources.blocks import with_random_weights
from tlkeras.sources.catalog import SourceRow, list_sources
from tlkeras.sources.image import load_image_source, planned_size
from tlkeras.sources.image_table import IMAGE_SOURCES
from tlkeras.sources.local import is_path
from tlkeras.sources.model import SourceModel
from tlkeras.sources.text import load_text_source

Load = Callable[[bool], SourceModel]
"""Loads a candidate: with its weights if True, with random ones if False."""


def catalogue(modality: str) -> dict[str, SourceRow]:
    """Return the rows of the source models of a modality, by name."""
    return {row.name: row for row in list_sources() if row.modality == modality}


def weights_here(modality: str) -> list[str]:
    """Return the names of the source models whose weights need no download."""
    return [name for name, row in catalogue(modality).items() if row.weights == "installed"]


def check_names(names: list[str], modality: str) -> None:
    """Refuse names that are neither in the catalogue nor paths.

    Raises:
        ValueError: A name is not that of a source model for this modality.
    """
    known = catalogue(modality)
    for name in names:
        if name not in known and not is_path(name):
            raise unknown(f"{modality} source model", name, known, see="tlkeras sources")


def candidates(
    splits: Splits,
    sources: Sequence[str | SourceModel] | None,
    *,
    image_size: int | None,
    sequence_length: int | None,
    seed: int,
    resize: str = "crop",
) -> dict[str, Load]:
    """Return the candidates by name, and how each is loaded.

    Args:
        splits: The data.
        sources: Names, paths, or source models; those whose weights are here if not given.
        image_size: See `tlkeras.evaluation.rank.rank`.
        sequence_length: See there.
        seed: Seed of random weights.
        resize: How a picture becomes a square.

    Raises:
        ValueError: A name is unknown, or occurs twice.
    """
    chosen: Sequence[str | SourceModel] = weights_here(splits.modality) if sources is None else sources
    check_names([source for source in chosen if isinstance(source, str)], splits.modality)

    def by_name(name: str) -> Load:
        if splits.modality == "text":
            return lambda pretrained: load_text_source(name, sequence_length=sequence_length, pretrained=pretrained, seed=seed)
        return lambda pretrained: load_image_source(
            name, image_size=image_size, pictures=splits.train, pretrained=pretrained, seed=seed, resize=resize
        )

    def given(source: SourceModel) -> Load:
        return lambda pretrained: source if pretrained else with_random_weights(source, seed=seed)

    names = [source if isinstance(source, str) else source.name for source in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"Each candidate needs a name of its own. Received: {', '.join(names)}")
    return {
        name: by_name(source) if isinstance(source, str) else given(source) for name, source in zip(names, chosen, strict=True)
    }


def shared_pixels(
    splits: Splits, examples: Examples, sources: Sequence[str | SourceModel] | None, *, image_size: int | None, resize: str
) -> SharedPixels | None:
    """Return what reads pictures for all candidates and decodes each once; None for texts.

    Args:
        splits: The data.
        examples: Those that are ranked on.
        sources: See `candidates`.
        image_size: See there.
        resize: See there.
    """
    if splits.modality != "image":
        return None
    chosen: Sequence[str | SourceModel] = weights_here("image") if sources is None else sources
    sizes = [
        source.input_size
        if isinstance(source, SourceModel)
        else planned_size(source, image_size=image_size, pictures=splits.train)
        for source in chosen
        if isinstance(source, SourceModel) or source in IMAGE_SOURCES  # what a file takes is known when it is opened
    ]
    return SharedPixels(examples, sizes, resize=resize)


def static_order(sources: Mapping[str, SourceModel]) -> tuple[list[str], str]:
    """Return names in the order of a list that does not look at the data, and what it goes by.

    By accuracy on the source data where each candidate has one, of the same measure; else by size: the larger the better.
    Random weights come last.
    """
    accuracies = {name: _accuracy(source) for name, source in sources.items()}
    measures = {accuracies[name][1] for name, source in sources.items() if source.pretrained}
    by_accuracy = len(measures) == 1 and "" not in measures

    def key(name: str) -> tuple[bool, float]:
        source = sources[name]
        return not source.pretrained, -(accuracies[name][0] if by_accuracy else float(parameters(source)))

    return sorted(sources, key=key), "accuracy on the source data" if by_accuracy else "number of parameters"


def _accuracy(source: SourceModel) -> tuple[float, str]:
    """A source's accuracy and what it is of, as in `(0.751, "top-1 on ImageNet")`; no words where none is known."""
    found = re.match(r"(0?\.\d+) ([^(]+)", str(source.facts.get("accuracy") or ""))
    return (float(found[1]), found[2].strip()) if found else (0.0, "")


def parameters(source: SourceModel) -> int:
    """Return the number of a source's weights."""
    return sum(block.parameters for block in source.blocks)


def megabytes(source: SourceModel) -> float:
    """Return the size of a source's weights as float32, in 10^6 bytes."""
    return float(source.facts.get("megabytes") or parameters(source) * 4 / 1e6)


def licence(source: SourceModel) -> str:
    """Return a source's licence, as its authors state it."""
    return str(source.facts.get("licence") or "not stated")
