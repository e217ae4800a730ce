"""Full int8: calibrated after training; where that costs too much, from a network that was fine-tuned to bear it."""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.aware import fine_tune_for_int8
from tlkeras.export.bounds import FEWEST
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


def write_int8(material: Material, path: Path) -> dict[str, Any]:
    """Write a full int8 `.tflite` and return its contract; see `write_tflite`.

    With validation examples of pictures, at least 100, the file is judged on them as `verify` will judge it on the test
    examples (`Material.max_drop`, or the bounds of the target). If it does not pass, the top of the network is fine-tuned
    with 8 bits simulated, and of the two files the one that is better on the validation examples is kept.

    Args:
        material: The model, its SavedModel, training and validation examples.
        path: The file.
    """
    terms = write_tflite(material, path, quantize="int8")
    validation = material.validation
    if validation is None or len(validation) < FEWEST or material.model.modality != "image":
        return terms
    before = _judge(path, material, validation)
    if before.passed:
        return terms
    _log.warning("Full int8 loses too much on the validation examples: %s. Fine-tuning for it.", _in_words(before))
    with tempfile.TemporaryDirectory() as folder:
        tuned = fine_tune_for_int8(material.model, material.examples())
        save_graph(tuned, graph := Path(folder) / "graph")
        other = replace(material, model=tuned, graph=graph)
        more = write_tflite(other, second := Path(folder) / path.name, quantize="int8", aware=True)
        after = _judge(second, material, validation)
        _log.info("Full int8 after fine-tuning: %s", _in_words(after))
        if _rank(after) > _rank(before):
            path.write_bytes(second.read_bytes())
            return more
    _log.warning("Fine-tuning did not help: the calibrated file is kept.")
    return terms


def _judge(path: Path, material: Material, validation: "Examples") -> Parity:
    artifact = Artifact(path, TARGET, path.stat().st_size, material.model.classes, {})
    (result,) = compare_with_keras(
        [artifact], material.model, validation, sample=_SAMPLE, max_drop=material.max_drop, outputs_only=True
    )
    return result


def _rank(result: Parity) -> tuple[bool, float]:
    return result.passed, -result.drop.value if result.drop else float("-inf")


def _in_words(result: Parity) -> str:
    if result.measure_artifact is None:
        return result.problem
    return f"{result.measure.replace('_', ' ')} {result.measure_artifact:.4f} (Keras {result.measure_keras:.4f}, n {result.n})"
