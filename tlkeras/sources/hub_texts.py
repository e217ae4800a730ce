"""KerasHub's text encoders by preset: `tables/hub_texts.csv` has a row for each.

Rows hold the architecture, so that it can be shown and measured without a network; a preset's own configuration is used with
its weights.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from tlkeras.sources.encoders import hidden_states
from tlkeras.sources.facts import Facts

if TYPE_CHECKING:
    import keras

_MASKED = "guessing masked words"
_WIKIPEDIA_BOOKS = "English Wikipedia and BooksCorpus"
_ROBERTA_DATA = "English Wikipedia, BooksCorpus, Common Crawl news and stories, OpenWebText"


@dataclass(frozen=True)
class TextFamily:
    """What the presets of a family have in common.

    Attributes:
        backbone: The class in `keras_hub.models`.
        data: What it was trained on.
        task: What it was trained to do.
        regularization: What it was trained with.
        licence: Of the weights.
        origin: Who trained them.
        litert: See `Facts.litert`.
        note: What else one should know.
        longest: The longest text in tokens.
        padded: Whether its numbers depend on the padding, so that texts are padded to one length inside.
    """

    backbone: str
    data: str
    task: str
    regularization: str
    licence: str
    origin: str
    litert: str = ""
    note: str = ""
    longest: int = 512
    padded: bool = False


_BERT = "dropout 0.1, weight decay 0.01"
TEXT_FAMILIES: Mapping[str, TextFamily] = {
    "bert": TextFamily(
        "BertBackbone", _WIKIPEDIA_BOOKS, f"{_MASKED} and next sentences", _BERT, "Apache-2.0 (Google)", "Google, 2018"
    ),
    "distil_bert": TextFamily(
        "DistilBertBackbone", _WIKIPEDIA_BOOKS, f"distillation of BERT, {_MASKED}", _BERT, "Apache-2.0", "Hugging Face, 2019"
    ),
    "roberta": TextFamily("RobertaBackbone", _ROBERTA_DATA, _MASKED, _BERT, "MIT (Facebook)", "Facebook AI, 2019"),
    "xlm_roberta": TextFamily(
        "XLMRobertaBackbone", "Common Crawl in 100 languages", _MASKED, _BERT, "MIT (Facebook)", "Facebook AI, 2019"
    ),
    "albert": TextFamily(
        "AlbertBackbone",
        _WIKIPEDIA_BOOKS,
        f"{_MASKED} and sentence order",
        "weight decay 0.01, no dropout",
        "Apache-2.0 (Google)",
        "Google, 2019",
        note="its layers share their weights: two blocks, embeddings and layers",
    ),
    "deberta_v3": TextFamily(
        "DebertaV3Backbone",
        f"{_ROBERTA_DATA}",
        "finding replaced words",
        _BERT,
        "MIT (Microsoft)",
        "Microsoft, 2021",
        litert="Abs, Sign",
        note="its blocks hand relative positions on too, which makes the frozen part large to keep",
    ),
    "f_net": TextFamily(
        "FNetBackbone",
        "C4: English Common Crawl",
        f"{_MASKED} and next sentences",
        "dropout 0.1; weight decay not stated",
        "Apache-2.0 (Google)",
        "Google, 2021",
        litert="Complex, FFT2D",
        note="it mixes padding in with the text, so every text is padded to the sequence length",
        padded=True,
    ),
    "electra": TextFamily(
        "ElectraBackbone", _WIKIPEDIA_BOOKS, "finding replaced words", _BERT, "Apache-2.0 (Google)", "Google, 2020"
    ),
    "gpt2": TextFamily(
        "GPT2Backbone",
        "WebText: 8 million pages that Reddit linked to",
        "guessing the next word",
        "dropout 0.1; weight decay not stated",
        "MIT (OpenAI)",
        "OpenAI, 2019",
        note="causal: a token's state has seen the tokens before it only. The mean over tokens is taken, the last one, which "
        "ends the text, among them",
        longest=1024,
    ),
}


@dataclass(frozen=True)
class HubText:
    """A preset of a text encoder.

    Attributes:
        family: What it shares with its family.
        sizes: Vocabulary, layers, heads, channels, channels in the feed-forward part, channels of the embeddings (0: the same).
        facts: Its facts.
        handle: Where KerasHub has it: `owner/model/framework/variation/version` on Kaggle.
    """

    family: TextFamily
    sizes: tuple[int, ...]
    facts: Facts
    handle: str

    def build(self) -> "keras.Model":
        """Return the encoder with random weights."""
        import keras_hub

        vocabulary, layers, heads, channels, inner, narrow = self.sizes
        kind = self.family.backbone
        arguments: dict[str, Any] = {"num_layers": layers, "hidden_dim": channels, "intermediate_dim": inner}
        arguments["vocab_size" if kind == "ElectraBackbone" else "vocabulary_size"] = vocabulary
        arguments["max_sequence_length"] = self.family.longest
        if kind != "FNetBackbone":
            arguments["num_heads"] = heads
        if narrow:
            arguments["embedding_dim"] = narrow
        if kind == "AlbertBackbone":
            arguments["num_segments"] = 2
        return hidden_states(getattr(keras_hub.models, kind)(**arguments))


def _read(row: Mapping[str, str]) -> HubText:
    family = TEXT_FAMILIES[row["family"]]
    facts = Facts(
        constructor=f"KerasHub preset {row['name']} ({family.backbone})",
        parameters=int(row["parameters"]),
        macs=float(row["macs_millions"]),
        source_data=row["data"] or family.data,
        source_task=family.task,
        regularization=family.regularization,
        accuracy=row["accuracy"] or None,
        licence=family.licence,
        origin=f"{family.origin}; KerasHub preset",
        litert=family.litert,
        note=family.note,
    )
    sizes = tuple(int(row[column] or 0) for column in ("vocabulary", "layers", "heads", "channels", "inner", "embedding"))
    return HubText(family, sizes, facts, row["handle"])


def _table() -> dict[str, HubText]:
    table = resources.files("tlkeras.sources").joinpath("tables", "hub_texts.csv").read_text(encoding="utf-8")
    return {row["name"]: _read(row) for row in csv.DictReader(table.splitlines())}


HUB_TEXTS: Mapping[str, HubText] = _table()
