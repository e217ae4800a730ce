"""Real examples that an int8 conversion measures the ranges of activations on, and the check that its file is truly int8.

Converters take anything: without examples, or with examples on another scale, they succeed and give a file that is slow, not
int8, or wrong.
"""

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.errors import DataError, TlkerasError
from tlkeras.export.flatbuffer import INTERFACE, WEIGHTED

if TYPE_CHECKING:
    from tlkeras.data.examples import Examples
    from tlkeras.features.rows import Rows
    from tlkeras.tasks.model import TransferModel

_log = logging.getLogger("tlkeras")
COUNT = 200
"""Examples to measure on. On EfficientNet-Lite0 and 1,000 pictures, 50 kept 96.7 % of the labels, 200 kept 96.1 and 97.4 (two
draws), 600 kept 97.2 and took three times as long."""
FEWEST = 100
"""So many must be there, where the training split has as many."""
_NOISE = 0.1
"""Least correlation of neighbouring pixels; silhouettes at 33 pixels have 0.92, scikit-learn's digits at 8 pixels 0.41."""

Calibration = Callable[[], Iterator[dict[str, np.ndarray]]]
"""Gives the examples anew each time it is called, each as a batch of one by the name of the input."""


def calibration_inputs(model: "TransferModel", examples: "Examples", *, count: int = COUNT, seed: int = 0) -> Calibration:
    """Draw examples and read them as in training: uint8 pixels, or token ids.

    Args:
        model: The model to convert.
        examples: Training examples.
        count: How many to draw, at least 100 where there are as many.
        seed: Seed of the draw.

    Raises:
        DataError: There are none, they are all alike, of one class or noise, or their pixels lie between 0 and 1, not 255.
    """
    if count < FEWEST <= len(examples):
        raise ValueError(
            f"Ranges measured on few examples cut off the others. Received: count={count}. Allowed: {FEWEST} or more"
        )
    if not len(examples):
        raise DataError("Full int8 needs examples to measure ranges on, and there are none. Give training examples.")
    from tlkeras.data.vanished import read_still_there
    from tlkeras.features.inputs import read_inputs

    check_classes(examples)
    if len(examples) < FEWEST:
        _log.warning(
            "Ranges measured on %d examples may cut off what others show. Give %d or more, or look at the comparison closely.",
            len(examples), FEWEST,
        )  # fmt: skip

    def read(there: "Examples") -> "Rows":
        drawn = np.sort(np.random.default_rng(seed).permutation(len(there))[:count])
        return read_inputs(there.take(drawn), model.source)

    _, rows = read_still_there(examples, read)
    batches = [rows.batch(np.array([index])) for index in range(len(rows))]
    name = "token_ids" if model.modality == "text" else "image"
    check_calibration([{name: batch} for batch in batches])
    return lambda: iter([{name: batch} for batch in batches])


def check_calibration(batches: list[dict[str, np.ndarray]]) -> None:
    """Refuse examples that would give wrong ranges.

    Args:
        batches: Inputs by name; uint8 arrays are pictures.

    Raises:
        DataError: There are none, some are not finite, they are all alike, or on the wrong scale.
    """
    if not batches:
        raise DataError("There are no examples to measure ranges on.")
    for name in batches[0]:
        arrays = [np.asarray(batch[name]) for batch in batches]
        if not all(np.isfinite(array).all() for array in arrays):
            raise DataError(f"Some calibration examples hold values of {name!r} that are not finite.")
        first = arrays[0]
        alike = all(array.shape == first.shape and (array == first).all() for array in arrays)
        flat = all(np.ptp(array) == 0 for array in arrays)
        if flat or (alike and len(arrays) > 1):
            raise DataError(
                f"All {len(arrays)} calibration examples are alike, so they show no range. Give examples of every kind."
            )
        largest = max(float(array.max()) for array in arrays)
        if name == "image" and largest <= 1:
            raise DataError(
                f"The pixels of all {len(arrays)} calibration pictures lie between 0 and {largest:g}; "
                "the model takes 0 to 255. Multiply them by 255."
            )
        if name == "image" and (related := _relatedness(arrays)) < _NOISE:
            raise DataError(
                f"The calibration pictures look like noise: neighbouring pixels are unrelated (correlation {related:.2f}, "
                f"pictures have more than {_NOISE}). Give real pictures, such as splits.train."
            )


def check_classes(examples: "Examples") -> None:
    """Refuse examples that are all of one class: the ranges of the others would be cut off.

    Args:
        examples: What to measure on, with classes or without.

    Raises:
        DataError: There is but one class.
    """
    labels = getattr(examples.targets, "labels", None)
    if labels is not None and labels.ndim == 1 and len(labels) > 1 and (labels == labels[0]).all():
        raise DataError(
            f"All {len(labels)} calibration examples are of one class, so they show the range of that class only. "
            "Give examples of every class, such as splits.train."
        )


def _relatedness(pictures: list[np.ndarray]) -> float:
    """Return the correlation of neighbouring pixels of a row: about 0 in noise, 0.4 and more in pictures."""
    left = np.concatenate([picture[..., :-1, :].ravel() for picture in pictures]).astype(np.float32)
    right = np.concatenate([picture[..., 1:, :].ravel() for picture in pictures]).astype(np.float32)
    return float(np.corrcoef(left, right)[0, 1])


def check_int8(content: bytes, *, input_dtype: str, output_dtype: str) -> None:
    """Refuse a LiteRT model that is not int8 throughout; one CAST from uint8 pixels is normal.

    Args:
        content: The model.
        input_dtype: The dtype its inputs must have, as `"uint8"`.
        output_dtype: The dtype its output must have.

    Raises:
        TlkerasError: It has other dtypes, float weights, or operations that compute in float; the message names them.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    dtypes = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]

    def dtype(place: Any) -> str:
        return dtypes[graph.tensors[place].type]

    wrong = [f"input {dtype(place)}" for place in graph.inputs if dtype(place) != input_dtype]
    wrong += [f"output {dtype(place)}" for place in graph.outputs if dtype(place) != output_dtype]
    for operator in graph.operators:
        name = names[_code(model.operatorCodes[operator.opcodeIndex])]
        if name in WEIGHTED and dtype(operator.inputs[1]) != "int8":
            wrong.append(f"{name} with {dtype(operator.inputs[1])} weights")
        if name not in INTERFACE and any(dtype(place) == "float32" for place in operator.outputs):
            wrong.append(f"{name} in float32")
    if wrong:
        raise TlkerasError(
            f"The converted file is not int8: {', '.join(sorted(set(wrong)))}. LiteRT has no int8 form of that, or got no "
            "calibration examples. Export 'tflite_dynamic' (--quantize dynamic: int8 weights, float arithmetic) instead."
        )


def _code(entry: Any) -> int:
    """Return an operation's number; those below 127 also stand in an older field."""
    return max(int(entry.builtinCode), int(entry.deprecatedBuiltinCode))
