"""What a forward pass costs: multiplications with addition, counted in the traced graph."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def count_macs(network: "keras.Model", size: int) -> int:
    """Return the multiply-accumulate operations of a forward pass over one example.

    Counted are convolutions, dense layers and attention: all products of matrices and convolutions in the graph that TensorFlow
    traces, so also those inside composite layers. Additions, activations and Fourier transforms are not.

    Args:
        network: A network with one input: pictures `(batch, height, width, channels)` or token ids `(batch, length)`.
        size: Height and width of the pictures, or the length of the text in tokens.
    """
    import tensorflow as tf

    (tensor,) = network.inputs
    sides = (size,) if len(tensor.shape) == 2 else (size, size, tensor.shape[-1])
    function = tf.function(lambda x: network(x, training=False), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec((1, *sides), tensor.dtype)).graph.as_graph_def(add_shapes=True)
    functions = {item.signature.name: item for item in graph.library.function}
    return _count(graph.node, {}, functions)


def _count(nodes: Iterable[Any], arguments: Mapping[str, list[int]], functions: Mapping[str, Any]) -> int:
    nodes = list(nodes)
    shapes = {**arguments, **{node.name: _dimensions(node.attr["_output_shapes"]) for node in nodes}}
    total = 0
    for node in nodes:
        if node.op in _CALLS:
            called = functions[node.attr["f"].func.name]
            names = [item.name for item in called.signature.input_arg]
            given = [_dimensions(called.arg_attr[at].attr["_output_shapes"]) for at in range(len(names))]
            total += _count(called.node_def, dict(zip(names, given, strict=True)), functions)
        else:
            total += _products(node, [shapes.get(name.lstrip("^").split(":")[0], []) for name in node.input], shapes[node.name])
    return total


def _dimensions(attribute: Any) -> list[int]:
    """Return the shape of a node's first output."""
    return [dimension.size for dimension in attribute.list.shape[0].dim] if attribute.list.shape else []


def _products(node: Any, inputs: list[list[int]], output: list[int]) -> int:
    """Return the multiply-accumulate operations of one node."""
    if node.op in ("Conv2D", "Conv3D"):
        return math.prod(output) * math.prod(inputs[1][:-1])
    if node.op == "DepthwiseConv2dNative":
        return math.prod(output) * math.prod(inputs[1][:2])
    if node.op == "Conv2DBackpropInput":  # a transposed convolution: kernel, then what it reads
        return math.prod(inputs[2]) * math.prod(inputs[1][:-1])
    if node.op in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        transposed = node.attr["transpose_a"].b or node.attr["adj_x"].b
        return math.prod(output) * inputs[0][-2 if transposed else -1]
    if node.op == "Einsum":
        terms = node.attr["equation"].s.decode().split("->")[0].split(",")
        sizes = {
            letter: size for term, shape in zip(terms, inputs, strict=True) for letter, size in zip(term, shape, strict=True)
        }
        return math.prod(sizes.values())
    return 0
