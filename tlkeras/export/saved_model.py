"""SavedModels for servers: raw inputs in (uint8 pictures, strings), probabilities out, plain TensorFlow loads them."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import TlkerasError
from tlkeras.export import metadata
from tlkeras.export.material import Material
from tlkeras.features.litert import save_signatures
from tlkeras.tasks.table import TASKS

if TYPE_CHECKING:
    import tensorflow as tf

    from tlkeras.tasks.model import TransferModel

    Signature = tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]
    Tokenize = Callable[[tf.Tensor], tf.Tensor]

_log = logging.getLogger("tlkeras")


def save_graph(model: "TransferModel", folder: Path) -> None:
    """Write the SavedModel that every target starts from.

    Its `serving_default` takes `image`, uint8 `(batch, size, size, 3)`, or `token_ids`, int32 `(batch, length)`, and gives a
    dict with the task's output: `probabilities`, float32 `(batch, classes)`, or `value`, float32 `(batch, 1)`.
    """
    save_signatures(model.network, folder, {"serving_default": _from_raw(model)})


def _from_raw(model: "TransferModel") -> "Signature":
    import tensorflow as tf

    network, size, name = model.network, model.source.input_size, TASKS[model.task].output
    text = model.modality == "text"

    def answer(raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: network(raw if text else tf.cast(raw, tf.float32), training=False)}

    if text:
        return answer, [tf.TensorSpec((None, None), tf.int32, name="token_ids")]
    return answer, [tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")]


def write_saved_model(material: Material, path: Path) -> dict:
    """Write a SavedModel and return its contract.

    For texts `serving_default` takes strings, `text` of shape `(batch,)`, and a second signature `token_ids` takes ids. Where
    the tokenizer cannot run in TensorFlow (no tensorflow-text on Windows, another kind than WordPiece), there are ids only.

    Args:
        material: The model and its SavedModel.
        path: The folder.
    """
    model = material.model
    tokenize = _find_tokenizer(model) if model.modality == "text" else None
    if tokenize is None:
        shutil.copytree(material.graph, path)
    else:
        signatures = {"serving_default": _from_strings(model, tokenize), "token_ids": _from_raw(model)}
        save_signatures(model.network, path, signatures)
    terms = metadata.contract(model, strings=tokenize is not None)
    metadata.seal_saved_model(path, terms, metadata.associated_files(model))
    return terms


def _find_tokenizer(model: "TransferModel") -> "Tokenize | None":
    from tlkeras.sources.text import in_graph_tokenizer

    try:
        return in_graph_tokenizer(model.source)
    except (ValueError, TlkerasError) as error:
        _log.warning("The SavedModel takes token ids instead of strings. %s", error)
        return None


def _from_strings(model: "TransferModel", tokenize: "Tokenize") -> "Signature":
    import tensorflow as tf

    network, name = model.network, TASKS[model.task].output

    def answer(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: network(tokenize(text), training=False)}

    return answer, [tf.TensorSpec((None,), tf.string, name="text")]
