"""SavedModels for servers: picture files, pixels or strings in, outputs and labels out; plain TensorFlow loads them."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import TlkerasError
from tlkeras.export import metadata
from tlkeras.export.answers import THRESHOLD
from tlkeras.export.decode_graph import FORMATS, decode_batch
from tlkeras.export.features import FEATURES
from tlkeras.export.material import Material
from tlkeras.features.litert import save_signatures
from tlkeras.tasks.table import TASKS

if TYPE_CHECKING:
    import tensorflow as tf

    from tlkeras.tasks.model import TransferModel

    Signature = tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]
    Tokenize = Callable[[tf.Tensor], tf.Tensor]

PIXELS, ENCODED = "pixels", "image_bytes"
_log = logging.getLogger("tlkeras")


def save_graph(model: "TransferModel", folder: Path) -> None:
    """Write the SavedModel that LiteRT files are converted from.

    Its `serving_default` takes `image`, uint8 `(batch, size, size, 3)`, or `token_ids`, int32 `(batch, length)`, and gives a
    dict with the task's output: `probabilities`, float32 `(batch, classes)`, or `value`, float32 `(batch, 1)`.
    """
    raw, specs = _from_raw(model)
    name = TASKS[model.task].output
    save_signatures(model.network, folder, {"serving_default": (lambda inputs: {name: raw(inputs)[name]}, specs)})


def write_saved_model(material: Material, path: Path) -> dict:
    """Write a SavedModel and return its contract.

    For pictures `serving_default` takes the content of JPEG and PNG files, `image_bytes`, string `(batch,)`, and the signature
    `pixels` takes `image`, uint8. For texts `serving_default` takes strings, `text`, and the signature `token_ids` takes ids;
    where the tokenizer cannot run in TensorFlow (no tensorflow-text on Windows, another kind than WordPiece), `serving_default`
    takes ids. All give the task's output and, in words, `label` and `score` (several labels: `labels`, empty where one does not
    apply). Where the model can answer "none of these", the signature `features` takes pixels, strings or ids and gives the
    task's output and the features to compare.

    Args:
        material: The model.
        path: The folder.
    """
    model = material.model
    tokenize = _find_tokenizer(model) if model.modality == "text" else None
    raw = _from_raw(model)
    terms = metadata.contract(model, strings=tokenize is not None, features=True)
    if model.modality == "image":
        signatures = {"serving_default": _from_files(model), PIXELS: raw}
        terms["input"]["signature"] = PIXELS
        terms["encoded"] = {"signature": "serving_default", "name": ENCODED, "dtype": "string", "formats": list(FORMATS)}
    elif tokenize is not None:
        signatures = {"serving_default": _from_strings(model, tokenize), "token_ids": raw}
    else:
        signatures = {"serving_default": raw}
    if model.familiar is not None:
        signatures[FEATURES] = _with_features(model, tokenize)
        terms["rejection"]["signature"] = FEATURES
    save_signatures(model.network, path, signatures)
    metadata.seal_saved_model(path, terms, metadata.associated_files(model, features=True))
    return terms


def _from_raw(model: "TransferModel") -> "Signature":
    import tensorflow as tf

    size, text = model.source.input_size, model.modality == "text"

    def answer(raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return _in_words(model, model.network(raw if text else tf.cast(raw, tf.float32), training=False))

    if text:
        return answer, [tf.TensorSpec((None, None), tf.int32, name="token_ids")]
    return answer, [tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")]


def _with_features(model: "TransferModel", tokenize: "Tokenize | None") -> "Signature":
    import tensorflow as tf

    from tlkeras.evaluation.responses import response_network

    network, (_, specs) = response_network(model), _from_raw(model)
    if tokenize is not None:
        specs = [tf.TensorSpec((None,), tf.string, name="text")]

    def answer(raw: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tokenize(raw) if tokenize is not None else raw
        features, _, outputs = network(rows if model.modality == "text" else tf.cast(rows, tf.float32), training=False)
        return {TASKS[model.task].output: outputs, FEATURES: features}

    return answer, specs


def _from_files(model: "TransferModel") -> "Signature":
    import tensorflow as tf

    def answer(data: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = decode_batch(data, model.source.input_size, model.source.resize)
        return _in_words(model, model.network(tf.cast(pixels, tf.float32), training=False))

    return answer, [tf.TensorSpec((None,), tf.string, name=ENCODED)]


def _from_strings(model: "TransferModel", tokenize: "Tokenize") -> "Signature":
    import tensorflow as tf

    def answer(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return _in_words(model, model.network(tokenize(text), training=False))

    return answer, [tf.TensorSpec((None,), tf.string, name="text")]


def _in_words(model: "TransferModel", outputs: "tf.Tensor") -> "dict[str, tf.Tensor]":
    """Return the outputs and, where there are labels, what they say."""
    import tensorflow as tf

    named = {TASKS[model.task].output: outputs}
    if model.task == "regression":
        return named
    labels = tf.constant([label.encode(errors="replace") for label in model.classes])
    if model.task == "multi_label":
        return {**named, "labels": tf.where(outputs >= THRESHOLD, labels, b"")}
    return {**named, "label": tf.gather(labels, tf.argmax(outputs, axis=-1)), "score": tf.reduce_max(outputs, axis=-1)}


def _find_tokenizer(model: "TransferModel") -> "Tokenize | None":
    from tlkeras.sources.text import in_graph_tokenizer

    try:
        return in_graph_tokenizer(model.source)
    except (ValueError, TlkerasError) as error:
        _log.warning("The SavedModel takes token ids instead of strings. %s", error)
        return None
