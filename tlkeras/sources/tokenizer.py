"""Tokenizers: one Rust `tokenizers.Tokenizer` for every text source, and the same in TensorFlow for string SavedModels."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.errors import TlkerasError
from tlkeras.sources.model import SourceModel

if TYPE_CHECKING:
    import tensorflow as tf
    import tokenizers

# Longer words are unknown, as in BERT.
_LONGEST_WORD = 100


def word_piece_tokenizer(vocabulary: Sequence[str], *, lowercase: bool) -> "tokenizers.Tokenizer":
    """Return BERT's tokenizer: words and punctuation, longest known pieces first, between `[CLS]` and `[SEP]`.

    Accents are stripped where letters are lowered, as BERT was trained. A special token that is spelt out in a text is text.

    Args:
        vocabulary: The pieces in the order of their ids, `[CLS]`, `[SEP]` and `[UNK]` among them.
        lowercase: Whether letters are lowered.
    """
    import tokenizers as tk

    ids = {piece: index for index, piece in enumerate(vocabulary)}
    tokenizer = tk.Tokenizer(tk.models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=_LONGEST_WORD))  # noqa: S106
    tokenizer.normalizer = tk.normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = tk.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tk.decoders.WordPiece()
    tokenizer.post_processor = _between("[CLS]", "[SEP]", ids)
    return tokenizer


def byte_pair_tokenizer(vocabulary: Mapping[str, int], merges: Sequence[str]) -> "tokenizers.Tokenizer":
    """Return RoBERTa's tokenizer: byte-level byte pairs between `<s>` and `</s>`.

    Args:
        vocabulary: The id of each piece.
        merges: The pairs to join, each as `"left right"`, the first first.
    """
    import tokenizers as tk

    pairs = [(left, right) for left, _, right in (pair.partition(" ") for pair in merges)]
    tokenizer = tk.Tokenizer(tk.models.BPE(dict(vocabulary), pairs))
    tokenizer.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tk.decoders.ByteLevel()
    tokenizer.post_processor = _between("<s>", "</s>", vocabulary)
    return tokenizer


def _between(start: str, end: str, ids: Mapping[str, int]) -> Any:
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(single=f"{start} $A {end}", special_tokens=[(start, ids[start]), (end, ids[end])])


def tokenizer_from_file(path: Path) -> "tokenizers.Tokenizer":
    """Return the tokenizer of a `tokenizer.json`, without padding and truncation; special tokens spelt out are text."""
    from tokenizers import Tokenizer

    content = json.loads(path.read_text(encoding="utf-8"))
    return Tokenizer.from_str(json.dumps({**content, "padding": None, "truncation": None, "added_tokens": []}))


def tokenizer_from_keras_hub(tokenizer: Any) -> "tokenizers.Tokenizer":
    """Return the tokenizer that gives the ids of a KerasHub one (BERT, DistilBERT, RoBERTa).

    Unlike KerasHub's, it strips accents where letters are lowered, as the original BERT did.
    """
    import keras_hub

    if isinstance(tokenizer, keras_hub.tokenizers.WordPieceTokenizer):
        return word_piece_tokenizer(tokenizer.get_vocabulary(), lowercase=tokenizer.lowercase)
    if isinstance(tokenizer, keras_hub.models.RobertaTokenizer):
        return byte_pair_tokenizer(tokenizer.vocabulary, tokenizer.merges)
    raise ValueError(
        f"The tokenizer must be KerasHub's BertTokenizer, DistilBertTokenizer or RobertaTokenizer. "
        f"Received: {type(tokenizer).__name__}"
    )


# What Rust's BertNormalizer and BertPreTokenizer drop, take for a space, and split off, as RE2 patterns.
_DROPPED = r"[\x{0}\x{fffd}\p{Cf}\p{Co}]|[^\P{Cc}\t\n\r]"
_SPACE = r"[\p{Z}\t\n\r]"
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
_CHINESE = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}"
    r"\x{2B920}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)


def in_graph_tokenizer(source: SourceModel) -> "Callable[[tf.Tensor], tf.Tensor]":
    """Return the source's tokenizer as TensorFlow operations, for a SavedModel that takes strings.

    The ids are those of `source.tokenizer`; only characters that entered Unicode after the tables of the Rust library may
    be split or dropped differently.

    Args:
        source: A text source with BERT's WordPiece tokenizer.

    Returns:
        A function from strings, shape `(batch,)`, to int32 ids, shape `(batch, length)`: special tokens added, cut at
        `source.input_size`, padded to the longest of the batch. It can be traced in a `tf.function`; what was exported with it
        needs `import tensorflow_text` to load.

    Raises:
        ValueError: The source has another kind of tokenizer.
        TlkerasError: TensorFlow Text is not there (it does not exist for Windows).
    """
    tokenizer = source.tokenizer
    content = json.loads(tokenizer.to_str()) if tokenizer else {}
    model, normalizer = content.get("model") or {}, content.get("normalizer") or {}
    if tokenizer is None or (model.get("type"), normalizer.get("type")) != ("WordPiece", "BertNormalizer"):
        raise ValueError(
            f"Only BERT's WordPiece tokenizer can run inside a SavedModel. Received: {source.name} with a tokenizer of type "
            f"{model.get('type')}. Export a model that takes token ids instead."
        )
    try:
        import tensorflow_text
    except ImportError:
        raise TlkerasError(
            "A SavedModel that takes strings needs TensorFlow Text, which is not installed (and does not exist for Windows). "
            "Install it with: pip install tensorflow-text  or export a model that takes token ids."
        ) from None
    import tensorflow as tf

    vocabulary = tokenizer.get_vocab()
    pieces = tensorflow_text.FastWordpieceTokenizer(
        sorted(vocabulary, key=vocabulary.__getitem__),
        token_out_type=tf.int32,
        unknown_token=model["unk_token"],
        no_pretokenization=True,
        max_bytes_per_word=4 * _LONGEST_WORD + 1,
    )
    start, end = tokenizer.encode("").ids

    def tokenize(texts: "tf.Tensor") -> "tf.Tensor":
        words = tensorflow_text.regex_split(
            _normalize(texts, lowercase=normalizer["lowercase"]), f"{_SPACE}|{_PUNCTUATION}", _PUNCTUATION
        )
        too_long = tf.strings.length(words.flat_values, "UTF8_CHAR") > _LONGEST_WORD
        words = words.with_flat_values(tf.where(too_long, model["unk_token"], words.flat_values))
        ids = pieces.tokenize(words).merge_dims(1, 2)[:, : source.input_size - 2]
        edge = tf.ones_like(texts, tf.int32)[:, tf.newaxis]
        return tf.concat([edge * start, ids, edge * end], axis=1).to_tensor(default_value=source.pad_id)

    return tokenize


def _normalize(texts: "tf.Tensor", *, lowercase: bool) -> "tf.Tensor":
    """Do what BertNormalizer does, in its order."""
    import tensorflow as tf
    import tensorflow_text

    texts = tf.strings.regex_replace(texts, _DROPPED, "")
    texts = tf.strings.regex_replace(texts, _CHINESE, r" \0 ")
    if not lowercase:
        return texts
    texts = tf.strings.regex_replace(tensorflow_text.normalize_utf8(texts, "NFD"), r"\p{Mn}", "")
    # Rust lowers letter by letter, TensorFlow writes a sigma at the end of a word as final.
    return tf.strings.lower(tf.strings.regex_replace(texts, "Σ", "σ"), encoding="utf-8")
