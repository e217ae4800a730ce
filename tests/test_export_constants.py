"""The numbers in quantised files against those in float32: rounding passes, anything else is named."""

import numpy as np
import pytest

from tests.export_models import exported_images, exported_small, exported_texts
from tlkeras.export.constants import problem_with_constants, read_operations
from tlkeras.export.flatbuffer import operations, pack, unpack
from tlkeras.features.litert import load_litert


@pytest.fixture(scope="module")
def files():
    return {one.target: one.path.read_bytes() for one in (*exported_images(), *exported_small()) if one.path.is_file()}


def altered(content, name, place, change):
    """Return a LiteRT model with the raw numbers of one constant changed: that of the last operation of a name."""
    model = unpack(content)
    graph, operator = model.subgraphs[0], [one for kind, one in operations(model) if kind == name][-1]
    # In 16 bits what the operation reads comes out of a DEQUANTIZE.
    source = {int(one.outputs[0]): int(one.inputs[0]) for one in graph.operators}
    tensor = graph.tensors[operator.inputs[place]]
    if model.buffers[tensor.buffer].data is None:
        tensor = graph.tensors[source[int(operator.inputs[place])]]
    kinds = {0: np.float32, 1: np.float16, 2: np.int32, 9: np.int8}  # of the schema's TensorType
    buffer = model.buffers[tensor.buffer]
    values = np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), kinds[tensor.type]).copy()
    buffer.data = np.frombuffer(change(values).astype(values.dtype).tobytes(), np.uint8)
    return pack(model)


@pytest.mark.parametrize("target", ["tflite_float16", "tflite_dynamic", "tflite_int8"])
def test_the_constants_of_a_right_file_are_those_of_float32_rounded(files, target):
    assert problem_with_constants(files[target], files["tflite_float32"]) == ""


def test_constants_of_texts_are_those_of_float32_even_where_16_bits_cannot_hold_them():
    texts = {one.target: one.path.read_bytes() for one in exported_texts() if one.path.is_file()}
    operations = list(read_operations(texts["tflite_float32"]))
    # Attention masks with a number beyond the largest of 16 bits, 65,504.
    assert max(np.abs(one.values).max() for operation in operations for one in operation.constants.values()) > 65504
    assert problem_with_constants(texts["tflite_float16"], texts["tflite_float32"]) == ""


def one_more(values):
    values[1] += 1 if values.dtype.kind == "i" else 0.004
    return values


@pytest.mark.parametrize("target", ["tflite_float16", "tflite_dynamic", "tflite_int8"])
@pytest.mark.parametrize(
    ("name", "place", "change"),
    [
        ("CONV_2D", 1, one_more),
        ("FULLY_CONNECTED", 2, lambda values: values * 0),
        ("DEPTHWISE_CONV_2D", 1, lambda values: values * 0.9),
    ],
    ids=["one weight by one step", "bias lost", "another scaling"],
)
def test_what_is_no_rounding_is_named(files, target, name, place, change):
    problem = problem_with_constants(altered(files[target], name, place, change), files["tflite_float32"])
    assert problem.startswith(f"constants are not the model's, rounded: {name} number ")
    assert "; " not in problem


def test_8_bit_constants_mean_what_litert_says_they_mean(files):
    interpreter = load_litert(files["tflite_int8"]).interpreter
    (head,) = [one for one in read_operations(files["tflite_int8"]) if one.name == "FULLY_CONNECTED"]
    for place in (1, 2):
        found = [one for one in interpreter.get_tensor_details() if tuple(one["shape"]) == head.constants[place].values.shape]
        meant = [
            interpreter.get_tensor(one["index"]) * one["quantization_parameters"]["scales"].reshape(-1, *[1] * (2 - place))
            for one in found
            if len(one["quantization_parameters"]["scales"]) > 1
        ]
        assert any(np.allclose(head.constants[place].values, one, rtol=1e-6) for one in meant)
        assert (head.constants[place].slack > 0).all()


def test_another_network_has_other_operations(files):
    texts = next(one.path.read_bytes() for one in exported_texts() if one.target == "tflite_float16")
    problem = problem_with_constants(texts, files["tflite_float32"])
    assert problem.startswith("it computes other operations than the float32 file of the same model, from number 0 on: ")


def test_fine_tuned_operations_may_differ_a_little_and_others_not_at_all(files):
    def moved(share):
        return lambda values: values + np.sign(values) * round(127 * share) * (np.abs(values) < 100)

    def problem(name, share):
        content = altered(files["tflite_int8"], name, 1, moved(share))
        return problem_with_constants(content, files["tflite_float32"], tuned=1)

    assert problem("FULLY_CONNECTED", 0.05) == ""
    assert "FULLY_CONNECTED number" in problem("FULLY_CONNECTED", 0.2)
    assert "CONV_2D number" in problem("CONV_2D", 0.05)
