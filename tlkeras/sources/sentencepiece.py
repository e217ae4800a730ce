"""SentencePiece models (unigram) as Rust tokenizers, read without the library: XLM-RoBERTa, ALBERT, DeBERTa, FNet."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkeras.errors import WeightsError
from tlkeras.sources.protobuf import read_fields

if TYPE_CHECKING:
    import tokenizers

_SPACE = "\u2581"
_NORMAL, _UNKNOWN, _USER_DEFINED, _BYTE = 1, 2, 4, 6
_UNIGRAM = 1


@dataclass(frozen=True)
class SentencePieceModel:
    """What a `.model` file holds (sentencepiece_model.proto): pieces with scores and kinds, and how texts are normalised."""

    pieces: tuple[tuple[str, float, int], ...]
    normalization: bytes
    byte_fallback: bool


def read_model(data: bytes) -> SentencePieceModel:
    """Return what a serialized SentencePiece model holds.

    Raises:
        WeightsError: It is malformed, or of another kind than unigram.
    """
    pieces, normalization, fallback, kind = [], b"", False, _UNIGRAM
    for number, value in read_fields(data):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            pieces.append(_piece(value))
        elif number == 2:
            trainer = dict(read_fields(value))
            said, fallback = trainer.get(3, _UNIGRAM), bool(trainer.get(35, False))
            kind = said if isinstance(said, int) else 0
        elif number == 3:
            charsmap = dict(read_fields(value)).get(2, b"")
            normalization = charsmap if isinstance(charsmap, bytes) else b""
    if not pieces or kind != _UNIGRAM:
        raise WeightsError(f"The SentencePiece model must be a unigram model. Received: kind {kind} with {len(pieces)} pieces")
    return SentencePieceModel(tuple(pieces), normalization, fallback)


def _piece(data: bytes) -> tuple[str, float, int]:
    fields = dict(read_fields(data))
    text, score, kind = fields.get(1, b""), fields.get(2, b"\0\0\0\0"), fields.get(3, _NORMAL)
    if not isinstance(text, bytes) or not isinstance(score, bytes) or not isinstance(kind, int):
        raise WeightsError("The SentencePiece model is malformed.")
    return text.decode("utf-8"), struct.unpack("<f", score)[0], kind


def unigram_tokenizer(
    model: SentencePieceModel, *, start: str, end: str, fairseq: bool = False, lowercase: bool = False
) -> "tokenizers.Tokenizer":
    """Return the tokenizer that gives a SentencePiece model's ids, between two special tokens.

    A special token that is spelt out in a text is text, as in SentencePiece itself.

    Args:
        model: The model.
        start: The special token in front.
        end: The special token behind.
        fairseq: Whether ids are shifted as in XLM-RoBERTa: `<s>`, `<pad>`, `</s>`, `<unk>`, the other pieces, `<mask>`.
        lowercase: Whether letters are lowered and accents stripped first, as ALBERT's own code does.
    """
    import tokenizers as tk

    pieces = list(model.pieces)
    if fairseq:
        special: list[tuple[str, float, int]] = [("<s>", 0.0, 3), ("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, _UNKNOWN)]
        pieces = [*special, *(piece for piece in pieces[3:]), ("<mask>", 0.0, 3)]
    ids = {text: index for index, (text, _, _) in enumerate(pieces)}
    unknown = next(index for index, (_, _, kind) in enumerate(pieces) if kind == _UNKNOWN)
    # With a NUL in front, which normalisation drops from texts, special pieces never match.
    known = [(text if kind in (_NORMAL, _USER_DEFINED, _BYTE) else f"\0{text}", score) for text, score, kind in pieces]
    tokenizer = tk.Tokenizer(tk.models.Unigram(known, unknown, model.byte_fallback))
    tokenizer.normalizer = _normalizer(model.normalization, lowercase)
    split = [tk.pre_tokenizers.WhitespaceSplit(), tk.pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")]
    tokenizer.pre_tokenizer = tk.pre_tokenizers.Sequence(split)
    tokenizer.decoder = tk.decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    edges = [(start, ids[start]), (end, ids[end])]
    tokenizer.post_processor = tk.processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=edges)
    return tokenizer


def _normalizer(normalization: bytes, lowercase: bool) -> Any:
    import tokenizers as tk

    steps: list[Any] = [tk.normalizers.Replace("\0", "")]
    if lowercase:  # `preprocess_text` in ALBERT's tokenization.py
        steps += [tk.normalizers.Replace("``", '"'), tk.normalizers.Replace("''", '"'), tk.normalizers.NFKD()]
        steps += [tk.normalizers.StripAccents(), tk.normalizers.Lowercase()]
    if normalization:
        steps.append(tk.normalizers.Precompiled(normalization))
    return tk.normalizers.Sequence(steps)
