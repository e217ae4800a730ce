"""SavedModels for servers: raw inputs in (uint8 pictures, strings), probabilities out, plain TensorFlow loads them."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import TlkerasError
from tlkeras.export import metadata
from tlkeras.features.litert import quiet

if TYPE_CHECKING:
    import tensorflow as tf

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
    the tokenizer cannot run in TensorFlow (no tensorflow-text on Windows, another kind than WordPiece), there are ids only.

    Args:
        model: The model.
        graph: The SavedModel that `save_graph` wrote.
        path: The folder.
    """
    tokenize = _find_tokenizer(model) if model.modality == "text" else None
    if tokenize is None:
        shutil.copytree(graph, path)
    else:
        _save_with_tokenizer(model, tokenize, path)
    terms = metadata.contract(model, strings=tokenize is not None)
    metadata.seal_saved_model(path, terms, metadata.associated_files(model))
    return terms


def _find_tokenizer(model: "TransferModel") -> "Callable[[tf.Tensor], tf.Tensor] | None":
    from tlkeras.sources.text import in_graph_tokenizer

    try:
        return in_graph_tokenizer(model.source)
    except (ValueError, TlkerasError) as error:
        _log.warning("The SavedModel takes token ids instead of strings. %s", error)
        return None


def _save_with_tokenizer(model: "TransferModel", tokenize: "Callable[[tf.Tensor], tf.Tensor]", path: Path) -> None:
    import keras
    import tensorflow as tf

    network = model.network

    def from_strings(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": network(tokenize(text), training=False)}

    def from_token_ids(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": network(token_ids, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serving_default", from_strings, [tf.TensorSpec((None,), tf.string, name="text")])
    archive.add_endpoint("token_ids", from_token_ids, [tf.TensorSpec((None, None), tf.int32, name="token_ids")])
    with quiet():
        archive.write_out(str(path), verbose=False)
