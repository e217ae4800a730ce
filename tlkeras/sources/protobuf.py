"""Protocol buffers, as far as reading one needs them: the fields of a message, in their order."""

from collections.abc import Iterator

from tlkeras.errors import WeightsError


def read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a message.

    Values are whole numbers (varint) or bytes: texts, messages, packed numbers, and the 4 or 8 bytes of fixed-size numbers
    (https://protobuf.dev/programming-guides/encoding).

    Raises:
        WeightsError: The message is cut short or malformed.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)
        if length < 0 or at + length > len(data):
            raise WeightsError("A protocol buffer is cut short or malformed.")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise WeightsError("A protocol buffer is cut short or malformed.")
