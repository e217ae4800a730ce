"""Tokenizers: one Rust `tokenizers.Tokenizer` for every text source, and the same in TensorFlow for string SavedModels."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.errors import TlkerasError, WeightsError
from tlkeras.sources.model import SourceModel
from tlkeras.sources.sentencepiece import read_model, unigram_tokenizer
from tlkeras.sources.tensor_files import plain_file, read_json

if TYPE_CHECKING:
    import tensorflow as tf
    import tokenizers

# Longer words are unknown, as in BERT.
_LONGEST_WORD = 100
# GPT-2 sees only what comes before: the token that ends a text has seen all of it.
GPT2_TEMPLATE = "$A <|endoftext|>"
GPT2_PADDING = "\u0100"
"""The piece of the byte 0, which texts do not hold: GPT-2 has no token for padding, and its last one ends every text here."""


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
    tokenizer.post_processor = _template("[CLS] $A [SEP]", ids)
    return tokenizer


def byte_pair_tokenizer(
    vocabulary: Mapping[str, int], merges: Sequence[str], *, template: str = "<s> $A </s>"
) -> "tokenizers.Tokenizer":
    """Return RoBERTa's or GPT-2's tokenizer: byte-level byte pairs and special tokens.

    Args:
        vocabulary: The id of each piece.
        merges: The pairs to join, each as `"left right"`, the first first.
        template: Where the special tokens stand; RoBERTa's, or `GPT2_TEMPLATE`.
    """
    import tokenizers as tk

    pairs = [(left, right) for left, _, right in (pair.partition(" ") for pair in merges)]
    tokenizer = tk.Tokenizer(tk.models.BPE(dict(vocabulary), pairs))
    tokenizer.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tk.decoders.ByteLevel()
    tokenizer.post_processor = _template(template, vocabulary)
    return tokenizer


def _template(template: str, ids: Mapping[str, int]) -> Any:
    from tokenizers.processors import TemplateProcessing

    special = [(piece, ids[piece]) for piece in template.split() if not piece.startswith("$")]
    return TemplateProcessing(single=template, special_tokens=special)


def tokenizer_from_file(path: Path) -> "tokenizers.Tokenizer":
    """Return the tokenizer of a `tokenizer.json`, without padding and truncation; special tokens spelt out are text."""
    from tokenizers import Tokenizer

    content = json.loads(path.read_text(encoding="utf-8"))
    return Tokenizer.from_str(json.dumps({**content, "padding": None, "truncation": None, "added_tokens": []}))


def tokenizer_from_keras_hub(tokenizer: Any) -> "tuple[tokenizers.Tokenizer, int]":
    """Return the tokenizer that gives the ids of a KerasHub one, and the id of padding.

    Unlike KerasHub's, it strips accents where letters are lowered, as the original BERT did, and lowers letters for ALBERT.
    """
    import keras_hub

    models = keras_hub.models
    if isinstance(tokenizer, keras_hub.tokenizers.WordPieceTokenizer):
        return word_piece_tokenizer(tokenizer.get_vocabulary(), lowercase=tokenizer.lowercase), int(tokenizer.pad_token_id)
    if isinstance(tokenizer, models.RobertaTokenizer):
        return byte_pair_tokenizer(tokenizer.vocabulary, tokenizer.merges), int(tokenizer.pad_token_id)
    if isinstance(tokenizer, models.GPT2Tokenizer):
        made = byte_pair_tokenizer(tokenizer.vocabulary, tokenizer.merges, template=GPT2_TEMPLATE)
        return made, int(tokenizer.vocabulary[GPT2_PADDING])
    if isinstance(tokenizer, keras_hub.tokenizers.SentencePieceTokenizer):
        model = read_model(tokenizer.proto)
        if isinstance(tokenizer, models.XLMRobertaTokenizer):
            return unigram_tokenizer(model, start="<s>", end="</s>", fairseq=True), int(tokenizer.pad_token_id)
        lowercase = isinstance(tokenizer, models.AlbertTokenizer)
        return unigram_tokenizer(model, start="[CLS]", end="[SEP]", lowercase=lowercase), int(tokenizer.pad_token_id)
    raise ValueError(
        "The tokenizer must be KerasHub's for BERT, DistilBERT, ELECTRA, RoBERTa, XLM-RoBERTa, ALBERT, DeBERTaV3, FNet or "
        f"GPT-2. Received: {type(tokenizer).__name__}"
    )


def tokenizer_from_folder(folder: Path, config: Mapping[str, Any]) -> "tuple[tokenizers.Tokenizer, int]":
    """Return the tokenizer of a Hugging Face folder, and the id of padding.

    Args:
        folder: It holds `tokenizer.json`; or `vocab.txt`; or `vocab.json` and `merges.txt`; or a SentencePiece model.
        config: Its `config.json`.

    Raises:
        WeightsError: The files are missing or damaged.
    """
    kind = config["model_type"]
    try:
        tokenizer = _from_folder(folder, kind)
    except WeightsError:
        raise
    except Exception as error:  # the Rust library has no type of its own
        raise WeightsError(f"The tokenizer's files in {folder} are damaged: {str(error)[:200]}") from None
    if kind == "gpt2":
        vocabulary = tokenizer.get_vocab()
        tokenizer.post_processor = _template(GPT2_TEMPLATE, vocabulary)
        return tokenizer, int(vocabulary[GPT2_PADDING])
    pad_id = config.get("pad_token_id")
    return tokenizer, pad_id if type(pad_id) is int else 1 if "roberta" in kind else 0


def _from_folder(folder: Path, kind: str) -> "tokenizers.Tokenizer":
    if (folder / "tokenizer.json").is_file():
        return tokenizer_from_file(plain_file(folder, "tokenizer.json"))
    if (folder / "vocab.txt").is_file():
        said = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
        pieces = plain_file(folder, "vocab.txt").read_text(encoding="utf-8").splitlines()
        return word_piece_tokenizer(pieces, lowercase=bool(said.get("do_lower_case", True)))
    if (folder / "merges.txt").is_file():
        merges = plain_file(folder, "merges.txt").read_text(encoding="utf-8").splitlines()
        pairs = [line for line in merges if line and not line.startswith("#version")]
        vocabulary = read_json(plain_file(folder, "vocab.json"))
        return byte_pair_tokenizer(vocabulary, pairs, template=GPT2_TEMPLATE if kind == "gpt2" else "<s> $A </s>")
    for name in ("sentencepiece.bpe.model", "spiece.model", "spm.model"):
        if (folder / name).is_file():
            model = read_model(plain_file(folder, name).read_bytes())
            if kind == "xlm-roberta":
                return unigram_tokenizer(model, start="<s>", end="</s>", fairseq=True)
            return unigram_tokenizer(model, start="[CLS]", end="[SEP]", lowercase=kind == "albert")
    raise WeightsError(
        f"{folder} has no tokenizer. It needs tokenizer.json; or vocab.txt; or vocab.json and merges.txt; or a SentencePiece "
        "model."
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
