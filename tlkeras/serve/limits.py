"""What the server accepts at most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from taking the machine.

    Attributes:
        body_bytes: Bytes of a request's body; more is refused by its Content-Length, before it is read.
        pixels: Pixels of a picture; more is refused by its header, before it is decoded.
        characters: Characters of a text.
        waiting: Requests that are read, decoded, waiting or computed at the same time; one more is refused.
        connections: Open connections.
        read_seconds: Time for a request's head, and again for its body, to arrive.
        answer_seconds: Time from a complete request to its answer.
    """

    body_bytes: int = 8_000_000
    pixels: int = 50_000_000
    characters: int = 100_000
    waiting: int = 32
    connections: int = 256
    read_seconds: float = 10.0
    answer_seconds: float = 30.0
