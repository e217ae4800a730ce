"""ONNX files, run by ONNX Runtime on servers and desktops; contract and tokenizer inside as the model's metadata.

The metadata are appended to the model: in protobuf, two messages one after the other are one, so the model before them keeps
its bytes and its sha256.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.export import metadata
from tlkeras.export.artifact import ArtifactError
from tlkeras.export.material import Material
from tlkeras.export.metadata import CONTRACT, Embedded
from tlkeras.export.outputs import answering
from tlkeras.features.litert import quiet

if TYPE_CHECKING:
    import onnxruntime

OPSET = 17
"""ONNX Runtime reads it since 1.12 (2022)."""
_LARGEST = 2_000_000_000
"""Bytes of one protobuf message."""
_HINT = "pip install 'tlkeras[onnx]'"


def write_onnx(material: Material, path: Path) -> dict:
    """Write an ONNX file and return its contract.

    Pictures enter as `image`, uint8 `(batch, size, size, 3)`, texts as `token_ids`, int32 `(batch, length)`; batch and length
    are free.

    Args:
        material: The model.
        path: The file.

    Raises:
        TlkerasError: tf2onnx is not installed, or has no ONNX form of an operation; the message names them.
    """
    model, content = material.model, _convert(material)
    if len(content) > _LARGEST:
        raise TlkerasError(f"An ONNX file holds at most 2 GB, and this model has {len(content) / 1e9:.1f} GB.")
    terms = metadata.contract(model)
    details = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_bytes(content + _as_metadata({**terms, "model": details}, metadata.associated_files(model)))
    return terms


def _convert(material: Material) -> bytes:
    import tensorflow as tf

    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise TlkerasError(f"ONNX needs tf2onnx and onnx ({error}). Install them: {_HINT}") from None
    model, text = material.model, material.model.modality == "text"
    size, network = model.source.input_size, answering(model)
    spec = (
        tf.TensorSpec((None, None), tf.int32, name="token_ids")
        if text
        else tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")
    )

    @tf.function(input_signature=[spec], autograph=False)
    def answer(raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(raw if text else tf.cast(raw, tf.float32))

    # From a function, because from a SavedModel some constants of EfficientNets become inputs, and nothing runs.
    with quiet():
        proto, _ = tf2onnx.convert.from_function(answer, input_signature=[spec], opset=OPSET)
    lacking = {node.op_type for node in proto.graph.node if not onnx.defs.has(node.op_type, node.domain)}
    if lacking:
        raise TlkerasError(f"ONNX has no form of {', '.join(sorted(lacking))}, so this network cannot be exported to it.")
    _name_free_dimensions(proto, ["batch", "length"] if text else ["batch"])
    return proto.SerializeToString()


def _name_free_dimensions(proto: Any, names: list[str]) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if not dimension.dim_value:
                dimension.dim_param = name


def _as_metadata(terms: dict[str, Any], files: dict[str, bytes]) -> bytes:
    import onnx

    entries = {CONTRACT: metadata.to_json(terms), **files}
    properties = [onnx.StringStringEntryProto(key=name, value=data.decode()) for name, data in entries.items()]
    return onnx.ModelProto(metadata_props=properties).SerializeToString()


def load_onnx(path: Path, *, threads: int | None = None) -> "tuple[Embedded, onnxruntime.InferenceSession]":
    """Check an ONNX file and load it.

    Args:
        path: The file.
        threads: Threads that compute; all cores if not given.

    Raises:
        ArtifactError: It is damaged or foreign.
        TlkerasError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise TlkerasError(f"{path} needs ONNX Runtime ({error}). Install it: {_HINT}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common public type
        raise ArtifactError(f"{path} cannot be loaded by ONNX Runtime ({str(error).splitlines()[0][:300]}).") from None
    properties = {name: value.encode() for name, value in session.get_modelmeta().custom_metadata_map.items()}
    embedded = metadata.read_embedded(path, properties)
    details = embedded.contract.get("model", {})
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read(int(details.get("size_bytes", 0)))).hexdigest()
    if digest != details.get("sha256"):
        raise metadata.changed(path, "the model")
    return embedded, session


def run_onnx(session: "onnxruntime.InferenceSession", terms: dict[str, Any], batch: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs for one batch, see `tlkeras.export.runtimes.Run`."""
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {terms["input"]["name"]: batch}), strict=True))
