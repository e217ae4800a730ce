"""Small samples of data that is no user's: of what source models were trained on, and of what belongs to no class."""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.examples import Examples, ImageFiles, Texts
from tlkeras.data.targets import NoTargets


def source_sample(facts: Mapping[str, Any]) -> Examples | None:
    """Return a sample of a source model's training data, or None where there is none here.

    Args:
        facts: `SourceModel.facts`; for ImageNet, the 20 photographs in the package foolbox (MIT).
    """
    if not str(facts.get("source_data")).startswith("ImageNet-1k"):
        return None
    try:
        files = metadata.files("foolbox") or []
    except metadata.PackageNotFoundError:
        return None
    photographs = sorted(
        str(Path(str(file.locate()))) for file in files if file.name.startswith("imagenet_") and file.suffix == ".jpg"
    )
    names = np.array([Path(path).name for path in photographs])
    return Examples(names, ImageFiles(tuple(photographs)), NoTargets(len(names))) if photographs else None


def foreign_texts(*, count: int = 100, fewest_words: int = 12) -> Examples | None:
    """Return paragraphs of Python's own documentation, which comes with Python; None where it was left out.

    Args:
        count: How many, drawn with a fixed seed.
        fewest_words: Shorter paragraphs are left out.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return None
    paragraphs = {" ".join(part.split()) for text in topics.values() for part in text.split("\n\n")}
    prose = sorted(part for part in paragraphs if len(part.split()) >= fewest_words)
    drawn = np.sort(np.random.default_rng(0).permutation(len(prose))[:count])
    texts = tuple(prose[place] for place in drawn)
    return Examples(drawn.astype(str), Texts(texts, drawn, "pydoc_data.topics"), NoTargets(len(texts))) if texts else None
