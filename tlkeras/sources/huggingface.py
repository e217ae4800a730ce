"""Text encoders in Hugging Face's format: a folder with `config.json`, `model.safetensors` and the tokenizer's files.

BERT and its relatives are mapped here: KerasHub's converters want heads that a folder may lack, approximate the GELU, and leave
RoBERTa's token types out. GPT-2 goes through KerasHub's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.errors import WeightsError
from tlkeras.sources.encoders import hidden_states
from tlkeras.sources.tensor_files import Tensor

if TYPE_CHECKING:
    import keras

_BERT_LAYER = {
    "self_attention_layer/query": "attention.self.query",
    "self_attention_layer/key": "attention.self.key",
    "self_attention_layer/value": "attention.self.value",
    "self_attention_layer/attention_output": "attention.output.dense",
    "self_attention_layer_norm": "attention.output.LayerNorm",
    "feedforward_intermediate_dense": "intermediate.dense",
    "feedforward_output_dense": "output.dense",
    "feedforward_layer_norm": "output.LayerNorm",
}
_DISTIL_LAYER = {
    "self_attention_layer/query": "attention.q_lin",
    "self_attention_layer/key": "attention.k_lin",
    "self_attention_layer/value": "attention.v_lin",
    "self_attention_layer/attention_output": "attention.out_lin",
    "self_attention_layer_norm": "sa_layer_norm",
    "feedforward_intermediate_dense": "ffn.lin1",
    "feedforward_output_dense": "ffn.lin2",
    "feedforward_layer_norm": "output_layer_norm",
}
_ALBERT_LAYER = {
    "self_attention_layer/query": "attention.query",
    "self_attention_layer/key": "attention.key",
    "self_attention_layer/value": "attention.value",
    "self_attention_layer/attention_output": "attention.dense",
    "self_attention_layer_norm": "attention.LayerNorm",
    "feedforward_intermediate_dense": "ffn",
    "feedforward_output_dense": "ffn_output",
    "feedforward_layer_norm": "full_layer_layer_norm",
}
_OUTSIDE = {
    "token_embedding": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "segment_embedding": "embeddings.token_type_embeddings",
    "embeddings_layer_norm": "embeddings.LayerNorm",
    "embeddings_projection": "embeddings_project",
    "embedding_projection": "encoder.embedding_hidden_mapping_in",
}
# Their token embeddings have fewer channels than their layers.
_NARROW = ("AlbertBackbone", "ElectraBackbone")
_ACTIVATIONS = ("gelu", "relu")
# KerasHub's ALBERT, BERT and ELECTRA have the approximation.
_APPROXIMATIONS = ("gelu_new", "gelu_pytorch_tanh")


@dataclass(frozen=True)
class _Relative:
    """How a relative of BERT differs.

    Attributes:
        backbone: Its class in `keras_hub.models`.
        prefixes: What the names of its arrays may begin with.
        layers: What the names of its layers' arrays begin with, with places for the numbers of group and layer.
        layer: The names within a layer.
        keys: What its configuration calls layers, heads, channels, inner channels, dropout, activation.
        offset: Rows of the position table that no token has.
    """

    backbone: str
    prefixes: tuple[str, ...]
    layers: str = "encoder.layer.{layer}"
    layer: Mapping[str, str] = field(default_factory=lambda: _BERT_LAYER)
    keys: tuple[str, ...] = (
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_size",
        "intermediate_size",
        "hidden_dropout_prob",
        "hidden_act",
    )
    offset: int = 0


_RELATIVES = {
    "albert": _Relative(
        "AlbertBackbone",
        ("albert.", ""),
        layers="encoder.albert_layer_groups.{group}.albert_layers.{layer}",
        layer=_ALBERT_LAYER,
    ),
    "bert": _Relative("BertBackbone", ("bert.", "")),
    "electra": _Relative("ElectraBackbone", ("electra.", "")),
    "roberta": _Relative("RobertaBackbone", ("roberta.", ""), offset=2),
    "xlm-roberta": _Relative("XLMRobertaBackbone", ("roberta.", ""), offset=2),
    "distilbert": _Relative(
        "DistilBertBackbone",
        ("distilbert.", ""),
        layers="transformer.layer.{layer}",
        layer=_DISTIL_LAYER,
        keys=("n_layers", "n_heads", "dim", "hidden_dim", "dropout", "activation"),
    ),
}
CONVERTED = ("gpt2",)
"""Kinds of models that KerasHub converts."""
TEXT_KINDS = (*_RELATIVES, *CONVERTED)


def load_encoder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "tuple[keras.Model, int]":
    """Return the encoder of a Hugging Face folder with its weights, and the longest text in tokens.

    Args:
        folder: The folder.
        config: Its `config.json`.
        tensors: Its arrays, checked.

    Raises:
        WeightsError: The model is of another kind, or configuration and arrays do not fit each other.
    """
    kind = config.get("model_type")
    if kind not in TEXT_KINDS:
        raise WeightsError(f"{folder} holds a model of type {kind!r}. As a text source tlkeras reads: {', '.join(TEXT_KINDS)}.")
    if kind in CONVERTED:
        return _converted(folder)
    relative = _RELATIVES[kind]
    prefix = _prefix(relative, tensors, folder)
    longest = _check(relative, config, tensors, prefix, folder)
    encoder = _build(relative, config, longest)
    for variable in encoder.weights:
        _assign(variable, relative, tensors, prefix, folder)
    return encoder, longest


def _converted(folder: Path) -> "tuple[keras.Model, int]":
    import keras_hub

    try:
        backbone = keras_hub.models.Backbone.from_preset(str(folder))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"KerasHub cannot convert the model in {folder}: {reason}") from error
    return hidden_states(backbone), int(backbone.max_sequence_length)


def _prefix(relative: _Relative, tensors: Mapping[str, Tensor], folder: Path) -> str:
    for prefix in relative.prefixes:
        if f"{prefix}embeddings.word_embeddings.weight" in tensors:
            return prefix
    raise WeightsError(
        f"{folder} holds no array named {relative.prefixes[0]}embeddings.word_embeddings.weight. "
        f"Received: {', '.join(sorted(tensors)[:5])} …"
    )


def _number(config: Mapping[str, Any], key: str, folder: Path, smallest: int = 1) -> int:
    value = config.get(key)
    if type(value) is not int or not smallest <= value <= 1_000_000:
        raise WeightsError(f"{folder / 'config.json'}: {key} must be a whole number from {smallest}. Received: {value!r}")
    return value


def _check(relative: _Relative, config: Mapping[str, Any], tensors: Mapping[str, Tensor], prefix: str, folder: Path) -> int:
    """Compare the sizes in the configuration with those of the arrays, before anything of these sizes is made."""
    layers, heads, channels, inner = (_number(config, key, folder) for key in relative.keys[:4])
    narrow = relative.backbone in _NARROW
    width = _number(config, "embedding_size", folder) if narrow else channels
    groups = _number(config, "num_hidden_groups", folder) if relative.backbone == "AlbertBackbone" else 1
    last = _number(config, "inner_group_num", folder) if relative.backbone == "AlbertBackbone" else layers
    place = relative.layers.format(group=groups - 1, layer=last - 1)
    positions = _number(config, "max_position_embeddings", folder, relative.offset + 1)
    expected = {
        f"{prefix}embeddings.word_embeddings.weight": (_number(config, "vocab_size", folder), width),
        f"{prefix}embeddings.position_embeddings.weight": (positions, width),
        f"{prefix}{place}.{relative.layer['feedforward_intermediate_dense']}.weight": (inner, channels),
    }
    for name, shape in expected.items():
        received = tensors[name].shape if name in tensors else None
        if received != shape:
            raise WeightsError(
                f"Configuration and weights in {folder} do not fit: {name} should have shape {shape}. Received: {received}"
            )
    if channels % heads:
        raise WeightsError(f"{folder / 'config.json'}: {channels} channels cannot be shared by {heads} heads.")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise WeightsError(f"{folder} has {config['position_embedding_type']!r} positions; only 'absolute' ones can be read.")
    return positions - relative.offset


def _build(relative: _Relative, config: Mapping[str, Any], longest: int) -> "keras.Model":
    import keras_hub

    layers, heads, channels, inner, dropout, activation = (config.get(key) for key in relative.keys)
    approximated = activation in _APPROXIMATIONS and relative.backbone in ("BertBackbone", *_NARROW)
    if activation not in _ACTIVATIONS and not approximated:
        raise WeightsError(f"The activation {activation!r} is not one of {', '.join((*_ACTIVATIONS, *_APPROXIMATIONS))}.")
    sizes = {
        "num_layers": layers,
        "num_heads": heads,
        "hidden_dim": channels,
        "intermediate_dim": inner,
        "dropout": dropout or 0.0,
    }
    sizes |= {"max_sequence_length": longest}
    sizes["vocab_size" if relative.backbone == "ElectraBackbone" else "vocabulary_size"] = config["vocab_size"]
    if relative.backbone in _NARROW:
        sizes["embedding_dim"] = config["embedding_size"]
    if relative.backbone in ("BertBackbone", *_NARROW):
        sizes["num_segments"] = config.get("type_vocab_size", 2)
    if relative.backbone == "AlbertBackbone":
        sizes |= {"num_groups": config["num_hidden_groups"], "num_inner_repetitions": config["inner_group_num"]}
    encoder = hidden_states(getattr(keras_hub.models, relative.backbone)(**sizes))
    return encoder if approximated else _with_activation(encoder, str(activation))


def _with_activation(encoder: "keras.Model", activation: str) -> "keras.Model":
    """Return the encoder with another activation in its layers, which then have new weights."""
    import keras
    import keras_hub

    def exchanged(layer: Any) -> Any:
        if not isinstance(layer, keras_hub.layers.TransformerEncoder):
            return layer
        return type(layer).from_config({**layer.get_config(), "activation": activation})

    plain = keras.Model(encoder.inputs, encoder.outputs[0])
    return keras.models.clone_model(plain, clone_function=exchanged)


def _assign(variable: Any, relative: _Relative, tensors: Mapping[str, Tensor], prefix: str, folder: Path) -> None:
    layer, kind = variable.path.rsplit("/", 1)
    found = re.fullmatch(r"(?:transformer|group_(\d+)_inner)_layer_(\d+)/(.+)", layer)
    if found:
        place = f"{relative.layers.format(group=found[1], layer=found[2])}.{relative.layer[found[3]]}"
    else:
        place = _OUTSIDE[layer.rsplit("/", 1)[-1]]
    name = f"{prefix}{place}.{'bias' if kind in ('bias', 'beta') else 'weight'}"
    if name not in tensors:
        raise WeightsError(f"{folder} lacks the array {name}.")
    array = tensors[name].read()
    if place == "embeddings.position_embeddings":
        array = array[relative.offset :]
        types = tensors.get(f"{prefix}embeddings.token_type_embeddings.weight")
        if types is not None and relative.offset:  # RoBERTa has one token type, which KerasHub's has no table for
            array = array + types.read()[0]
    if kind == "kernel":  # PyTorch keeps (out, in), Keras (in, out), with the heads of an attention as an axis of their own
        array = array.T
    if array.size != np.prod(variable.shape):
        raise WeightsError(f"{folder}: {name} has shape {array.shape}, the network takes {tuple(variable.shape)}.")
    variable.assign(array.reshape(variable.shape))
