"""The constants of a quantised LiteRT file against those of the float32 file of the same network.

Outputs on a few hundred examples cannot tell a small change of the weights from rounding. The numbers in the file can: what
was rounded lies within half a step of what it was rounded from, and nothing else does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkeras.export.bias_correction import MOST_STEPS
from tlkeras.export.flatbuffer import WEIGHTED, operations, unpack

_SHOWN = 3
_TUNED = 0.1
_BIAS = 2


@dataclass(frozen=True)
class Constant:
    """A number or array that an operation reads.

    Attributes:
        values: What it stands for, float64.
        slack: How far rounding may have moved it, float64, broadcasts with `values`.
        largest: What is larger became this.
    """

    values: np.ndarray
    slack: np.ndarray
    largest: float = float("inf")


@dataclass(frozen=True)
class Operation:
    """An operation of a LiteRT model, what only changes the kind of numbers left out.

    Attributes:
        name: LiteRT's name, as `"CONV_2D"`.
        constants: Its constant inputs that are numbers, by their place.
        step: The distance of two neighbouring values of its output; 0 for floating-point numbers.
    """

    name: str
    constants: dict[int, Constant]
    step: float


def problem_with_constants(quantized: bytes, float32: bytes, *, tuned: int = 0, corrected: bool = False) -> str:
    """Say which constants of a quantised LiteRT model are not those of the float32 model, rounded; empty where all are.

    Args:
        quantized: A LiteRT model with weights of 16 or 8 bits.
        float32: The same network converted without quantisation.
        tuned: The last so many operations with weights were fine-tuned and may differ by a tenth of the largest weight.
        corrected: Its biases went through `tlkeras.export.bias_correction`.
    """
    found, expected = list(read_operations(quantized)), list(read_operations(float32))
    names = [[operation.name for operation in operations] for operations in (found, expected)]
    if names[0] != names[1]:
        place = next((i for i, pair in enumerate(zip(*names, strict=False)) if pair[0] != pair[1]), min(map(len, names)))
        return (
            f"it computes other operations than the float32 file of the same model, from number {place} on: "
            f"{', '.join(names[0][place : place + _SHOWN]) or 'none'} instead of "
            f"{', '.join(names[1][place : place + _SHOWN]) or 'none'}"
        )
    weighted = [number for number, operation in enumerate(expected) if operation.name in WEIGHTED]
    # What belongs to no kernel lies behind the last one that stayed as it was.
    first_tuned = next(iter(weighted[-tuned - 1 :]), -1) + 1 if tuned else len(expected)
    wrong = [
        f"{operation.name} number {number}{how}"
        for number, (operation, other) in enumerate(zip(found, expected, strict=True))
        if (how := _different(operation, other, share=_TUNED if number >= first_tuned else 1e-6, corrected=corrected))
    ]
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"constants are not the model's, rounded: {'; '.join(wrong[:_SHOWN])}{more}" if wrong else ""


def _different(found: Operation, expected: Operation, *, share: float, corrected: bool) -> str:
    if found.constants.keys() != expected.constants.keys():
        return f" has constants at {sorted(found.constants)} instead of {sorted(expected.constants)}"
    for place, constant in found.constants.items():
        wanted = np.clip(expected.constants[place].values, -constant.largest, constant.largest)
        if constant.values.shape != wanted.shape:
            return f" has a constant of shape {constant.values.shape} instead of {wanted.shape}"
        # Folding gives the last bits of float32 another order.
        moved = MOST_STEPS * found.step + constant.slack if corrected and place == _BIAS and found.name in WEIGHTED else 0.0
        slack = moved + constant.slack * 1.001 + 1e-5 * np.abs(wanted) + share * np.abs(wanted).max(initial=0)
        beyond = ~(np.abs(constant.values - wanted) <= slack)
        if beyond.any():
            by = np.abs(constant.values - wanted).max() / max(np.abs(wanted).max(), 1e-30)
            return f" ({beyond.sum()} of {beyond.size} values, by up to {by:.1%} of the largest)"
    return ""


def read_operations(content: bytes) -> Iterator[Operation]:
    """Yield the operations of a LiteRT model in order, with their constants as numbers."""
    model = unpack(content)
    graph, found = model.subgraphs[0], operations(model)
    known = {id(operator) for _, operator in found}
    # Weights in 16 bits reach their operation through one that makes them float32.
    origin = {int(one.outputs[0]): int(one.inputs[0]) for one in graph.operators if id(one) not in known}
    for name, operator in found:
        read = {
            place: _constant(model, graph, origin.get(int(tensor), int(tensor))) for place, tensor in enumerate(operator.inputs)
        }
        constants = {place: constant for place, constant in read.items() if constant is not None}
        yield Operation(name, constants, _step(graph.tensors[operator.outputs[0]]))


def _step(tensor: Any) -> float:
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return 0.0 if scales is None else float(scales[0])


def _constant(model: Any, graph: Any, place: int) -> Constant | None:
    """Return a constant tensor as numbers; None for what is computed, and for shapes and axes."""
    from ai_edge_litert import schema_py_generated as schema

    if place < 0:
        return None
    tensor = graph.tensors[place]
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    kinds = {
        schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16, schema.TensorType.INT8: np.int8,
        schema.TensorType.INT16: np.int16, schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64,
    }  # fmt: skip
    scales = None if tensor.quantization is None else tensor.quantization.scale
    if tensor.type not in kinds or (
        scales is None and tensor.type not in (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
    ):
        return None
    raw = np.frombuffer(np.asarray(data, np.uint8).tobytes(), kinds[tensor.type]).reshape(
        tensor.shape if tensor.shape is not None else ()
    )
    values = raw.astype(np.float64)
    if tensor.type == schema.TensorType.FLOAT16:
        largest = float(np.finfo(np.float16).max)
        return Constant(np.clip(values, -largest, largest), np.abs(values) * 2.0**-11 + 2.0**-25, largest)
    if scales is None:
        return Constant(values, np.zeros(()))
    shape = [1] * values.ndim
    if len(scales) > 1:
        shape[tensor.quantization.quantizedDimension] = len(scales)
    step = np.asarray(scales, np.float64).reshape(shape)
    zero = np.asarray(tensor.quantization.zeroPoint, np.float64).reshape(shape)
    return Constant((values - zero) * step, step / 2)
