"""What an example holds: a digest that copies share, a look that near copies share, a key that orders at random."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from tlkeras.data.decode import resize_pixels
from tlkeras.data.duplicates import picture_looks
from tlkeras.data.examples import Examples, ImageArrays, Texts


def content_digests(examples: Examples) -> np.ndarray:
    """Return a str for each example, shape `(n,)`, that is the same for exact copies.

    Files have it in the metadata column `digest` (filled where they are checked); without it each is its own.
    """
    store = examples.store
    if isinstance(store, Texts):
        return _as_array((_digest(text.encode("utf-8", "surrogatepass")) for text in store.texts), len(store))
    if isinstance(store, ImageArrays):
        return _as_array((_digest(np.ascontiguousarray(picture).tobytes()) for picture in store.pixels), len(store))
    return np.asarray(examples.metadata.get("digest", examples.ids))


def looks(examples: Examples) -> np.ndarray | None:
    """Return what near copies are found by, see `picture_looks`, shape `(n,)`; None for texts and where it is not known.

    Files have it in the metadata column `look` (filled where they are checked).
    """
    store = examples.store
    if isinstance(store, ImageArrays):
        side = min(store.pixels.shape[1:3])
        with ThreadPoolExecutor() as pool:
            squares = np.stack(list(pool.map(lambda picture: resize_pixels(picture, 32), store.pixels)))
        return picture_looks(squares, np.full(len(squares), side))
    return examples.metadata.get("look")


def rank_keys(names: Iterable[str], seed: int, count: int) -> np.ndarray:
    """Return 32 bytes for each of `count` names whose order is a seeded shuffle that does not depend on the other names."""
    return np.fromiter((_digest(f"{seed}\0{name}".encode("utf-8", "surrogatepass")) for name in names), "S32", count)


def pool_fingerprint(fingerprint: str, pool: Examples) -> str:
    """Return the fingerprint of splits, a sha256 hex digest, with a pool of unlabelled examples counted in."""
    digest = hashlib.sha256(fingerprint.encode())
    for piece in listing(zip(pool.ids, content_digests(pool), strict=True)):
        digest.update(piece)
    return digest.hexdigest()


def listing(rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    """Yield rows as lines of text, some thousands at a time; repr escapes whatever a name may hold, line breaks included."""
    rest, between = iter(rows), ""
    while chunk := list(islice(rest, 4096)):
        lines = (repr(tuple(map(_plain, row))) for row in chunk)
        yield (between + "\n".join(lines)).encode()
        between = "\n"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _as_array(digests: Iterable[str], count: int) -> np.ndarray:
    return np.fromiter(digests, "U32", count)
