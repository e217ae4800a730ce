"""From examples to what a network takes."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tokenizers

_LOGGER = logging.getLogger("tlkeras")
MOST_UNKNOWN = 0.02
"""A larger share of unknown tokens means that a tokenizer was made for another script."""

MOST_PIECES = 1.5
"""A word in more pieces than this, on average, means that a tokenizer was made for another language.

With the vocabulary of MiniLM (uncased English), messages of the editor Vim have 1.24 in English, 1.63 in Spanish, 1.93 in
German, 2.3 in Finnish, 4.0 in Russian; film reviews 1.11, the documentation of NumPy 1.10 (2026-11-24).
"""

_CHUNK = 4096  # an encoding also holds its words, some hundred bytes a token


def tokenize(texts: Sequence[str], tokenizer: "tokenizers.Tokenizer", sequence_length: int) -> list[np.ndarray]:
    """Return the token ids of each text, int32, shape `(length,)`, special tokens included, without padding.

    Args:
        texts: The texts.
        tokenizer: Is left as it came: whatever truncation and padding it has set count for nothing here. One that is set to cut
            at `sequence_length` and not to pad is used as it is, which is quicker for a few texts.
        sequence_length: The most tokens of a text; what is longer is cut at its end.

    Raises:
        ValueError: `sequence_length` leaves no room beside the special tokens.
    """
    special = tokenizer.num_special_tokens_to_add(False)
    if sequence_length <= special:
        raise ValueError(f"sequence_length must be more than the {special} special tokens. Received: {sequence_length}")
    own = tokenizer if _only_cuts(tokenizer, sequence_length) else cutting_tokenizer(tokenizer, sequence_length)
    rows, cut = [], 0
    for start in range(0, len(texts), _CHUNK):
        encodings = own.encode_batch_fast(list(texts[start : start + _CHUNK]))  # without the places of letters
        rows += [np.array(encoding.ids, np.int32) for encoding in encodings]
        cut += sum(bool(encoding.overflowing) for encoding in encodings)
    if cut > len(texts) / 100:
        _LOGGER.info(
            "%.0f %% of %d texts are longer than %d tokens and cut there.", 100 * cut / len(texts), len(texts), sequence_length
        )
    return rows


def cutting_tokenizer(tokenizer: "tokenizers.Tokenizer", sequence_length: int) -> "tokenizers.Tokenizer":
    """Return a copy of a tokenizer that cuts at `sequence_length` tokens and does not pad; `tokenize` takes it as it is."""
    own = type(tokenizer).from_str(tokenizer.to_str())
    own.no_padding()
    own.enable_truncation(sequence_length)
    return own


def _only_cuts(tokenizer: "tokenizers.Tokenizer", sequence_length: int) -> bool:
    expected = {"max_length": sequence_length, "stride": 0, "strategy": "longest_first", "direction": "right"}
    return tokenizer.padding is None and tokenizer.truncation == expected


@dataclass(frozen=True)
class TokenizerFit:
    """How well a tokenizer knows some texts: the share of unknown tokens, and the pieces that a word has on average."""

    unknown: float
    pieces: float

    @property
    def poor(self) -> bool:
        """Whether the tokenizer was most likely made for another language or script."""
        return self.unknown > MOST_UNKNOWN or self.pieces > MOST_PIECES


def measure_tokenizer(texts: Sequence[str], tokenizer: "tokenizers.Tokenizer", *, sample: int = 1000) -> TokenizerFit:
    """Return how well a tokenizer knows texts, measured on some of them, evenly spread.

    Args:
        texts: The texts.
        tokenizer: Is left as it came.
        sample: The most texts that are looked at.
    """
    unknown = json.loads(tokenizer.to_str())["model"].get("unk_token")
    unknown_id = tokenizer.token_to_id(unknown) if unknown else None
    own = type(tokenizer).from_str(tokenizer.to_str())
    own.no_padding()
    own.no_truncation()
    step = max(1, len(texts) // sample)
    encodings = own.encode_batch([text[:2000] for text in texts[::step][:sample]], add_special_tokens=False)
    tokens = sum(len(encoding.ids) for encoding in encodings)
    words = sum(len(set(encoding.word_ids)) for encoding in encodings)
    strange = 0 if unknown_id is None else sum(encoding.ids.count(unknown_id) for encoding in encodings)
    return TokenizerFit(strange / max(1, tokens), tokens / max(1, words))


def warn_of_foreign_texts(texts: Sequence[str], tokenizer: "tokenizers.Tokenizer", source: str) -> None:
    """Warn if the tokenizer of a source model was most likely made for another language than that of the texts."""
    fit = measure_tokenizer(texts, tokenizer)
    if fit.poor:
        _LOGGER.warning(
            "The tokenizer of %r hardly knows these texts: %.0f %% of the tokens are unknown, and a word falls into %.1f "
            "pieces (about 1.2 in the language it was made for). Take a source model for this language: tlkeras sources",
            source,
            100 * fit.unknown,
            fit.pieces,
        )
