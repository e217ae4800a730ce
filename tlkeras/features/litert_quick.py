"""Convert a small network to LiteRT in a fraction of the usual time, checked by its answers to one example.

The weights are constants of the traced function, so there is no SavedModel to write, read and freeze. Such a file has no
signature, and only this module can run it; what is handed over to others is made by `tlkeras.features.litert`.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.features.litert import convert, load_litert, quiet, run_converter

if TYPE_CHECKING:
    import keras

MOST_BYTES = 64_000_000
"""With more bytes of weights, constants take longer than a SavedModel (MiniLM, 90 MB: 12 s against 8)."""

TOLERANCE = 1e-3
"""The largest difference from Keras's answers, in units of the largest of these; another network or NaN is far beyond it."""

Runner = Callable[[np.ndarray], list[np.ndarray]]


def convert_quickly(network: "keras.Model", sample: np.ndarray, answers: Sequence[np.ndarray]) -> bytes:
    """Convert a network of one input: quickly where that gives the right answers, else by way of a SavedModel.

    Args:
        network: A functional model of one input whose outputs are a list or a tensor.
        sample: One example.
        answers: What the network gives for it, an array for each output.

    Raises:
        TlkerasError: The network uses operations that LiteRT does not have; the message names them.
    """
    if not is_quick(network):
        return convert(network)
    content = _from_constants(network)
    return content if _agree(open_runner(content)(sample), answers) else convert(network)


def is_quick(network: "keras.Model") -> bool:
    """Say whether `convert_quickly` takes a second or two: inputs of a fixed size, and not too many weights."""
    size = sum(int(np.prod(weight.shape)) * 4 for weight in network.weights)
    return None not in network.inputs[0].shape[1:] and size <= MOST_BYTES


def _agree(found: Sequence[np.ndarray], answers: Sequence[np.ndarray]) -> bool:
    if [values.shape for values in found] != [values.shape for values in answers]:
        return False
    return all(
        float(np.abs(values - answer).max()) <= TOLERANCE * max(float(np.abs(answer).max()), 1e-30)  # False for NaN
        for values, answer in zip(found, answers, strict=True)
    )


def _from_constants(network: "keras.Model") -> bytes:
    import keras
    import tensorflow as tf

    trainable, fixed = (
        [variable.value.numpy() for variable in variables]
        for variables in (network.trainable_variables, network.non_trainable_variables)
    )

    def answer(x: tf.Tensor) -> list[tf.Tensor]:
        outputs, _ = network.stateless_call(
            [tf.constant(value) for value in trainable], [tf.constant(value) for value in fixed], x, training=False
        )
        return list(keras.tree.flatten(outputs))

    (image,) = network.inputs
    with quiet():
        function = tf.function(answer, autograph=False).get_concrete_function(tf.TensorSpec(image.shape, image.dtype, name="x"))
    converter = _without_advice(lambda: tf.lite.TFLiteConverter.from_concrete_functions([function], None))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return run_converter(converter)


def _without_advice(make: Callable[[], Any]) -> Any:
    # TensorFlow recommends to pass an object, and then goes by way of a SavedModel.
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return make()
    finally:
        logger.setLevel(level)


def open_runner(content: bytes) -> Runner:
    """Load a file of `convert_quickly`: one thread, from one batch to a list of outputs. Not to be shared between threads."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_content=content, num_threads=1)
        if not interpreter.get_signature_list():
            interpreter.allocate_tensors()
    if interpreter.get_signature_list():
        model = load_litert(content, threads=1)
        ((name, (dtype, _)),) = model.inputs.items()

        def by_name(batch: np.ndarray) -> list[np.ndarray]:
            outputs = model(**{name: batch.astype(dtype)})
            return [outputs[f"output_{place}"] for place in range(len(outputs))]

        return by_name
    (given,) = interpreter.get_input_details()
    indices = [output["index"] for output in interpreter.get_output_details()]
    size = tuple(given["shape"])

    def by_place(batch: np.ndarray) -> list[np.ndarray]:
        nonlocal size
        if batch.shape != size:
            size = batch.shape
            interpreter.resize_tensor_input(given["index"], size)
            interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], batch.astype(given["dtype"]))
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in indices]

    return by_place
