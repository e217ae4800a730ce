"""Small samples of the data that source models were trained on, in packages that may be installed."""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.examples import Examples, ImageFiles
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
