"""Encodings of text files: which one a file seems to have, and at which row it stops being the one that was expected."""

import codecs
from pathlib import Path

from tlkeras.errors import DataError

_SAMPLE = 100_000
_MAGIC = {
    b"PK\x03\x04": "a zip file (an XLSX workbook is one)",
    b"\x1f\x8b": "a gzip file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"%PDF": "a PDF",
    b"SQLite format": "an SQLite database",
}
_OTHER_SCRIPTS = (
    *("cp1251", "koi8_r", "cp866", "cp1253", "cp1255", "cp1256", "tis_620", "cp874"),
    *("gb18030", "gbk", "gb2312", "big5", "big5hkscs", "cp950", "cp949", "euc_kr", "johab", "cp932", "euc_jp", "shift_jis"),
)


def text_encoding(encoding: str | None) -> str:
    """Return the codec to read a table with: UTF-8 with or without a byte order mark if none is named.

    Raises:
        ValueError: There is no such encoding.
    """
    if encoding is None:
        return "utf-8-sig"
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"Unknown encoding. Received: {encoding!r}. Usual ones: utf-8, utf-16, windows-1252, latin-1, shift_jis, gb18030."
        ) from None
    return "utf-8-sig" if name == "utf-8" else name


def wrong_encoding(path: Path, error: UnicodeDecodeError, encoding: str | None) -> DataError:
    """Return the error for a file that is not in the encoding it was read with: the row, the byte, the likely encoding."""
    guess = guess_encoding(path)
    ways = f"Name its encoding: encoding={guess!r} (on the command line --encoding {guess}), or save it as UTF-8"
    if encoding is not None:
        return DataError(f"{str(path)!r} is not {encoding} ({error.reason}); it looks like {guess}. {ways}.")
    row, offset, byte = _first_bad_byte(path)
    return DataError(
        f"{path}, row {row}: byte {byte:#04x} at offset {offset} is not UTF-8; the file looks like {guess}. {ways} (in Excel: "
        f"'CSV UTF-8'; on a command line: iconv -f {guess} -t utf-8)."
    )


def guess_encoding(path: Path) -> str:
    """Return the encoding that a file seems to have; a guess, for messages only."""
    with path.open("rb") as stream:
        head = stream.read(_SAMPLE)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    for encoding in ("shift_jis", "euc_jp"):
        if _share_of_kana(head, encoding) > 0.2:
            return encoding
    import charset_normalizer

    found = charset_normalizer.from_bytes(head).best()
    # Western code pages differ in so few letters that it takes one for another; Windows-1252 is by far the most frequent.
    return found.encoding if found and found.encoding in _OTHER_SCRIPTS else "windows-1252"


def binary_kind(head: bytes) -> str | None:
    """Say what a file is that is no text in any usual encoding, from its first bytes; None for text."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff")) or head[1::2].count(0) > len(head) // 4  # UTF-16
    return "no text" if not wide and head.count(0) > len(head) // 20 else None


def _share_of_kana(head: bytes, encoding: str) -> float:
    """Return which part of the characters beyond ASCII are Japanese syllables."""
    others = [character for character in head.decode(encoding, "replace") if ord(character) > 127]
    return sum("\u3040" <= character <= "\u30ff" for character in others) / len(others) if others else 0.0


def _first_bad_byte(path: Path) -> tuple[int, int, int]:
    """Return the 1-based row, the offset and the value of the first byte that is not UTF-8."""
    offset = row = 0
    with path.open("rb") as stream:
        for row, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return row, offset + error.start, line[error.start]
            offset += len(line)
    return row, offset, 0
