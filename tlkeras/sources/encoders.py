"""Text encoders: KerasHub's backbones as chains of blocks, and MiniLM's weights in one of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.sources.cutting import Segment, segments_by_name, segments_by_structure
from tlkeras.sources.graph import replay, trace
from tlkeras.sources.model import Block
from tlkeras.sources.packaged import read_safetensors

if TYPE_CHECKING:
    import keras

MASK = "padding_mask"
_KERAS_HUB_LAYERS = r"(transformer_layer_\d+)$"


def cut_encoder(encoder: "keras.Model", *, pad_id: int) -> tuple[Block, ...]:
    """Cut a text encoder into blocks that hand hidden states and mask on.

    Args:
        encoder: A functional network to hidden states, shape `(batch, length, channels)`; its inputs are `token_ids` and, as
            in KerasHub, `padding_mask` and `segment_ids`, all of shape `(batch, length)`.
        pad_id: The token id that means padding.

    Returns:
        The blocks: the first takes int32 `token_ids` and derives the boolean mask and, where needed, segment ids of zeros; the
        others take `[hidden, mask]`; all give `[hidden, mask]`. The transformer layers of KerasHub's backbones become
        `layer_1`, `layer_2` …, what precedes them `embeddings`; other networks are cut as their structure suggests.
    """
    import keras

    graph = trace(encoder)
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    segments: Sequence[Segment] = segments_by_name(graph, _KERAS_HUB_LAYERS, first="embeddings", carried=(MASK,))
    if len(segments) == 1:
        segments = segments_by_structure(graph)
    blocks: list[Block] = []
    hidden: Any = None
    for segment in segments:
        steps = graph.steps[segment.start : segment.stop]
        name = f"layer_{len(blocks)}" if segment.name.startswith("transformer_layer_") else segment.name
        if hidden is None:
            x: Any = keras.Input((None,), dtype="int32", name="token_ids")
            mask = keras.ops.not_equal(x, pad_id)
            known = {"token_ids": x, MASK: mask, "segment_ids": keras.ops.zeros_like(x)}
            tensors = {id(tensor): known[key] for key, tensor in inputs.items()}
        else:
            state = keras.Input(batch_shape=hidden.shape, dtype=hidden.dtype, name="hidden")
            mask = keras.Input((None,), dtype="bool", name="mask")
            x = [state, mask]
            tensors = {id(hidden): state} | ({id(inputs[MASK]): mask} if MASK in inputs else {})
        blocks.append(Block(name, keras.Model(x, [replay(steps, tensors), mask], name=name)))
        hidden = steps[-1].outputs[0]
    return tuple(blocks)


def hidden_states(backbone: "keras.Model") -> "keras.Model":
    """Return the part of a backbone that computes its hidden states, without a pooled output."""
    import keras

    sequences = [tensor for tensor in backbone.outputs if len(tensor.shape) == 3]
    if len(sequences) != 1:
        shapes = [tuple(tensor.shape) for tensor in backbone.outputs]
        raise ValueError(
            f"A text encoder must have one output of shape (batch, length, channels). Received: outputs of shape {shapes}"
        )
    return keras.Model(backbone.inputs, sequences[0])


def build_minilm(config_file: Path, weights: Path | None) -> "keras.Model":
    """Return a BERT backbone as `config.json` describes it, with the weights of a Hugging Face `model.safetensors`.

    The arrays are mapped here because KerasHub before 0.32 cannot read the file of a bare `BertModel`. KerasHub's BERT uses
    the approximate GELU, MiniLM was trained with the exact one: sentence embeddings agree to a cosine of 0.99999.

    Args:
        config_file: The file.
        weights: The file; None leaves the weights random.
    """
    import keras_hub

    config = json.loads(config_file.read_text(encoding="utf-8"))
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        intermediate_dim=config["intermediate_size"],
        dropout=config["hidden_dropout_prob"],
        max_sequence_length=config["max_position_embeddings"],
        num_segments=config["type_vocab_size"],
    )
    encoder = hidden_states(backbone)
    if weights is not None:
        arrays = read_safetensors(weights)
        for variable in encoder.weights:
            array = arrays[_hugging_face_name(variable.path)]
            kernel = variable.path.endswith("/kernel")
            # PyTorch keeps (out, in), Keras (in, out), with the heads of an attention as an axis of their own.
            variable.assign((array.T if kernel else array).reshape(variable.shape))
    return encoder


_HUGGING_FACE = {
    "token_embedding": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "segment_embedding": "embeddings.token_type_embeddings",
    "embeddings_layer_norm": "embeddings.LayerNorm",
    "self_attention_layer/query": "attention.self.query",
    "self_attention_layer/key": "attention.self.key",
    "self_attention_layer/value": "attention.self.value",
    "self_attention_layer/attention_output": "attention.output.dense",
    "self_attention_layer_norm": "attention.output.LayerNorm",
    "feedforward_intermediate_dense": "intermediate.dense",
    "feedforward_output_dense": "output.dense",
    "feedforward_layer_norm": "output.LayerNorm",
}


def _hugging_face_name(path: str) -> str:
    """Return the array's name for a variable: `transformer_layer_0/…/kernel` is `encoder.layer.0.….weight`."""
    layer, kind = path.rsplit("/", 1)
    prefix = ""
    if layer.startswith("transformer_layer_"):
        number, layer = layer.removeprefix("transformer_layer_").split("/", 1)
        prefix = f"encoder.layer.{number}."
    return f"{prefix}{_HUGGING_FACE[layer]}.{'bias' if kind in ('bias', 'beta') else 'weight'}"
