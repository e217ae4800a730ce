"""Findings about single texts: empty, garbled, too long for the network, or unknown to its tokenizer."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Texts
from tlkeras.data.health.finding import Finding, Severity
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.pipelines import MOST_PIECES, MOST_UNKNOWN, measure_tokenizer

if TYPE_CHECKING:
    import tokenizers

SHORT = 3
"""Texts with fewer letters and digits than this say nothing, mostly."""

_MARKUP = re.compile(r"<(br|p|div|span|a|b|i|strong|em)\b[^<>]*>|&(amp|lt|gt|quot|nbsp|#\d+);", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# UTF-8 that was read as Windows-1252: a lead byte of two, three or four, and what continuation bytes look like there.
_TAIL = re.escape("".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xC0)))
_GARBLED = re.compile(f"[\u00c2-\u00df][{_TAIL}]|[\u00e0-\u00ef][{_TAIL}]{{2}}|[\u00f0-\u00f4][{_TAIL}]{{3}}")
_CHUNK = 4096


def examine_texts(
    inventory: Inventory,
    *,
    tokenizer: "tokenizers.Tokenizer | None" = None,
    sequence_length: int = 128,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Finding]:
    """Yield what is wrong with the texts of an inventory; they are read once, and split into tokens on all cores meanwhile.

    Args:
        inventory: The texts.
        tokenizer: That of the source model; without it, nothing is said about tokens. It is left as it came.
        sequence_length: The most tokens that the network reads.
        on_progress: Called with the number of texts read and of all.
    """
    store = inventory.store
    if not isinstance(store, Texts):
        raise TypeError(f"Texts are examined. Received: {type(store).__name__}")
    found: dict[str, list[tuple[int, str]]] = {key: [] for key, *_ in _TESTS}
    special = tokenizer.num_special_tokens_to_add(False) if tokenizer is not None else 0
    counts = _Counts(np.zeros(len(store), np.int64), np.zeros(len(store), np.int64), special)
    count = _counter(tokenizer) if tokenizer is not None else None
    with ThreadPoolExecutor(1) as pool:
        for start in range(0, len(store), _CHUNK):
            texts = list(store.texts[start : start + _CHUNK])
            counted = pool.submit(count, texts) if count else None
            for key, _, _, _, _, test in _TESTS:
                found[key] += [(row, detail) for row, text in enumerate(texts, start) if (detail := test(text))]
            if counted:
                rows = slice(start, start + len(texts))
                counts.tokens[rows], counts.unknown[rows] = counted.result()
            if on_progress:
                on_progress(start + len(texts), len(store))
    for key, severity, title, remedy, quarantine, _ in _TESTS:
        if found[key]:
            offenders = tuple(inventory.offender(row, detail) for row, detail in found[key])
            yield Finding(key, severity, title, len(offenders), remedy, offenders, quarantine)
    if tokenizer is not None:
        yield from _tokens(inventory, store.texts, counts, sequence_length)
        yield from _language(store.texts, tokenizer, int(counts.unknown.sum()) / max(1, int(counts.tokens.sum())))


@dataclass(frozen=True)
class _Counts:
    """The tokens of each text, those among them that the tokenizer does not know, and how many special ones come to it."""

    tokens: np.ndarray
    unknown: np.ndarray
    special: int = 0


def _counter(tokenizer: "tokenizers.Tokenizer") -> Callable[[list[str]], tuple[list[int], list[int]]]:
    """Return what counts the tokens of texts, and the unknown ones among them."""
    own = type(tokenizer).from_str(tokenizer.to_str())
    own.no_padding()
    own.no_truncation()
    unknown = own.token_to_id("[UNK]") if own.token_to_id("[UNK]") is not None else own.token_to_id("<unk>")

    def count(texts: list[str]) -> tuple[list[int], list[int]]:
        ids = [encoding.ids for encoding in own.encode_batch_fast(texts, add_special_tokens=False)]
        return list(map(len, ids)), [one.count(unknown) if unknown is not None else 0 for one in ids]

    return count


def repair(text: str) -> str:
    """Return a garbled text with the runs put right that are UTF-8 read as Windows-1252: `café` for `cafÃ©`."""
    return _GARBLED.sub(lambda match: _decode_again(match.group()), text)


def _decode_again(run: str) -> str:
    # Windows-1252 leaves five bytes undefined; what reads them anyway keeps their value.
    data = b"".join(bytes([ord(letter)]) if ord(letter) < 256 else letter.encode("cp1252") for letter in run)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return run


def _empty(text: str) -> str:
    return "" if text.strip() else "nothing but blanks"


def _short(text: str) -> str:
    letters = sum(letter.isalnum() for letter in text)
    return _excerpt(text) if text.strip() and letters < SHORT else ""


def _garbled(text: str) -> str:
    if text.isascii():
        return ""
    if "\ufffd" in text:
        return f"{_excerpt(text[max(0, text.index(chr(0xFFFD)) - 20) :])}: letters are lost"
    for found in _GARBLED.finditer(text):
        meant = _decode_again(found.group())
        if meant != found.group():
            return f"{_excerpt(text[max(0, found.start() - 20) :])}: {found.group()!r} was {meant!r}"
    return ""


def _marked(text: str) -> str:
    found = _MARKUP.search(text)
    return found.group() if found else ""


def _controls(text: str) -> str:
    found = _CONTROL.search(text)
    return ascii(found.group()) if found else ""


_TESTS: tuple[tuple[str, Severity, str, str, bool, Callable[[str], str]], ...] = (
    ("empty_texts", "warning", "Empty texts", "Fill them in, or leave them: they are not used.", False, _empty),
    (
        "short_texts",
        "warning",
        f"Texts with fewer than {SHORT} letters or digits",
        "Look at them; set them aside with the quarantine list if they say nothing about their class.",
        True,
        _short,
    ),
    (
        "garbled_texts",
        "warning",
        "Texts garbled by a wrong encoding",
        "Export the table again as UTF-8. Or mend each text in Python: tlkeras.data.health.texts.repair(text).",
        False,
        _garbled,
    ),
    (
        "markup",
        "note",
        "Texts with HTML tags or entities",
        "Remove them (html.unescape, and a parser for the tags) unless the texts to be predicted have them too.",
        False,
        _marked,
    ),
    (
        "control_characters",
        "note",
        "Texts with control characters",
        "Nothing needs to be done unless there are many: tokenizers drop them.",
        False,
        _controls,
    ),
)


def _tokens(inventory: Inventory, texts: Sequence[str], counts: _Counts, sequence_length: int) -> Iterator[Finding]:
    order = np.argsort(-counts.tokens, kind="stable")
    numbers = counts.tokens + counts.special
    long = [(int(numbers[row]), row) for row in order[numbers[order] > sequence_length].tolist()]
    lost = np.flatnonzero((counts.unknown > 0) & (counts.unknown == counts.tokens)).tolist()
    if long:
        share = len(long) / len(texts)
        yield Finding(
            "long_texts",
            "warning" if share > 0.1 else "note",
            f"Texts longer than {sequence_length} tokens ({share:.1%})",
            len(long),
            f"Give --sequence-length {_ninetieth(long, len(texts))} to keep nine of ten whole, if the memory allows.",
            tuple(inventory.offender(row, f"{number:,} tokens") for number, row in long),
            explanation="They are cut at their end.",
        )
    if lost:
        yield Finding(
            "unknown_texts",
            "warning",
            "Texts with nothing that the tokenizer knows",
            len(lost),
            "Set them aside, or choose a source model for their language or script.",
            tuple(inventory.offender(row, _excerpt(texts[row])) for row in lost),
            quarantine=True,
        )


def _language(texts: Sequence[str], tokenizer: "tokenizers.Tokenizer", unknown: float) -> Iterator[Finding]:
    """Yield whether the tokenizer was made for another language, by the share of unknown tokens and the pieces of a word."""
    pieces = measure_tokenizer(texts, tokenizer).pieces
    remedy = "Choose a source model for this language or script: tlkeras sources"
    if unknown > MOST_UNKNOWN:
        yield Finding("unknown_tokens", "warning", f"{unknown:.0%} of all tokens are unknown to the tokenizer", 0, remedy)
    if pieces > MOST_PIECES:
        yield Finding(
            "foreign_texts",
            "warning",
            f"The tokenizer cuts a word of these texts into {pieces:.1f} pieces",
            0,
            remedy,
            explanation="It was most likely made for another language; in its own, a word has about 1.2. The network has "
            "hardly seen these pieces, and the texts take more tokens than they need.",
        )


def _ninetieth(long: Sequence[tuple[int, int]], texts: int) -> int:
    """Return the length that nine of ten texts do not exceed, rounded up to a multiple of 32, from the long ones alone."""
    lengths = sorted((number for number, _ in long), reverse=True)
    length = lengths[min(texts // 10, len(lengths) - 1)]
    return -(-length // 32) * 32


def _excerpt(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat[:50] + ("…" if len(flat) > 50 else ""))
