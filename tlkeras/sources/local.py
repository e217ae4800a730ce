"""A user's own models: files and folders on disk, each opened in a trial first (see `trial` and `gate`).

- a `.keras` file; a `.weights.h5` or `.h5` file with the weights of a named architecture
- the folder of an earlier run
- a folder in Hugging Face's, timm's or KerasHub's format
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.errors import WeightsError
from tlkeras.sources.blocks import chain
from tlkeras.sources.download import sha256
from tlkeras.sources.model import Block, SourceModel

if TYPE_CHECKING:
    import tokenizers

_SUFFIXES = (
    ".keras",
    ".h5",
    ".hdf5",
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".npy",
    ".npz",
    ".pkl",
    ".onnx",
    ".tflite",
)
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model", "sentencepiece.bpe.model")
_READABLE = (
    "a .keras file; NAME:FILE with a .weights.h5 or .h5 file of weights for a named architecture; the folder of an earlier "
    "run; a folder with config.json in Hugging Face's, timm's or KerasHub's format"
)


@dataclass(frozen=True)
class Opened:
    """What a file or folder held.

    Attributes:
        blocks: The network's blocks; the first takes raw pixels or token ids.
        size: Height and width of pictures, or the longest text in tokens.
        head: The classifier's kernel and bias, where one was left out.
        facts: What is known of it.
        tokenizer: Of a text encoder.
        pad_id: Of a text encoder.
    """

    blocks: tuple[Block, ...]
    size: int
    head: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: "tokenizers.Tokenizer | None" = None
    pad_id: int = 0


def is_path(name: str) -> bool:
    """Say whether the name of a source is a path."""
    return "/" in name or "\\" in name or name.endswith(_SUFFIXES) or Path(name).exists()


def holds_texts(path: Path) -> bool:
    """Say whether a folder holds a text model: whether a tokenizer lies in it, or in the export of the run that it is."""
    from tlkeras.sources.local_texts import CARRIED

    return any((path / name).is_file() for name in (*_TOKENIZERS, CARRIED / "tokenizer.json"))


def load_local(path: Path, modality: str, *, resize: str = "crop", **options: Any) -> SourceModel:
    """Return the source model in a file or folder, after opening it in a trial.

    Args:
        path: The file or folder.
        modality: `"image"` or `"text"`.
        resize: See `load_image_source`.
        options: Arguments of `open_image` or `open_text`.

    Raises:
        WeightsError: It is of no kind that can be read, or is hostile or damaged.
    """
    from tlkeras.sources.trial import try_first

    if not path.exists():
        raise WeightsError(f"There is no file or folder {str(path)!r}. A source is a name (tlkeras sources), or {_READABLE}.")
    try_first(path.absolute(), modality, options)
    opened = (open_image if modality == "image" else open_text)(path, **options)
    for block in opened.blocks:  # an earlier run may have saved some of them frozen
        block.network.trainable = False
        block.network.trainable = True
    name = "".join(letter if letter.isalnum() else "_" for letter in path.stem) or "own"
    known = {"origin": str(path), "weights": str(path), "licence": "not stated", "source_data": None, "accuracy": None}
    parameters = sum(block.parameters for block in opened.blocks)
    return SourceModel(
        name=name,
        modality=modality,
        network=chain(opened.blocks, name=name),
        blocks=opened.blocks,
        input_size=opened.size,
        pretrained=True,
        tokenizer=opened.tokenizer,
        pad_id=opened.pad_id,
        head=opened.head,
        facts={**known, "parameters": parameters, "megabytes": round(parameters * 4e-6, 2), **opened.facts},
        resize=resize,
    )


def open_image(path: Path, *, size: int | None = None, feature_map: bool = False, architecture: str | None = None) -> Opened:
    """Open an image network; runs in the trial first.

    Args:
        path: The file or folder.
        size: Height and width in pixels; the network's own if not given.
        feature_map: See `load_image_source`.
        architecture: The name of the source model that a file of weights is for.
    """
    from tlkeras.sources import local_images

    if architecture is not None:
        opened = local_images.open_weights(path, architecture, size, feature_map)
    elif path.is_dir() and (path / "model.keras").is_file():
        opened = local_images.open_keras(path / "model.keras", size)
    elif path.is_dir() and (path / "config.json").is_file():
        opened = local_images.open_folder(path, size, feature_map)
    elif path.is_file() and path.suffix == ".keras":
        opened = local_images.open_keras(path, size)
    else:
        raise _unreadable(path)
    return replace(opened, facts={**opened.facts, "sha256": _digest(path)})


def open_text(path: Path) -> Opened:
    """Open a text encoder and its tokenizer; runs in the trial first.

    Args:
        path: The folder of an earlier run, or a folder in Hugging Face's or KerasHub's format.
    """
    from tlkeras.sources import local_texts

    if path.is_dir() and (path / "model.keras").is_file():
        opened = local_texts.open_run(path)
    elif path.is_dir() and (path / "config.json").is_file():
        opened = local_texts.open_folder(path)
    else:
        raise _unreadable(path)
    return replace(opened, facts={**opened.facts, "sha256": _digest(path)})


def _unreadable(path: Path) -> WeightsError:
    if path.is_dir():
        received = f"a folder with {', '.join(sorted(item.name for item in path.iterdir())[:6]) or 'nothing in it'}"
    else:
        received = f"a file that ends in {path.suffix!r}"
    way = (
        " A .h5 model can hold code: load it where you trust it, and save it as .keras."
        if path.suffix in (".h5", ".hdf5")
        else ""
    )
    way = (
        " It is a pickle, which can run code, and is never opened."
        if path.suffix in (".pkl", ".pt", ".pth", ".bin", ".npy")
        else way
    )
    return WeightsError(f"{path} cannot be read as a source model. Received: {received}. Allowed: {_READABLE}.{way}")


def _digest(path: Path) -> str | dict[str, str]:
    """The SHA-256 of a file; of a folder, of each file with weights in it."""
    if path.is_file():
        return sha256(path)
    files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix in (".keras", ".safetensors", ".h5"))
    return {file.name: sha256(file) for file in files}
