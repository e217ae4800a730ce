"""Full int8: calibrated after training; where that costs too much, with biases corrected, and at last from a tuned network."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.export import metadata
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.aware import fine_tune_for_int8
from tlkeras.export.bias_correction import correct_biases
from tlkeras.export.bounds import BOUNDS, FEWEST
from tlkeras.export.calibration import calibration_inputs
from tlkeras.export.material import Material
from tlkeras.export.saved_model import save_graph
from tlkeras.export.tflite import write_tflite
from tlkeras.export.verify import compare_with_keras

if TYPE_CHECKING:
    from tlkeras.data.examples import Examples

_log = logging.getLogger("tlkeras")
TARGET = "tflite_int8"
_SAMPLE = 500
"""Most validation examples to judge by."""
_NEAR = 0.02
"""Where answers move by less in the mean, there is nothing to mend."""
_MEASURED = 100
"""Calibration pictures that means of channels are measured on."""


@dataclass(frozen=True)
class _Candidate:
    """A file, its contract, and how it compares with Keras on the validation examples."""

    path: Path
    terms: dict[str, Any]
    result: Parity

    @property
    def rank(self) -> tuple[bool, float]:
        """The larger, the better: passed, then answers like Keras's; no label of the validation examples chooses."""
        return self.result.passed, -(self.result.mean_difference or 0.0)


def write_int8(material: Material, path: Path) -> dict[str, Any]:
    """Write a full int8 `.tflite` and return its contract; see `write_tflite`.

    With validation examples of pictures, at least 100, the file is judged on them as `verify` will judge it on the test
    examples (`Material.max_drop`, or the bounds of the target). If it does not pass, loses more than allowed though chance
    might have done that, or moves answers by more than 0.02 in the mean, its biases are corrected
    (`tlkeras.export.bias_correction`). If it loses too much even so, the top of the network is fine-tuned with 8 bits simulated
    (`tlkeras.export.aware`) and corrected. Of these files the one is kept that answers most like Keras.

    Args:
        material: The model, its SavedModel, training and validation examples.
        path: The file.
    """
    terms = write_tflite(material, path, quantize="int8")
    validation = material.validation
    if validation is None or len(validation) < FEWEST or material.model.modality != "image":
        return terms
    best = _Candidate(path, terms, _judge(path, material, validation))
    with tempfile.TemporaryDirectory() as folder:
        if not _is_enough(best.result, material) or (best.result.mean_difference or 0.0) > _NEAR:
            best = _try(best, _write_corrected, material, Path(folder) / "corrected.tflite", "correction of biases")
        if not _is_enough(best.result, material):
            _log.warning("Full int8 loses too much on the validation examples: %s. Fine-tuning for it.", _in_words(best.result))
            best = _try(best, _write_tuned, material, Path(folder) / "tuned.tflite", "fine-tuning")
        if best.path != path:
            path.write_bytes(best.path.read_bytes())
    return best.terms


def _try(
    best: _Candidate, write: Callable[[Material, Path, Path], dict[str, Any]], material: Material, path: Path, name: str
) -> _Candidate:
    """Write another candidate from the best so far, and return the better of the two."""
    terms = write(material, best.path, path)
    found = _Candidate(path, terms, _judge(path, material, material.validation))  # type: ignore[arg-type]  # checked before
    _log.info("Full int8 on the validation examples: %s; after %s: %s", _in_words(best.result), name, _in_words(found.result))
    if found.rank > best.rank:
        return found
    _log.warning("The %s did not help: the file before is kept.", name)
    return best


def _write_corrected(material: Material, calibrated: Path, path: Path) -> dict[str, Any]:
    """Write a calibrated file again with corrected biases."""
    embedded = metadata.read_tflite(calibrated)
    content = calibrated.read_bytes()[: embedded.contract["model"]["size_bytes"]]
    batches = [batch["image"] for batch in calibration_inputs(material.model, material.examples())()][:_MEASURED]
    corrected = correct_biases(content, material.float32, np.concatenate(batches))
    terms = {name: value for name, value in embedded.contract.items() if name != "model"} | {"bias_correction": True}
    path.write_bytes(metadata.seal_tflite(corrected, terms, embedded.files))
    return terms


def _write_tuned(material: Material, calibrated: Path, path: Path) -> dict[str, Any]:
    """Write a file of a network that was fine-tuned for 8 bits, with corrected biases."""
    with tempfile.TemporaryDirectory() as folder:
        tuned = fine_tune_for_int8(material.model, material.examples())
        save_graph(tuned, graph := Path(folder) / "graph")
        other = replace(material, model=tuned, graph=graph)
        write_tflite(other, second := Path(folder) / calibrated.name, quantize="int8", aware=True)
        return _write_corrected(other, second, path)


def _judge(path: Path, material: Material, validation: "Examples") -> Parity:
    artifact = Artifact(path, TARGET, path.stat().st_size, material.model.classes, {})
    (result,) = compare_with_keras(
        [artifact], material.model, validation, sample=_SAMPLE, max_drop=material.max_drop, outputs_only=True
    )
    return result


def _is_enough(result: Parity, material: Material) -> bool:
    allowed = BOUNDS[TARGET].drop if material.max_drop is None else material.max_drop
    if material.model.task == "regression" or result.drop is None:
        return result.passed
    return result.passed and result.drop.value <= allowed


def _in_words(result: Parity) -> str:
    if result.measure_artifact is None:
        return result.problem
    return (
        f"{result.measure.replace('_', ' ')} {result.measure_artifact:.4f} (Keras {result.measure_keras:.4f}), "
        f"mean difference {result.mean_difference:.3f}, n {result.n}"
    )
