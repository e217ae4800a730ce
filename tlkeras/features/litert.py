"""LiteRT (TensorFlow Lite): the one module that converts networks to it and runs them.

Running needs `ai_edge_litert` alone, neither TensorFlow nor Keras.
"""

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlkeras.errors import TlkerasError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Quantize = Literal["none", "float16"]
_SIGNATURE = "serving_default"
MAGIC = b"TFL3"
"""Bytes 4 to 8 of every LiteRT file (the file identifier in tensorflow/compiler/mlir/lite/schema/schema.fbs)."""


def convert(
    network: "keras.Model", *, input_signature: "Sequence[tf.TensorSpec] | None" = None, quantize: Quantize = "none"
) -> bytes:
    """Convert a network to a LiteRT model that needs nothing but LiteRT's built-in operations.

    Args:
        network: A functional model. Its inputs' names become the model's; a dict of outputs keeps its keys, others are called
            `output_0`, `output_1` …
        input_signature: One named `tf.TensorSpec` for each input, in order; the network's own names, dtypes and shapes, with a
            free batch size, if not given.
        quantize: `"float16"` stores the weights in 16 bits; computing stays in 32.

    Raises:
        TlkerasError: The network uses operations that LiteRT does not have; the message names them.
    """
    import keras
    import tensorflow as tf

    def answer(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(keras.tree.pack_sequence_as(network.input, tensors), training=False)
        return (
            outputs if isinstance(outputs, dict) else {f"output_{i}": out for i, out in enumerate(keras.tree.flatten(outputs))}
        )

    signature = input_signature or [tf.TensorSpec(x.shape, x.dtype, name=x.name) for x in network.inputs]
    with tempfile.TemporaryDirectory() as folder:
        save_signatures(network, folder, {_SIGNATURE: (answer, signature)})
        return convert_saved_model(folder, quantize=quantize)


def save_signatures(
    network: "keras.Model",
    folder: str | Path,
    signatures: "Mapping[str, tuple[Callable[..., dict[str, tf.Tensor]], Sequence[tf.TensorSpec]]]",
) -> None:
    """Write a SavedModel of functions that call a network.

    By TensorFlow itself: `keras.export.ExportArchive` (3.15) stores every weight twice and takes eight times as long.

    Args:
        network: The network, in inference mode in all functions.
        folder: The folder to write.
        signatures: For each signature, a function and one named `tf.TensorSpec` for each of its arguments.
    """
    import tensorflow as tf

    module = tf.Module()
    module.kept = [variable.value for variable in network.variables]
    with quiet():
        concrete = {
            name: tf.function(function, autograph=False).get_concrete_function(*specs)
            for name, (function, specs) in signatures.items()
        }
        tf.saved_model.save(module, str(folder), signatures=concrete)


def convert_saved_model(folder: str | Path, *, quantize: Quantize = "none") -> bytes:
    """Convert the `serving_default` signature of a SavedModel; see `convert`.

    From a SavedModel, because `TFLiteConverter.from_concrete_functions` was seen to give a file that answers NaN, and no error.
    """
    import tensorflow as tf

    if quantize not in ("none", "float16"):
        raise ValueError(f"Unknown quantization. Received: {quantize!r}. Allowed: 'none', 'float16'")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[_SIGNATURE])
    # Without this a network that needs TensorFlow's own kernels converts silently and fails on the phone.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        with quiet():
            return bytes(converter.convert())
    # ConverterError is not in TensorFlow's public names.
    except Exception as error:
        operations = sorted(set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", str(error))))
        if not operations:
            raise TlkerasError(f"LiteRT's converter refused the network: {str(error).splitlines()[0][:500]}") from error
        raise TlkerasError(
            f"LiteRT has no operation for {', '.join(operations)}, so this network cannot run on a phone. "
            "Replace what needs them (indexing with None: keras.ops.expand_dims; string operations: leave them outside), "
            "or export the target 'saved_model' only."
        ) from None


@dataclass(frozen=True)
class LiteRTModel:
    """A LiteRT model, ready to run; call it with one array per input, by name. Not to be shared between threads.

    Attributes:
        inputs: For each input, its dtype and shape, None for a free dimension.
        outputs: The names of the outputs.
    """

    inputs: Mapping[str, tuple[np.dtype, tuple[int | None, ...]]]
    outputs: tuple[str, ...]
    interpreter: Any

    def __call__(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs, by name, for one batch of any size.

        Raises:
            ValueError: An array has another name, dtype or shape than the model's input.
        """
        if arrays.keys() != self.inputs.keys():
            raise ValueError(f"The model's inputs are {list(self.inputs)}. Received: {list(arrays)}")
        for name, array in arrays.items():
            # LiteRT itself would resize any dimension, and answer something.
            dtype, shape = self.inputs[name]
            fits = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
            if not fits or array.dtype != dtype:
                raise ValueError(f"The input {name!r} takes {dtype}{list(shape)}. Received: {array.dtype}{list(array.shape)}")
        runner = self.interpreter.get_signature_runner(_SIGNATURE)
        return {name: np.asarray(value) for name, value in runner(**arrays).items()}


def load_litert(model: str | Path | bytes, *, threads: int | None = None) -> LiteRTModel:
    """Load a LiteRT model from a file or from memory.

    A LiteRT file is a program for a parser in C++ that does not withstand every malicious file: load only files you trust.

    Args:
        model: A `.tflite` file, or its content.
        threads: Threads that compute; all cores if not given.

    Raises:
        TlkerasError: It is not a LiteRT model, or lacks the signature that Keras exports have.
    """
    from ai_edge_litert.interpreter import Interpreter

    source: dict[str, Any]
    if isinstance(model, bytes):
        start, where, source = model[:8], "The data", {"model_content": model}
    else:
        with Path(model).open("rb") as stream:
            start = stream.read(8)
        where, source = str(model), {"model_path": str(model)}
    if start[4:] != MAGIC:
        raise TlkerasError(
            f"{where} is not a LiteRT model (.tflite): such a file has 'TFL3' at byte 4. Received: {start[4:]!r}"
        )
    try:
        with quiet():
            interpreter = Interpreter(**source, num_threads=threads or os.cpu_count())
            signature = interpreter.get_signature_list()[_SIGNATURE]
            interpreter.allocate_tensors()
            details = interpreter.get_signature_runner(_SIGNATURE).get_input_details()
    except (ValueError, RuntimeError, KeyError) as error:
        raise TlkerasError(
            f"{where} cannot be loaded by LiteRT ({error}): it is damaged, or was not exported by Keras"
        ) from None
    inputs = {
        name: (np.dtype(detail["dtype"]), tuple(None if size < 0 else int(size) for size in detail["shape_signature"]))
        for name, detail in details.items()
    }
    return LiteRTModel(inputs=inputs, outputs=tuple(signature["outputs"]), interpreter=interpreter)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow what is printed to stdout and stderr, by Python and by C++: the converter prints hundreds of lines."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as sink, contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        # Notebooks give TensorFlow's logger a stream of its own.
        logger = logging.getLogger("tensorflow")
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.WARNING)
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):  # a process without stdout or stderr
                kept = os.dup(descriptor)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, descriptor)
                os.dup2(sink.fileno(), descriptor)
        yield
