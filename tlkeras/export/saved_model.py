"""SavedModels for servers: raw inputs in (uint8 pictures, strings), probabilities out, plain TensorFlow loads them."""

import logging
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.export import metadata
from tlkeras.features.litert import quiet

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel

_log = logging.getLogger("tlkeras")


def save_graph(model: "TransferModel", folder: Path) -> None:
    """Write the SavedModel that every target starts from.

    Its `serving_default` takes `image`, uint8 `(batch, size, size, 3)`, or `token_ids`, int32 `(batch, length)`, and gives a
    dict with `probabilities`, float32 `(batch, classes)`.
    """
    import keras

    if model.modality == "text":
        raw = keras.Input((None,), dtype="int32", name="token_ids")
        probabilities = model.network(raw)
    else:
        size = model.source.input_size
        raw = keras.Input((size, size, 3), dtype="uint8", name="image")
        probabilities = model.network(keras.ops.cast(raw, "float32"))
    network = keras.Model({raw.name: raw}, {"probabilities": probabilities}, name=model.network.name)
    with quiet():
        network.export(str(folder), format="tf_saved_model", verbose=False)


def write_saved_model(model: "TransferModel", graph: Path, path: Path) -> dict:
    """Write a SavedModel and return its contract.

    For texts `serving_default` takes strings, `text` of shape `(batch,)`, and a second signature `token_ids` takes ids. Where
    tensorflow-text is missing (Windows), there are token ids only.

    Args:
        model: The model.
        graph: The SavedModel that `save_graph` wrote.
        path: The folder.
    """
    strings = model.modality == "text" and find_spec("tensorflow_text") is not None
    if strings:
        _save_with_tokenizer(model, path)
    else:
        shutil.copytree(graph, path)
    if model.modality == "text" and not strings:
        _log.info("tensorflow-text is not installed: the SavedModel takes token ids instead of strings.")
    terms = metadata.contract(model, strings=strings)
    metadata.seal_saved_model(path, terms, metadata.associated_files(model))
    return terms


def _save_with_tokenizer(model: "TransferModel", path: Path) -> None:
    import keras
    import tensorflow as tf

    from tlkeras.sources.text import in_graph_tokenizer

    tokenize = in_graph_tokenizer(model.source)
    network = model.network

    def from_strings(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": network(tokenize(text), training=False)}

    def from_token_ids(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": network(token_ids, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(network)
    if isinstance(tokenize, tf.Module):
        archive.track(tokenize)
    archive.add_endpoint("serving_default", from_strings, [tf.TensorSpec((None,), tf.string, name="text")])
    archive.add_endpoint("token_ids", from_token_ids, [tf.TensorSpec((None, None), tf.int32, name="token_ids")])
    with quiet():
        archive.write_out(str(path), verbose=False)
