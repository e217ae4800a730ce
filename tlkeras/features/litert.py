"""LiteRT (TensorFlow Lite): the modules that convert networks to it and run them are this one and `litert_quick`.

Running needs `ai_edge_litert` alone, neither TensorFlow nor Keras.
"""

import contextlib
import io
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from tlkeras.errors import TlkerasError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Quantize = Literal["none", "float16", "dynamic", "int8"]
Inputs = Callable[[], "Iterator[dict[str, np.ndarray]]"]
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
        quantize: See `convert_saved_model`; `"int8"` is not offered here.

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


def convert_saved_model(
    folder: str | Path, *, quantize: Quantize = "none", calibration: Inputs | None = None, uint8: bool = False
) -> bytes:
    """Convert the `serving_default` signature of a SavedModel; see `convert`.

    From a SavedModel, because `TFLiteConverter.from_concrete_functions` was seen to give a file that answers NaN, and no error
    (for what is checked at once there is `tlkeras.features.litert_quick`).

    Args:
        folder: The SavedModel.
        quantize: `"none"`; `"float16"` for weights in 16 bits; `"dynamic"` for weights in 8 bits, most of the arithmetic in 32;
            `"int8"` for weights and arithmetic in 8 bits.
        calibration: For `"int8"`: gives inputs by name that the ranges of activations are measured on.
        uint8: For `"int8"`: the output is uint8 instead of float32; the input is what it is in the SavedModel.
    """
    import tensorflow as tf

    if quantize not in get_args(Quantize):
        raise ValueError(f"Unknown quantization. Received: {quantize!r}. Allowed: {', '.join(get_args(Quantize))}")
    if (quantize == "int8") != (calibration is not None):
        raise ValueError(f"'int8', and nothing else, needs calibration inputs. Received: {quantize!r} and {calibration}")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[_SIGNATURE])
    # Without this a network that needs TensorFlow's own kernels converts silently and fails on the phone.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = calibration
        if uint8:
            converter.inference_input_type = converter.inference_output_type = tf.uint8
    return run_converter(converter)


def run_converter(converter: Any) -> bytes:
    """Run a `tf.lite.TFLiteConverter`, and say in plain words what it refuses.

    Raises:
        TlkerasError: LiteRT has no operation for something; the message names it.
    """
    try:
        with quiet(), warnings.catch_warnings():
            # TensorFlow calibrates with its own interpreter, of which it says that it is going.
            warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter is deprecated")
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
        scales: For each output that is an integer, the scale and the zero point that make it a number again.
    """

    inputs: Mapping[str, tuple[np.dtype, tuple[int | None, ...]]]
    outputs: tuple[str, ...]
    interpreter: Any
    scales: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def __call__(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs, by name, for one batch of any size; integers that stand for numbers come as float32.

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
        return {name: self._number(name, np.asarray(value)) for name, value in runner(**arrays).items()}

    def _number(self, name: str, value: np.ndarray) -> np.ndarray:
        if name not in self.scales:
            return value
        scale, zero = self.scales[name]
        return (value.astype(np.float32) - zero) * np.float32(scale)


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
            runner = interpreter.get_signature_runner(_SIGNATURE)
    except (ValueError, RuntimeError, KeyError) as error:
        raise TlkerasError(
            f"{where} cannot be loaded by LiteRT ({error}): it is damaged, or was not exported by Keras"
        ) from None
    inputs = {
        name: (np.dtype(detail["dtype"]), tuple(None if size < 0 else int(size) for size in detail["shape_signature"]))
        for name, detail in runner.get_input_details().items()
    }
    scales = {name: detail["quantization"] for name, detail in runner.get_output_details().items() if detail["quantization"][0]}
    return LiteRTModel(inputs=inputs, outputs=tuple(signature["outputs"]), interpreter=interpreter, scales=scales)


class _Muted(io.TextIOBase):
    """Swallows what is written while it is muted, and passes it on afterwards.

    A logging handler that is made meanwhile keeps the stream that it found: that must not be a closed file later.
    """

    def __init__(self, name: str, original: Any) -> None:
        self.name, self.original, self.muted = name, original, True

    def write(self, text: str) -> int:
        """Write to the stream of now, or nowhere."""
        if not self.muted:
            stream = getattr(sys, self.name)
            (self.original if stream is self else stream).write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream of now."""
        if not self.muted and getattr(sys, self.name) is not self:
            getattr(sys, self.name).flush()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow what is printed to stdout and stderr, by Python and by C++: the converter prints hundreds of lines."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as sink, contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            muted = _Muted(name, getattr(sys, name))
            stack.enter_context(getattr(contextlib, f"redirect_{name}")(muted))
            stack.callback(setattr, muted, "muted", False)
        # Notebooks give TensorFlow's logger a stream of its own.
        logger = logging.getLogger("tensorflow")
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):  # a process without stdout or stderr
                kept = os.dup(descriptor)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, descriptor)
                os.dup2(sink.fileno(), descriptor)
        yield
