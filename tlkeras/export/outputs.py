"""What an exported network gives: the task's output and, to answer "none of these", how familiar an input is."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.export.answers import SIMILARITY
from tlkeras.tasks.table import TASKS

if TYPE_CHECKING:
    import tensorflow as tf

    from tlkeras.tasks.model import TransferModel

_TINY = 1e-24
"""Least square of a length, so that features that are all zero are like nothing."""


def answering(model: "TransferModel", *, narrow: bool = False) -> "Callable[[tf.Tensor], dict[str, tf.Tensor]]":
    """Return a function of a batch of the network's input to its outputs by name, made of operations that every runtime has.

    They are the task's output and, where the model has what to compare with, `similarity`, float32, shape `(batch, 1)`: the
    answer is "none of these" where it is below `Familiar.smallest`.

    Args:
        model: The model.
        narrow: For runtimes that compute in float16, in which a sum of squares would overflow.
    """
    name, familiar = TASKS[model.task].output, model.familiar
    if familiar is None:
        return lambda inputs: {name: model.network(inputs, training=False)}
    from tlkeras.evaluation.responses import response_network

    network, bank = response_network(model), familiar.bank.astype(np.float32).T

    def answer(inputs: "tf.Tensor") -> "dict[str, tf.Tensor]":
        features, _, outputs = network(inputs, training=False)
        return {name: outputs, SIMILARITY: _similarity(features, bank, narrow)}

    return answer


def with_first(content: bytes, output: str) -> bytes:
    """Return a LiteRT model with one of its outputs in the first place, where many apps look for it, and MediaPipe too.

    Args:
        content: The model.
        output: The output's name in the signature.
    """
    from ai_edge_litert import schema_py_generated as schema

    changed = bytearray(content)
    model = schema.Model.GetRootAsModel(changed, 0)
    signature = model.SignatureDefs(0)
    maps = [signature.Outputs(place) for place in range(signature.OutputsLength())]
    (first,) = (one.TensorIndex() for one in maps if one.Name() == output.encode())
    outputs = model.Subgraphs(0).OutputsAsNumpy()  # a view: writing to it writes into the model
    outputs[:] = [first, *outputs[outputs != first]]
    return bytes(changed)


def _similarity(features: "tf.Tensor", bank: np.ndarray, narrow: bool) -> "tf.Tensor":
    import tensorflow as tf

    if narrow:
        features = features / tf.maximum(tf.reduce_max(tf.abs(features), axis=-1, keepdims=True), 1e-3)
    unit = tf.math.l2_normalize(features, axis=-1, epsilon=1e-6 if narrow else _TINY)
    return tf.reduce_max(tf.matmul(unit, tf.constant(bank)), axis=-1, keepdims=True)
