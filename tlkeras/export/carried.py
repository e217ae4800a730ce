"""What an artefact carries for apps (contract, labels, vocabulary) against its model; `predict` reads only some of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.export import metadata
from tlkeras.export.runtimes import read_carried

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel


def problem_with_carried(path: Path, model: "TransferModel") -> str:
    """Say where what an artefact carries contradicts its model, and nothing where it does not.

    An app reads `labels.txt`, `vocab.txt`, the colours, the range and the scale of bytes; a right answer by `predict` says
    nothing about them.

    Args:
        path: The artefact.
        model: The model that it was exported from.
    """
    embedded = read_carried(path)
    terms = embedded.contract
    strings, tensors = terms["input"].get("dtype") == "string", terms["input"].get("tensors", ())
    expected = json.loads(metadata.to_json(metadata.contract(model, strings=strings, tensors=tensors)))
    wrong = [
        f"the contract's {part} {name!r}" for part in ("input", "output") for name in _different(expected[part], terms[part])
    ]
    files = metadata.associated_files(model, features="rejection" in terms)
    wrong += [f"the file {name!r}" for name in _different(files, embedded.files)]
    if "scale" in terms["output"] and path.is_file():
        wrong += _wrong_scale(path, terms["output"])
    return f"{', '.join(wrong)} inside it is not the model's" if wrong else ""


def _different(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    # Bytes stand for numbers in full int8: that dtype is the file's own, and the scale says what they mean.
    return [name for name, value in expected.items() if found.get(name) != value and not (name == "dtype" and "scale" in found)]


def _wrong_scale(path: Path, terms: dict[str, Any]) -> list[str]:
    from tlkeras.features.litert import load_litert

    scale, zero = load_litert(path, threads=1).scales.get(terms["name"], (None, None))
    return [] if (scale, zero) == (terms["scale"], terms["zero_point"]) else ["the contract's 'scale' or 'zero_point'"]
