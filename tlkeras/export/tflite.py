"""LiteRT files for phones and small machines: built-in operations only, labels and contract inside."""

from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.export import metadata
from tlkeras.export.tflite_metadata import add_image_metadata
from tlkeras.features.litert import Quantize, convert_saved_model
from tlkeras.tasks.table import TASKS

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel


def write_tflite(model: "TransferModel", graph: Path, path: Path, *, quantize: Quantize = "none") -> dict:
    """Write a `.tflite` and return its contract.

    Pictures enter as a uint8 batch named `image`, `(batch, size, size, 3)`; texts as an int32 batch named `token_ids` of any
    length. Both give the task's output, float32: `probabilities`, `(batch, classes)`, or `value`, `(batch, 1)`.

    Args:
        model: The model.
        graph: The SavedModel that `saved_model.save_graph` wrote.
        path: The file.
        quantize: `"none"`, or `"float16"` for weights in 16 bits.
    """
    content = convert_saved_model(graph, quantize=quantize)
    if model.modality == "image":
        output = TASKS[model.task].output
        licence = model.source.facts.get("licence")
        content = add_image_metadata(content, name=model.network.name, licence=licence, output=output)
    terms = metadata.contract(model)
    path.write_bytes(metadata.seal_tflite(content, terms, metadata.associated_files(model)))
    return terms
