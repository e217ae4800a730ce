"""Text encoders: KerasHub's backbones as chains of blocks, and the weights of BERT in one of them."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.sources.cutting import segments_by_name, segments_by_structure
from tlkeras.sources.graph import replay, trace
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

MASK = "padding_mask"
_HUB_LAYERS = r"((?:transformer_layer|f_net_layer|disentangled_attention_encoder_layer|group_\d+_inner_layer)_\d+)$"


def cut_encoder(encoder: "keras.Model", *, pad_id: int, padded_to: int | None = None) -> tuple[Block, ...]:
    """Cut a text encoder into blocks that hand hidden states and mask on.

    Args:
        encoder: A functional network to hidden states, shape `(batch, length, channels)`; its inputs are `token_ids` and, as
            in KerasHub, `padding_mask` and `segment_ids`, all of shape `(batch, length)`.
        pad_id: The token id that means padding.
        padded_to: Pad every text to this length inside, for encoders whose numbers depend on the padding (FNet).

    Returns:
        The blocks: the first takes int32 `token_ids` and derives the boolean mask and, where needed, segment ids of zeros; the
        others take `[hidden, mask]`; all give `[hidden, mask]`. Where layers share another tensor (the relative positions of
        DeBERTa), it is handed on as well. The transformer layers of KerasHub's backbones become `layer_1`, `layer_2` …, what
        precedes them `embeddings`; other networks are cut as their structure suggests.
    """
    import keras

    graph = trace(encoder, replace=_savable)
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    segments = segments_by_name(graph, _HUB_LAYERS, first="embeddings", carried=(MASK,))
    if len(segments) == 1:
        segments = segments_by_structure(graph)
    blocks: list[Block] = []
    before: tuple[keras.KerasTensor, ...] = ()
    handed_on: list[keras.KerasTensor] = []
    for segment in segments:
        steps = graph.steps[segment.start : segment.stop]
        name = f"layer_{len(blocks)}" if re.match(_HUB_LAYERS, segment.name) else segment.name
        if not blocks:
            x: Any = keras.Input((None,), dtype="int32", name="token_ids")
            ids = x if padded_to is None else _padded(x, padded_to, pad_id)
            mask = keras.ops.not_equal(ids, pad_id)
            known = {"token_ids": ids, MASK: mask, "segment_ids": keras.ops.zeros_like(ids)}
            tensors = {id(tensor): known[key] for key, tensor in inputs.items()}
        else:
            names = ("hidden", *(f"shared_{number}" for number in range(1, len(before))))
            state = [keras.Input(batch_shape=t.shape, dtype=t.dtype, name=n) for t, n in zip(handed_on, names, strict=True)]
            mask = keras.Input(mask.shape[1:], dtype="bool", name="mask")
            x = [state[0], mask, *state[1:]]
            tensors = dict(zip(map(id, before), state, strict=True)) | ({id(inputs[MASK]): mask} if MASK in inputs else {})
        found = replay(steps, tensors)
        before = segment.tensors
        handed_on = [found[id(tensor)] for tensor in before]
        blocks.append(Block(name, keras.Model(x, [handed_on[0], mask, *handed_on[1:]], name=name)))
    return tuple(blocks)


def _padded(ids: Any, length: int, pad_id: int) -> Any:
    """Pad token ids `(batch, any length)` with `pad_id`, or cut them, to a fixed length."""
    import keras

    filling = keras.ops.repeat(keras.ops.zeros_like(ids[:, :1]) + pad_id, length, axis=1)
    return keras.layers.Reshape((length,), name="padded")(keras.ops.concatenate([ids, filling], axis=1)[:, :length])


def _savable(layer: Any) -> Any:
    """Return what can be saved and loaded again in place of a layer of KerasHub that cannot: DeBERTa's relative positions."""
    import keras
    import keras_hub

    if type(layer).__name__ != "RelativeEmbedding":
        return layer
    values = layer.get_weights()[0]
    x = keras.Input((None, values.shape[1]), name="tokens")
    positions = keras_hub.layers.PositionEmbedding(len(values), name="relative_positions")
    y = positions(keras.layers.Reshape(values.shape, name="like_positions")(keras.ops.tile(x[:, :1], (1, len(values), 1))))
    positions.set_weights([values])
    return keras.Model(x, layer.layer_norm(y), name=layer.name)


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


def build_minilm(layers: int) -> "keras.Model":
    """Return MiniLM's encoder with random weights: BERT with 384 channels (Wang et al. 2020).

    KerasHub's BERT uses the approximate GELU, MiniLM was trained with the exact one: sentence embeddings agree to a cosine of
    0.99999.
    """
    import keras_hub

    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=30_522,
        num_layers=layers,
        num_heads=12,
        hidden_dim=384,
        intermediate_dim=1_536,
        dropout=0.1,
        max_sequence_length=512,
        num_segments=2,
    )
    return hidden_states(backbone)


def set_bert_weights(encoder: "keras.Model", arrays: Mapping[str, np.ndarray], *, prefix: str = "") -> None:
    """Copy a `BertModel` into KerasHub's encoder.

    The arrays are mapped here because KerasHub before 0.32 cannot read the file of a bare `BertModel`.

    Args:
        encoder: A BERT of the same sizes.
        arrays: The weights by PyTorch's names; a dense layer's may be called `.kernel` and be `(in, out)` already.
        prefix: What the names begin with.
    """
    for variable in encoder.weights:
        name = f"{prefix}{_hugging_face_name(variable.path)}"
        if variable.path.endswith("/kernel"):
            # PyTorch keeps (out, in), Keras (in, out), with the heads of an attention as an axis of their own.
            transposed = f"{name.removesuffix('.weight')}.kernel"
            array = arrays[transposed] if transposed in arrays else arrays[name].T
        else:
            array = arrays[name]
        variable.assign(array.reshape(variable.shape))


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
