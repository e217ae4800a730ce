"""Text models in the form that MediaPipe's TextClassifier opens: the three inputs of BERT, of one fixed length."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import TlkerasError
from tlkeras.export import metadata
from tlkeras.export.material import Material
from tlkeras.export.outputs import answering, with_first
from tlkeras.export.tflite_metadata import BERT_INPUTS, add_text_metadata
from tlkeras.features.litert import Quantize, convert_saved_model, save_signatures
from tlkeras.tasks.table import TASKS

if TYPE_CHECKING:
    import tensorflow as tf

    from tlkeras.tasks.model import TransferModel


def write_mediapipe(material: Material, path: Path, *, quantize: Quantize = "none") -> dict:
    """Write a `.tflite` and return its contract.

    The inputs are `ids`, `mask` and `segment_ids`, int32 `(1, sequence_length)`; what the mask leaves out is padding, and all
    segments are the same to the model. MediaPipe tokenizes by the `vocab.txt` inside.

    Args:
        material: The model.
        path: The file.
        quantize: `"none"` or `"dynamic"`.

    Raises:
        TlkerasError: MediaPipe has no such tokenizer, or no classifier for the task.
    """
    model = material.model
    _check(model)
    content = convert_mediapipe(model, quantize=quantize)
    content = add_text_metadata(content, name=model.network.name, licence=model.source.facts.get("licence"))
    terms = metadata.contract(model, tensors=BERT_INPUTS)
    if quantize != "none":
        terms["quantization"] = quantize
    path.write_bytes(metadata.seal_tflite(content, terms, metadata.associated_files(model)))
    return terms


def convert_mediapipe(model: "TransferModel", *, quantize: Quantize = "none") -> bytes:
    """Convert a text model to a LiteRT model with MediaPipe's inputs, nothing attached."""
    with tempfile.TemporaryDirectory() as folder:
        save_signatures(model.network, folder, {"serving_default": (_answer(model), _specs(model))})
        return with_first(convert_saved_model(folder, quantize=quantize), TASKS[model.task].output)


def _check(model: "TransferModel") -> None:
    if model.modality != "text":
        raise TlkerasError("MediaPipe opens the ordinary .tflite of a picture model: leave --for mediapipe out.")
    if model.task == "regression":
        raise TlkerasError("MediaPipe's TextClassifier has classes, and this model gives a value: leave --for mediapipe out.")
    tokenizer = json.loads(model.source.tokenizer.to_str()) if model.source.tokenizer else {"model": {"type": "none"}}
    lowercase = (tokenizer.get("normalizer") or {}).get("lowercase")
    if tokenizer["model"]["type"] != "WordPiece" or not lowercase:
        raise TlkerasError(
            f"MediaPipe tokenizes by lower-case word pieces only. Received: {tokenizer['model']['type']}, lower case "
            f"{lowercase}. Take an uncased BERT, or leave --for mediapipe out."
        )


def _answer(model: "TransferModel") -> "Callable[..., dict[str, tf.Tensor]]":
    import tensorflow as tf

    pad, network = model.source.pad_id, answering(model)

    def answer(ids: tf.Tensor, mask: tf.Tensor, segment_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        # Inputs that nothing reads are taken out, and MediaPipe wants all three; segments are 0 or more, so this adds 0.
        kept = tf.where(mask > 0, ids, pad) + tf.minimum(segment_ids, 0)
        return network(kept)

    return answer


def _specs(model: "TransferModel") -> "list[tf.TensorSpec]":
    import tensorflow as tf

    return [tf.TensorSpec((1, model.source.input_size), tf.int32, name=name) for name in BERT_INPUTS]
