"""SavedModels for servers: picture files, pixels or strings in, outputs and labels out; plain TensorFlow loads them."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import TlkerasError
from tlkeras.export import metadata
from tlkeras.export.answers import NONE_OF_THESE, SIMILARITY, THRESHOLD, threshold_list
from tlkeras.export.decode_graph import FORMATS, decode_batch
from tlkeras.export.material import Material
from tlkeras.export.outputs import answering
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
    dict with the task's output, `probabilities`, float32 `(batch, classes)`, or `value`, float32 `(batch, 1)`, and, where the
    model can answer "none of these", `similarity`; see `answering`.
    """
    answer = answering(model)

    def from_raw(inputs: "tf.Tensor") -> "dict[str, tf.Tensor]":
        return answer(_as_read(inputs, model))

    save_signatures(model.network, folder, {"serving_default": (from_raw, _from_raw(model)[1])})


def write_saved_model(material: Material, path: Path) -> dict:
    """Write a SavedModel and return its contract.

    For pictures `serving_default` takes the content of JPEG and PNG files, `image_bytes`, string `(batch,)`, and the signature
    `pixels` takes `image`, uint8. For texts `serving_default` takes strings, `text`, and the signature `token_ids` takes ids;
    where the tokenizer cannot run in TensorFlow (no tensorflow-text on Windows, another kind than WordPiece), `serving_default`
    takes ids. All give the task's output and, in words, `label` and `score` (several labels: `labels`, empty where one does not
    apply). Where the model can answer "none of these", they give `similarity` as well, and `label` says it.

    Args:
        material: The model.
        path: The folder.
    """
    model = material.model
    tokenize = _find_tokenizer(model) if model.modality == "text" else None
    raw = _from_raw(model)
    terms = metadata.contract(model, strings=tokenize is not None)
    if model.modality == "image":
        signatures = {"serving_default": _from_files(model), PIXELS: raw}
        terms["input"]["signature"] = PIXELS
        terms["encoded"] = {"signature": "serving_default", "name": ENCODED, "dtype": "string", "formats": list(FORMATS)}
    elif tokenize is not None:
        signatures = {"serving_default": _from_strings(model, tokenize), "token_ids": raw}
    else:
        signatures = {"serving_default": raw}
    save_signatures(model.network, path, signatures)
    metadata.seal_saved_model(path, terms, metadata.associated_files(model))
    return terms


def _from_raw(model: "TransferModel") -> "Signature":
    import tensorflow as tf

    size, text, words = model.source.input_size, model.modality == "text", _in_words(model)

    def answer(raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return words(_as_read(raw, model))

    if text:
        return answer, [tf.TensorSpec((None, None), tf.int32, name="token_ids")]
    return answer, [tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")]


def _as_read(raw: "tf.Tensor", model: "TransferModel") -> "tf.Tensor":
    """Return an artefact's input as the network's."""
    import tensorflow as tf

    return raw if model.modality == "text" else tf.cast(raw, tf.float32)


def _from_files(model: "TransferModel") -> "Signature":
    import tensorflow as tf

    words = _in_words(model)

    def answer(data: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = decode_batch(data, model.source.input_size, model.source.resize)
        return words(tf.cast(pixels, tf.float32))

    return answer, [tf.TensorSpec((None,), tf.string, name=ENCODED)]


def _from_strings(model: "TransferModel", tokenize: "Tokenize") -> "Signature":
    import tensorflow as tf

    words = _in_words(model)

    def answer(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return words(tokenize(text))

    return answer, [tf.TensorSpec((None,), tf.string, name="text")]


def _in_words(model: "TransferModel") -> "Callable[[tf.Tensor], dict[str, tf.Tensor]]":
    """Return a function of the network's input to its outputs and, where there are labels, what they say."""
    import tensorflow as tf

    answer, name = answering(model), TASKS[model.task].output
    thresholds = threshold_list(model.task, model.classes, model.thresholds)
    if model.task == "regression":
        return answer

    def in_words(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        found = answer(inputs)
        labels = tf.constant([label.encode(errors="replace") for label in model.classes])
        strange = found[SIMILARITY][:, 0] < model.familiar.smallest if model.familiar else tf.zeros(1, tf.bool)
        if model.task == "multi_label":
            return {**found, "labels": tf.where((found[name] >= (thresholds or THRESHOLD)) & ~strange[:, None], labels, b"")}
        place = tf.cast(found[name][:, 1] >= thresholds[1], tf.int64) if thresholds else tf.argmax(found[name], axis=-1)
        best = tf.gather(labels, place)
        return {
            **found,
            "label": tf.where(strange, NONE_OF_THESE.encode(), best),
            "score": tf.gather(found[name], place, batch_dims=1),
        }

    return in_words


def _find_tokenizer(model: "TransferModel") -> "Tokenize | None":
    from tlkeras.sources.text import in_graph_tokenizer

    try:
        return in_graph_tokenizer(model.source)
    except (ValueError, TlkerasError) as error:
        _log.warning("The SavedModel takes token ids instead of strings. %s", error)
        return None
