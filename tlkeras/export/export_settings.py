"""The flags of `tlkeras export`; apart from the rest, because every help text needs them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ExportSettings:
    """Everything that can be set; each field is a flag of `tlkeras export`."""

    format: Literal["tflite", "saved_model", "onnx", "coreml"] = "tflite"
    """Form of the export."""
    quantize: Literal["none", "float16", "dynamic", "int8"] = "none"
    """For tflite: bits of the weights; `dynamic` has int8 weights, `int8` computes in int8 as well."""
    max_drop: float | None = None
    """Most points of accuracy that may be lost; 1 for dynamic and int8, 0.2 for float16 if not given."""
    max_size: str | None = None
    """Largest size, as in `5MB`: measures all forms for phones and picks the one that fits and is most like Keras."""
    max_latency: str | None = None
    """Longest time for one example on this machine in LiteRT, as in `20ms`: measures and picks likewise."""
