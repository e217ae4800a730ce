"""From examples to what a network takes."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tokenizers

_LOGGER = logging.getLogger("tlkeras")
_CHUNK = 4096  # an encoding also holds offsets and words, some hundred bytes a token


def tokenize(texts: Sequence[str], tokenizer: "tokenizers.Tokenizer", sequence_length: int) -> list[np.ndarray]:
    """Return the token ids of each text, int32, shape `(length,)`, special tokens included, without padding.

    Args:
        texts: The texts.
        tokenizer: Is left as it came: whatever truncation and padding it has set count for nothing here.
        sequence_length: The most tokens of a text; what is longer is cut at its end.

    Raises:
        ValueError: `sequence_length` leaves no room beside the special tokens.
    """
    special = tokenizer.num_special_tokens_to_add(False)
    if sequence_length <= special:
        raise ValueError(f"sequence_length must be more than the {special} special tokens. Received: {sequence_length}")
    own = type(tokenizer).from_str(tokenizer.to_str())
    own.no_padding()
    own.enable_truncation(sequence_length)
    rows, cut = [], 0
    for start in range(0, len(texts), _CHUNK):
        encodings = own.encode_batch(list(texts[start : start + _CHUNK]))
        rows += [np.array(encoding.ids, np.int32) for encoding in encodings]
        cut += sum(bool(encoding.overflowing) for encoding in encodings)
    if cut > len(texts) / 100:
        _LOGGER.info(
            "%.0f %% of %d texts are longer than %d tokens and cut there.", 100 * cut / len(texts), len(texts), sequence_length
        )
    return rows
