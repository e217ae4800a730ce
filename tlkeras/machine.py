"""What a run ran on: versions, cores, memory, accelerators."""

import functools
import os
import platform
import re
import sys
from importlib import metadata
from typing import Any


def environment() -> dict[str, Any]:
    """Describe the software and the machine; accelerators only if TensorFlow is loaded already, since that takes seconds."""
    import psutil

    tensorflow = sys.modules.get("tensorflow")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "accelerators": [device.name for device in tensorflow.config.list_physical_devices("GPU")] if tensorflow else None,
        "versions": installed_versions(),
    }


def installed_versions() -> dict[str, str | None]:
    """Return the versions of tlkeras and of what it requires, as they were when first asked for; None if not installed."""
    return dict(_installed())


@functools.cache  # a ranking asks some 70 times, and each time would take 0.1 s
def _installed() -> tuple[tuple[str, str | None], ...]:
    try:
        required = [item for item in metadata.requires("tlkeras") or [] if "extra ==" not in item]
    except metadata.PackageNotFoundError:
        required = []
    names = [re.split(r"[^A-Za-z0-9._-]", item, maxsplit=1)[0] for item in required]
    return tuple((name, _version(name)) for name in dict.fromkeys(("tlkeras", *names, "keras-hub")))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
