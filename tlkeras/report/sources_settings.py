"""What can be set for `tlkeras sources`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourcesSettings:
    """Which source models to list."""

    task: str | None = None
    """Only those for image or text."""
    max_size: str | None = None
    """Only those of at most this size as float32, as in 20MB."""
    licence: str | None = None
    """Only those whose licence contains this, as in apache."""
