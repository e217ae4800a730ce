"""LiteRT files for phones and small machines: built-in operations only, labels and contract inside."""

from pathlib import Path

from tlkeras.export import metadata
from tlkeras.export.answers import SIMILARITY
from tlkeras.export.calibration import calibration_inputs, check_int8
from tlkeras.export.material import Material
from tlkeras.export.outputs import with_first
from tlkeras.export.tflite_metadata import add_image_metadata
from tlkeras.features.litert import Quantize, convert_saved_model, load_litert
from tlkeras.tasks.table import TASKS


def write_tflite(material: Material, path: Path, *, quantize: Quantize = "none", aware: bool = False) -> dict:
    """Write a `.tflite` and return its contract.

    Pictures enter as a uint8 batch named `image`, `(batch, size, size, 3)`; texts as an int32 batch named `token_ids` of any
    length. Both give the task's output, `probabilities`, `(batch, classes)`, or `value`, `(batch, 1)`, and, where the model can
    answer "none of these", `similarity`, `(batch, 1)`, as float32. Only what full int8 pictures give is uint8; the contract
    says by which `scale` and `zero_point` it becomes numbers.

    Args:
        material: The model, its SavedModel, and the examples for `"int8"`.
        path: The file.
        quantize: See `convert_saved_model`.
        aware: Whether the network was fine-tuned for int8, for the contract.

    Raises:
        TlkerasError: The network cannot be converted, or not to int8 throughout.
    """
    model, output = material.model, TASKS[material.model.task].output
    calibration = None
    terms = metadata.contract(model)
    # 256 steps over the range of the calibration examples would cut values off.
    uint8 = quantize == "int8" and model.modality == "image" and output == "probabilities"
    if quantize == "int8":
        calibration = calibration_inputs(model, material.examples())
    if quantize == "none":
        content = material.float32
    else:
        content = convert_saved_model(material.graph, quantize=quantize, calibration=calibration, uint8=uint8)
    content = with_first(content, output)
    if quantize == "int8":
        dtypes = {"input_dtype": terms["input"]["dtype"], "output_dtype": "uint8" if uint8 else "float32"}
        check_int8(content, **dtypes)
    if uint8:
        scales = load_litert(content).scales
        for part, name in {"output": output, "rejection": SIMILARITY}.items():
            if name in scales:
                terms[part] |= {"dtype": "uint8", "scale": scales[name][0], "zero_point": scales[name][1]}
    if quantize != "none":
        terms["quantization"] = quantize
    if aware:
        terms["quantization_aware"] = True
    if model.modality == "image":
        licence = model.source.facts.get("licence")
        content = add_image_metadata(content, name=model.network.name, licence=licence, output=output)
    path.write_bytes(metadata.seal_tflite(content, terms, metadata.associated_files(model)))
    return terms
