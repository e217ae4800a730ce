"""The contract of an artefact (what goes in, what comes out, what the outputs mean), carried inside the artefact itself.

A `.tflite` carries it as a zip archive appended to the model, which LiteRT ignores and every unzip reads: the layout of
"associated files" in TensorFlow Lite metadata. A SavedModel carries the same files in its folder `assets.extra/`.
"""

import hashlib
import io
import json
import mmap
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tlkeras
from tlkeras.export.answers import NONE_OF_THESE, SIMILARITY, output_terms, threshold_list
from tlkeras.export.artifact import ArtifactError

if TYPE_CHECKING:
    from tlkeras.tasks.model import Familiar, TransferModel

FORMAT_VERSION = 1
CONTRACT, LABELS, TOKENIZER, VOCABULARY = "metadata.json", "labels.txt", "tokenizer.json", "vocab.txt"
EXTRA = "assets.extra"
"""The folder of a SavedModel that TensorFlow leaves to the user."""
_LIMIT = 100_000_000
"""Bytes of one embedded file; tokenizers of large vocabularies take some 20 MB."""


@dataclass(frozen=True)
class Embedded:
    """What an artefact carries: its contract, and its associated files by name."""

    contract: dict[str, Any]
    files: dict[str, bytes]


def contract(model: "TransferModel", *, strings: bool = False, tensors: Sequence[str] = ()) -> dict[str, Any]:
    """Describe what an exported model takes and gives, as plain JSON values.

    Args:
        model: The model.
        strings: Texts: the artefact takes strings instead of token ids.
        tensors: Texts: the artefact takes ids, mask and segments, one example of full length at a time, under these names.
    """
    from tlkeras.tasks.table import TASKS

    source = model.source
    return {
        "format": "tlkeras",
        "format_version": FORMAT_VERSION,
        "tlkeras_version": tlkeras.__version__,
        "task": model.task,
        "modality": model.modality,
        "labels": list(model.classes),
        "input": _text_input(model, strings, tensors) if model.modality == "text" else _image_input(model),
        "output": output_terms(
            model.task,
            TASKS[model.task].output,
            len(model.classes),
            threshold_list(model.task, model.classes, model.thresholds),
        ),
        "source": {"name": source.name, "pretrained": source.pretrained, "licence": source.facts.get("licence")},
        **({"rejection": _rejection(model.familiar)} if model.familiar else {}),
    }


def _rejection(familiar: "Familiar") -> dict[str, Any]:
    """Say when the answer is "none of these": where the second output is below the threshold."""
    return {
        "method": "distance",
        "output": SIMILARITY,
        "meaning": "cosine similarity of the features that the head reads to those of the nearest training example",
        "dtype": "float32",
        "shape": [None, 1],
        "threshold": familiar.smallest,
        "answer_below": NONE_OF_THESE,
        "examples": len(familiar.bank),
    }


def _image_input(model: "TransferModel") -> dict[str, Any]:
    size = model.source.input_size
    return {
        "name": "image",
        "dtype": "uint8",
        "shape": [None, size, size, 3],
        "size": size,
        "resize": model.source.resize,
        "colour": "RGB",
        "range": [0, 255],
    }


def _text_input(model: "TransferModel", strings: bool, tensors: Sequence[str]) -> dict[str, Any]:
    source = model.source
    terms = {"pad_id": source.pad_id, "sequence_length": source.input_size, "tokenizer": TOKENIZER}
    if tensors:
        shape = [1, source.input_size]
        return {"name": tensors[0], "dtype": "int32", "shape": shape, **terms, "tensors": list(tensors)}
    tensor = (
        {"name": "text", "dtype": "string", "shape": [None]}
        if strings
        else {"name": "token_ids", "dtype": "int32", "shape": [None, None]}
    )
    return {**tensor, **terms}


def associated_files(model: "TransferModel") -> dict[str, bytes]:
    """Return the files that travel inside an artefact beside its contract: labels and, for texts, the tokenizer.

    Args:
        model: The model.
    """
    files = {LABELS: labels_text(model.classes)}
    tokenizer = model.source.tokenizer
    if tokenizer is not None:
        content = tokenizer.to_str()
        files[TOKENIZER] = content.encode()
        if json.loads(content)["model"]["type"] == "WordPiece":  # the plain list that phone libraries read
            vocabulary = tokenizer.get_vocab()
            files[VOCABULARY] = "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.__getitem__)).encode()
    return files


def labels_text(labels: tuple[str, ...]) -> bytes:
    """Return one label a line; control characters, which a folder's name may hold, become spaces (the contract keeps them)."""
    return "".join(re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029]", " ", label) + "\n" for label in labels).encode(errors="replace")


def to_json(value: Any) -> bytes:
    """Return JSON in ASCII, so that any name survives, one that is not valid Unicode included."""
    return json.dumps(value, indent=2).encode() + b"\n"


def seal_tflite(content: bytes, terms: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """Append contract and files to a LiteRT model; the same input gives the same bytes.

    Args:
        content: The LiteRT model.
        terms: Its contract; the model's size and sha256 are added.
        files: The associated files.
    """
    model = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    stream = io.BytesIO()
    stream.write(content)
    # Stored, not deflated: LiteRT's readers on phones map the files in place.
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, data in {CONTRACT: to_json({**terms, "model": model}), **files}.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return stream.getvalue()


def read_tflite(path: Path) -> Embedded:
    """Read and check what a `.tflite` carries.

    Raises:
        ArtifactError: It carries nothing, was cut short, or the model is not the one that was exported.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if any(entry.file_size > _LIMIT or entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ArtifactError(f"{path} carries files that tlkeras did not write: too large, or compressed")
            files = {entry.filename: archive.read(entry) for entry in entries}
            length = min((entry.header_offset for entry in entries), default=0)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ArtifactError(
            f"{path} carries no labels and no contract ({error}): it was cut short on the way, "
            "or was not exported by tlkeras. Take a fresh copy, or export it again with tlkeras."
        ) from None
    embedded = read_embedded(path, files)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        digest = hashlib.sha256(memoryview(content)[:length]).hexdigest()
    if digest != embedded.contract.get("model", {}).get("sha256"):
        raise changed(path, "the model")
    return embedded


def seal_saved_model(folder: Path, terms: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Put contract and files into a SavedModel; the sha256 of each of its own files is added to the contract."""
    digests = {file.relative_to(folder).as_posix(): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    extra = folder / EXTRA
    extra.mkdir()
    for name, data in {CONTRACT: to_json({**terms, "model": {"sha256": digests}}), **files}.items():
        (extra / name).write_bytes(data)


def read_saved_model(folder: Path) -> Embedded:
    """Read and check what a SavedModel carries; see `read_tflite`."""
    if not (folder / EXTRA / CONTRACT).is_file():
        raise ArtifactError(
            f"{folder} is not a model that tlkeras exported: it has no {EXTRA}/{CONTRACT}. "
            "A SavedModel is a program, so a foreign one is not loaded."
        )
    embedded = read_embedded(folder, {file.name: file.read_bytes() for file in (folder / EXTRA).iterdir()})
    expected = embedded.contract.get("model", {}).get("sha256", {})
    found = {
        file.relative_to(folder).as_posix(): sha256(file)
        for file in folder.rglob("*")
        if file.is_file() and (folder / EXTRA) not in file.parents
    }
    if found != expected:
        different = {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)}
        raise changed(folder, ", ".join(sorted(different)))
    return embedded


def sha256(path: Path) -> str:
    """Return the hex digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_embedded(path: Path, files: dict[str, bytes]) -> Embedded:
    """Read the contract among the files that an artefact carries.

    Raises:
        ArtifactError: There is none, or one of a newer version.
    """
    try:
        terms = json.loads(files.pop(CONTRACT))
        known = terms["format"] == "tlkeras"
        newer = terms["format_version"] > FORMAT_VERSION
    except (KeyError, TypeError, ValueError):
        known = newer = False
    if not known:
        raise ArtifactError(f"{path} was not exported by tlkeras: it carries no readable {CONTRACT}. Export it with tlkeras.")
    if newer:
        raise ArtifactError(
            f"{path} was written by a newer tlkeras ({terms.get('tlkeras_version')}). Upgrade: pip install -U tlkeras"
        )
    return Embedded(terms, files)


def changed(path: Path, what: str) -> ArtifactError:
    """Return the error for an artefact whose model is not the one that was exported."""
    return ArtifactError(
        f"{path} is damaged: {what} is not what was exported (sha256 differs). Take a fresh copy, or export again."
    )
