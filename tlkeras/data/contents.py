"""What an example holds: a digest that copies share, a look that near copies share, a key that orders at random."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tlkeras.data.decode import resize_pixels
from tlkeras.data.duplicates import LOOK, SMALLEST_SIDE, picture_looks
from tlkeras.data.examples import Examples, ImageArrays, Texts


def content_digests(examples: Examples) -> np.ndarray:
    """Return a str for each example, shape `(n,)`, that is the same for exact copies.

    Files have it in the metadata column `digest` (filled where they are checked); without it each is its own.
    """
    store = examples.store
    if isinstance(store, Texts):
        return _as_array(_digest(text.encode("utf-8", "surrogatepass")) for text in store.texts)
    if isinstance(store, ImageArrays):
        return _as_array(_digest(np.ascontiguousarray(picture).tobytes()) for picture in store.pixels)
    return np.asarray(examples.metadata.get("digest", examples.ids))


def looks(examples: Examples) -> np.ndarray | None:
    """Return what near copies are found by, of dtype `LOOK`, shape `(n,)`; None for texts and where it is not known.

    Files have it in the metadata column `look` (filled where they are checked).
    """
    store = examples.store
    if isinstance(store, ImageArrays):
        side = min(store.pixels.shape[1:3])
        if side < SMALLEST_SIDE:
            return np.zeros(len(store), LOOK)
        with ThreadPoolExecutor() as pool:
            squares = np.stack(list(pool.map(lambda picture: resize_pixels(picture, 32), store.pixels)))
        return picture_looks(squares, np.full(len(squares), side))
    return examples.metadata.get("look")


def rank_keys(names: Iterable[str], seed: int) -> np.ndarray:
    """Return a str for each name whose order is a seeded shuffle that does not depend on the other names."""
    return _as_array(_digest(f"{seed}\0{name}".encode("utf-8", "surrogatepass")) for name in names)


def pool_fingerprint(fingerprint: str, pool: Examples) -> str:
    """Return the fingerprint of splits, a sha256 hex digest, with a pool of unlabelled examples counted in."""
    digest = hashlib.sha256(fingerprint.encode())
    digest.update("\n".join(map(repr, zip(pool.ids.tolist(), content_digests(pool).tolist(), strict=True))).encode())
    return digest.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _as_array(texts: Iterable[str]) -> np.ndarray:
    return np.array(list(texts), dtype=str)
