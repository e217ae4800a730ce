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
    files = metadata.associated_files(model)
    wrong += _wrong_rejection(expected.get("rejection"), terms.get("rejection"))
    wrong += [f"the file {name!r}" for name in _different(files, embedded.files)]
    quantized = [one for one in (terms["output"], terms.get("rejection", {})) if "scale" in one]
    if quantized and path.is_file():
        wrong += _wrong_scales(path, quantized)
    return f"{', '.join(wrong)} inside it is not the model's" if wrong else ""


def _different(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    # Bytes stand for numbers in full int8: that dtype is the file's own, and the scale says what they mean.
    return [name for name, value in expected.items() if found.get(name) != value and not (name == "dtype" and "scale" in found)]


def _wrong_rejection(expected: dict[str, Any] | None, found: dict[str, Any] | None) -> list[str]:
    if expected is None or found is None:
        return [] if expected is found else ["the contract's 'rejection'"]
    return [f"the contract's rejection {name!r}" for name in _different(expected, found)]


def _wrong_scales(path: Path, outputs: list[dict[str, Any]]) -> list[str]:
    from tlkeras.features.litert import load_litert

    scales = load_litert(path, threads=1).scales
    right = [scales.get(one.get("name") or one["output"]) == (one["scale"], one["zero_point"]) for one in outputs]
    return [] if all(right) else ["the contract's 'scale' or 'zero_point'"]
