"""The export targets, and the function that writes them."""

import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.errors import unknown
from tlkeras.export import metadata
from tlkeras.export.artifact import Artifact
from tlkeras.export.coreml import write_coreml
from tlkeras.export.int8 import write_int8
from tlkeras.export.material import Material
from tlkeras.export.mediapipe import write_mediapipe
from tlkeras.export.onnx_file import write_onnx
from tlkeras.export.saved_model import save_graph, write_saved_model
from tlkeras.export.tflite import write_tflite
from tlkeras.files import write_file
from tlkeras.summary import format_size

if TYPE_CHECKING:
    from tlkeras.data.examples import Examples
    from tlkeras.tasks.model import TransferModel

_log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class Target:
    """A form to export to.

    Attributes:
        file_name: The file's or folder's name in the export folder.
        write: Called with the material and the path to write to; returns the artefact's contract.
        calibrated: Whether it needs training examples.
    """

    file_name: str
    write: Callable[[Material, Path], dict[str, Any]]
    calibrated: bool = False


TARGETS = {
    "saved_model": Target("saved_model", write_saved_model),
    "tflite_float32": Target("model_float32.tflite", write_tflite),
    "tflite_float16": Target("model_float16.tflite", partial(write_tflite, quantize="float16")),
    "tflite_dynamic": Target("model_dynamic.tflite", partial(write_tflite, quantize="dynamic")),
    "mediapipe_float32": Target("model_mediapipe_float32.tflite", write_mediapipe),
    "mediapipe_dynamic": Target("model_mediapipe_dynamic.tflite", partial(write_mediapipe, quantize="dynamic")),
    "onnx": Target("model.onnx", write_onnx),
    "coreml": Target("model.mlpackage", write_coreml),
    "tflite_int8": Target("model_int8.tflite", write_int8, calibrated=True),
}


def export_model(
    model: "TransferModel",
    folder: str | Path,
    *,
    targets: Sequence[str] = ("saved_model", "tflite_float32", "tflite_float16"),
    calibration: "Examples | None" = None,
    validation: "Examples | None" = None,
    max_drop: float | None = None,
    keep: bool = False,
) -> tuple[Artifact, ...]:
    """Write a model in each target's form, and `labels.txt` and `metadata.json` beside them.

    Each file or folder appears whole or not at all; `metadata.json`, which holds the contract and the sha256 of each file, is
    written last.

    Args:
        model: A trained model.
        folder: Where the files go; made if need be.
        targets: Names from `TARGETS`.
        calibration: Training examples; `"tflite_int8"` needs them.
        validation: Validation examples: where `"tflite_int8"` loses too much on them, it is made from a network that was
            fine-tuned for 8 bits, see `tlkeras.export.int8.write_int8`.
        max_drop: How much is too much: 0.01 is a point; the bound of the target if not given.
        keep: Whether files of other targets that lie there, unchanged, keep their lines in `metadata.json`.

    Raises:
        ValueError: A target is unknown or lacks examples, or none is given.
        DataError: The calibration examples are no use.
        TlkerasError: The network cannot be converted; the message names the operations that LiteRT lacks.
    """
    for target in targets:
        if target not in TARGETS:
            raise unknown("export target", target, TARGETS, "tlkeras.export.targets.TARGETS")
    if not targets:
        raise ValueError(f"No export target is given. Allowed: {', '.join(TARGETS)}")
    if calibration is None and any(TARGETS[target].calibrated for target in targets):
        Material(model, Path()).examples()
    folder = Path(folder)
    kept = _known(folder, targets) if keep else []
    # The summary must not speak of files that are about to change.
    (folder / metadata.CONTRACT).unlink(missing_ok=True)
    write_file(folder / metadata.LABELS, lambda path: path.write_bytes(metadata.labels_text(model.classes)))
    with tempfile.TemporaryDirectory() as temporary:
        save_graph(model, graph := Path(temporary) / "graph")
        material = Material(model, graph, calibration, validation, max_drop)
        artifacts = tuple(_write(material, folder, target) for target in targets)
    terms = {"run": _run_name(folder), **metadata.contract(model)}
    content = metadata.to_json({**terms, "artifacts": [*kept, *map(_entry, artifacts)]})
    write_file(folder / metadata.CONTRACT, lambda path: path.write_bytes(content))
    return artifacts


def _write(material: Material, folder: Path, target: str) -> Artifact:
    started = time.perf_counter()
    path = folder / TARGETS[target].file_name
    terms: dict[str, Any] = {}
    write_file(path, lambda temporary: terms.update(TARGETS[target].write(material, temporary)))
    size = sum(file.stat().st_size for file in _files(path))
    _log.info("Wrote %s (%s, %.1f s)", path, format_size(size), time.perf_counter() - started)
    return Artifact(path=path, target=target, size_bytes=size, labels=material.model.classes, signature=terms)


def _run_name(folder: Path) -> str | None:
    """Return the name of the run whose exports these are; None outside of runs."""
    run = folder.resolve().parent
    return run.name if (run / "config.yaml").is_file() else None


def _known(folder: Path, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Return the lines of files of other targets that are still what the summary says."""
    summary = folder / metadata.CONTRACT
    if not summary.is_file():
        return []
    entries = json.loads(summary.read_text(encoding="utf-8"))["artifacts"]
    return [entry for entry in entries if entry["target"] not in targets and _is_there(folder, entry["sha256"])]


def _is_there(folder: Path, digests: dict[str, str]) -> bool:
    return all((folder / name).is_file() and metadata.sha256(folder / name) == digest for name, digest in digests.items())


def _entry(artifact: Artifact) -> dict[str, Any]:
    digests = {file.relative_to(artifact.path.parent).as_posix(): metadata.sha256(file) for file in _files(artifact.path)}
    return {
        "target": artifact.target,
        "path": artifact.path.name,
        "size_bytes": artifact.size_bytes,
        "input": artifact.signature["input"],
        "sha256": digests,
    }


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
