"""KerasHub presets: fetched as folders, so that downloaded and local ones are loaded in the same way."""

import os
from dataclasses import dataclass
from pathlib import Path

from tlkeras.sources.download import check_against_first, downloading

WEIGHTS = "model.weights.h5"


@dataclass(frozen=True)
class Preset:
    """A preset on disk, and the SHA-256 of its weights; publishers of presets state none, so that of the first use is kept."""

    folder: Path
    sha256: str


def cached_preset(handle: str) -> Path:
    """Return where a preset is, or will be, in the cache of kagglehub."""
    cache = Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub")
    return cache / "models" / handle


def fetch_preset(name: str, handle: str, *, instead: str, package: str) -> Preset:
    """Return a preset's folder, after fetching it if need be.

    Args:
        name: Its name, for messages.
        handle: `owner/model/framework/variation/version` on Kaggle.
        instead: See `downloading`.
        package: See `downloading`.

    Raises:
        WeightsError: It cannot be fetched, or its weights have changed since they were first used.
    """
    folder = cached_preset(handle)
    if not (folder / WEIGHTS).exists():
        with downloading(f"the KerasHub preset {name!r}", instead=instead, package=package):
            import kagglehub

            folder = Path(kagglehub.model_download(handle))
    return Preset(folder, check_against_first(folder / WEIGHTS))
