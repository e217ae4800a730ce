"""ONNX files as arrays by name, read without the library: initialisers, and the weights that exporters leave nameless."""

import math
from pathlib import Path

import numpy as np

from tlkeras.errors import WeightsError
from tlkeras.sources.protobuf import read_fields

_FLOAT = 1


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 initialisers of an ONNX file (onnx.proto).

    PyTorch's exporter calls the transposed kernel of a dense layer `onnx::MatMul_123`; it is found again as the factor of the
    product that the layer's bias is added to, and returned as `<layer>.kernel`, `(in, out)`.

    Raises:
        WeightsError: The file is malformed, or keeps arrays elsewhere.
    """
    graph = next((value for number, value in read_fields(path.read_bytes()) if number == 7 and isinstance(value, bytes)), b"")
    arrays: dict[str, np.ndarray] = {}
    products: dict[str, str] = {}
    sums: list[list[str]] = []
    for number, value in read_fields(graph):
        if not isinstance(value, bytes):
            continue
        if number == 5:
            arrays.update(_tensor(value, path))
        elif number == 1:
            kind, inputs, output = _node(value)
            if kind == "MatMul":
                products[output] = inputs[1]
            elif kind == "Add":
                sums.append(inputs)
    if not arrays:
        raise WeightsError(f"{path} is no ONNX file with weights in it.")
    for one, other in sums:
        bias, product = (one, other) if one.endswith(".bias") else (other, one)
        if bias.endswith(".bias") and products.get(product) in arrays:
            arrays[f"{bias.removesuffix('.bias')}.kernel"] = arrays[products[product]]
    return arrays


def _node(data: bytes) -> tuple[str, list[str], str]:
    inputs, output, kind = [], "", ""
    for number, value in read_fields(data):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
        if number == 1:
            inputs.append(text)
        elif number == 2:
            output = output or text
        elif number == 4:
            kind = text
    return kind, inputs, output


def _tensor(data: bytes, path: Path) -> dict[str, np.ndarray]:
    shape: list[int] = []
    name, kind, content = "", 0, b""
    for number, value in read_fields(data):
        if number == 1 and isinstance(value, int):
            shape.append(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and isinstance(value, bytes):
            name = value.decode("utf-8")
        elif number == 9 and isinstance(value, bytes):
            content = value
        elif number in (13, 14) and value:
            raise WeightsError(f"{path} keeps arrays in other files: refused.")
    if kind != _FLOAT:
        return {}
    if len(content) != 4 * math.prod(shape):
        raise WeightsError(f"{path}: the array {name!r} has {len(content)} bytes for the shape {shape}.")
    return {name: np.frombuffer(content, "<f4").reshape(shape)}
