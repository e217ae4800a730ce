"""Exact and near copies: pictures that look alike, texts that are worded alike. Nothing is compared with everything.

Pictures are compared by a perceptual hash (64 signs of a cosine transform; Zauner, 2010) and then by an 8 x 8 thumbnail; texts
by MinHash over runs of five bytes (Broder, 1997) and then by the share of these that they have in common.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np

LOOK = np.dtype([("hash", "<u8"), ("thumbnail", "u1", (8, 8, 3)), ("small", "?")])
"""What is kept of a picture to find its near copies: 201 bytes."""

SMALLEST_SIDE = 64
"""Of smaller pictures, many look alike that are not the same: their thumbnails must agree almost perfectly."""

MAX_BITS = 8
"""Pictures whose hashes differ in more bits are no near copies. Re-encoding moves 0 to 4 of the 64, a crop of 2 % up to 10."""

MIN_CORRELATION = 0.95
MIN_CORRELATION_SMALL = 0.998
"""Of 1,600 silhouettes of animals (28 pixels) no two reach 0.995, of 10,000 pictures of clothes (Fashion-MNIST) 7 pairs reach
this, all copies to the eye; a silhouette that was saved as JPEG, resized, brightened or made noisy has 0.999 (2026-11-24)."""

MIN_OVERLAP = 0.8
"""Texts that have this share of their runs of five bytes in common (Jaccard) are near copies."""

_NO_HASH = 0
_LEAST_SIDE = 8
_MAX_TINT, _MAX_TINT_SMALL = 48, 12
_FLAT = 3.0
_RUN = 5
_BANDS, _ROWS = 8, 4
_LONGEST = 20_000
_CHUNK_BYTES = 2_000_000
_MAX_BLOCK = 500_000
_MANY = 200_000
_MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: spreads near numbers far apart
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_COSINES = np.cos(np.pi / 32 * (np.arange(32) + 0.5) * np.arange(8)[:, None]).astype(np.float32)


def picture_looks(pixels: np.ndarray, sides: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return what is kept of pictures to find their near copies, of dtype `LOOK`, shape `(n,)`.

    Args:
        pixels: The central squares, uint8, shape `(n, 32, 32, 3)`, as `decode_image` gives them.
        sides: The shorter side of each whole picture in pixels, shape `(n,)`.
    """
    looks = np.zeros(len(pixels), LOOK)
    looks["thumbnail"] = (pixels.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4), dtype=np.float32)).round()
    waves = (_COSINES @ (pixels @ _GREY) @ _COSINES.T).reshape(len(pixels), 64)
    # The first wave is the mean; the middle of the other 63 makes as many ones as zeros.
    signs = waves > np.sort(waves[:, 1:], axis=1)[:, 31:32]
    shown = np.asarray(sides) >= _LEAST_SIDE
    looks["hash"][shown] = np.packbits(signs[shown], axis=1).view(">u8")[:, 0]
    looks["small"] = np.asarray(sides) < SMALLEST_SIDE
    return looks


def near_pictures(looks: np.ndarray) -> np.ndarray:
    """Return the pairs of near copies, int64, shape `(pairs, 2)`; of many equal pictures only a chain of pairs.

    Two pictures are near copies if their hashes differ in at most `MAX_BITS` bits and their thumbnails correlate by at least
    `MIN_CORRELATION`, with a mean colour that differs by at most 48 of 255. Where one is smaller than `SMALLEST_SIDE`, it is
    `MIN_CORRELATION_SMALL` and 12 of 255, pictures of one colour are none, and those below 8 pixels are not compared. All such
    pairs are found: hashes that differ in at most k of k + 2 blocks have two blocks in common, and only those that do are
    compared.

    Args:
        looks: Of dtype `LOOK`, shape `(n,)`.
    """
    rows = np.flatnonzero(looks["hash"] != _NO_HASH)
    hashes, first, inverse = np.unique(looks["hash"][rows], return_index=True, return_inverse=True)
    same = _chains(inverse)
    found = [np.stack([rows[same[:, 0]], rows[same[:, 1]]], axis=1)]
    pairs = _near_hashes(hashes)
    found.append(np.stack([rows[first[pairs[:, 0]]], rows[first[pairs[:, 1]]]], axis=1))
    candidates = np.concatenate(found)
    return candidates[_look_alike(looks, candidates)]


def near_texts(texts: Sequence[str]) -> np.ndarray:
    """Return pairs of texts that are the same but for case, punctuation and blanks, or near copies; int64, shape `(pairs, 2)`.

    Of many equal texts only a chain of pairs is given. MinHash with 32 values in 8 bands finds 98 % of the pairs whose overlap
    is 0.8 and more of the closer ones; each pair it finds is then checked. Of a text, the first 20,000 bytes count. Texts are
    read one after the other; what is kept of each is 137 bytes.
    """
    hashes, signatures, long = _signatures(texts)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    rows = np.sort(first)  # of equal texts, one is enough
    rows = rows[long[rows]]
    pairs = [
        pair
        for pair in _banded_pairs(signatures, rows).tolist()
        if _overlap(_comparable(texts[pair[0]])[1], _comparable(texts[pair[1]])[1]) >= MIN_OVERLAP
    ]
    return np.concatenate([_chains(group.reshape(-1)), np.array(pairs, np.int64).reshape(-1, 2)])


def normalise_text(text: str) -> str:
    """Return the letters and digits of a text in lower case, one blank between words; the text itself if it has none."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return re.sub(r"[\W_]+", " ", folded.casefold()).strip() or text.strip()


def connect(size: int, *pairs: np.ndarray) -> np.ndarray:
    """Return the group of each of `size` rows, int64: rows that pairs connect, directly or in a chain, share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def equal_rows(values: np.ndarray) -> np.ndarray:
    """Return pairs that chain rows of equal value, int64, shape `(pairs, 2)`."""
    return _chains(np.unique(values, return_inverse=True)[1].reshape(-1))


def _chains(groups: np.ndarray) -> np.ndarray:
    order = np.argsort(groups, kind="stable")
    same = groups[order[1:]] == groups[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]], axis=1).astype(np.int64)


def _near_hashes(hashes: np.ndarray) -> np.ndarray:
    """Return the pairs of different hashes that differ in at most MAX_BITS bits."""
    # More blocks mean more keys to sort by, and fewer hashes that share one by chance.
    shared = 2 if len(hashes) < _MANY else 3
    edges = np.linspace(0, 64, MAX_BITS + shared + 1).astype(int)
    masks = [((1 << int(stop - start)) - 1) << int(start) for start, stop in pairwise(edges)]
    found = [np.empty(0, np.int64)]
    for chosen in combinations(masks, shared):
        keys = hashes & np.uint64(sum(chosen))
        order = np.argsort(keys, kind="stable")
        for left, right in _pairs_within(keys[order]):
            near = np.bitwise_count(hashes[order[left]] ^ hashes[order[right]]) <= MAX_BITS
            pair = np.sort(np.stack([order[left[near]], order[right[near]]]), axis=0)
            found.append(pair[0] * len(hashes) + pair[1])
    codes = np.unique(np.concatenate(found))
    return np.stack(np.divmod(codes, max(1, len(hashes))), axis=1)


def _pairs_within(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the positions of all pairs of equal neighbours in sorted keys, a few million at a time."""
    place = np.arange(len(keys))
    ends = np.searchsorted(keys, keys, side="right")
    counts = ends - place - 1
    for start, stop in _blocks(counts):
        left = np.repeat(place[start:stop], counts[start:stop])
        offset = np.arange(len(left)) - np.repeat(np.cumsum(counts[start:stop]) - counts[start:stop], counts[start:stop])
        yield left, left + 1 + offset


def _blocks(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    block = np.cumsum(counts) // _MAX_BLOCK
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(counts)]
    return ((start, stop) for start, stop in pairwise(edges) if stop > start)


def _look_alike(looks: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Say for each pair whether the thumbnails show the same picture, bool, shape `(pairs,)`."""
    alike = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), 50_000):
        some = looks[pairs[start : start + 50_000]]
        small = some["small"].any(axis=1)
        one, other = (some["thumbnail"][:, side].astype(np.float32) for side in (0, 1))
        tint = np.abs(one.mean(axis=(1, 2)) - other.mean(axis=(1, 2))).max(axis=1)
        one, other = (part.reshape(len(part), -1) - part.mean(axis=(1, 2, 3))[:, None] for part in (one, other))
        spread = np.sqrt((one**2).mean(axis=1) * (other**2).mean(axis=1))
        close = (one * other).mean(axis=1) >= np.where(small, MIN_CORRELATION_SMALL, MIN_CORRELATION) * spread
        # A picture of one colour has nothing that could correlate: only the colour counts.
        flat = spread < _FLAT**2
        alike[start : start + 50_000] = np.where(
            flat, ~small & (tint <= _FLAT), close & (tint <= np.where(small, _MAX_TINT_SMALL, _MAX_TINT))
        )
    return alike


def _signatures(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each text a hash of its words, uint64, its MinHash, uint32 `(n, 32)`, and whether it is long enough for one."""
    generator = np.random.default_rng(0)
    factors = generator.integers(1, 2**32, _BANDS * _ROWS, dtype=np.uint32) | np.uint32(1)
    hashes, long = np.zeros(len(texts), np.uint64), np.zeros(len(texts), bool)
    result = np.zeros((len(texts), len(factors)), np.uint32)
    for start, chunk in _chunks(texts):
        hashes[start : start + len(chunk)] = np.frombuffer(b"".join(digest for digest, _ in chunk), np.uint64)
        lengths = np.array([len(text) for _, text in chunk])
        rows = np.flatnonzero(lengths >= _RUN)
        long[start + rows] = True
        if len(rows):
            result[start + rows] = _minima([chunk[row][1] for row in rows.tolist()], lengths[rows], factors)
    return hashes, result, long


def _minima(texts: Sequence[bytes], lengths: np.ndarray, factors: np.ndarray) -> np.ndarray:
    runs = _runs(b"".join(texts))
    ends = np.cumsum(lengths)
    # Of the runs that begin in a text, the last four reach into the next one.
    edges = np.stack([ends - lengths, ends - _RUN + 1], axis=1).ravel()
    edges = np.minimum(edges, len(runs))[: -1 if edges[-1] >= len(runs) else None]
    return np.stack([np.minimum.reduceat(runs * factor, edges)[::2] for factor in factors], axis=1)


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
    """Yield what is compared of the texts, some megabytes at a time, and the place of the first."""
    chunk: list[tuple[bytes, bytes]] = []
    size = 0
    for place, text in enumerate(texts):
        chunk.append(_comparable(text))
        size += len(chunk[-1][1])
        if size > _CHUNK_BYTES or place + 1 == len(texts):
            yield place + 1 - len(chunk), chunk
            chunk, size = [], 0


def _comparable(text: str) -> tuple[bytes, bytes]:
    """Return a digest of the words of a text, 8 bytes, and the words, the first 20,000 bytes."""
    words = normalise_text(text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(words, digest_size=8).digest(), words[:_LONGEST]


def _runs(data: bytes) -> np.ndarray:
    """Return a hash of the five bytes that begin at each place, uint32, shape `(len(data) - 4,)`."""
    values = np.frombuffer(data, np.uint8).astype(np.uint64)
    codes = np.zeros(len(values) - _RUN + 1, np.uint64)
    for place in range(_RUN):
        codes = codes << np.uint64(8) | values[place : len(values) - _RUN + 1 + place]
    return (codes * _MIXER >> np.uint64(32)).astype(np.uint32)


def _banded_pairs(signatures: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return pairs of rows that agree in a band of values: in each run of equals, all neighbours, and each with the first."""
    codes = [np.empty(0, np.int64)]
    for band in range(_BANDS):
        keys = np.zeros(len(rows), np.uint64)
        for place in range(band * _ROWS, (band + 1) * _ROWS):
            keys = (keys ^ signatures[rows, place]) * _MIXER
        order = np.argsort(keys, kind="stable")
        new = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))  # where another run of equals begins
        sizes = np.diff(new, append=len(order))
        later = np.setdiff1d(np.arange(len(order)), new, assume_unique=True)
        for earlier in (later - 1, np.repeat(new, sizes - 1)):
            codes.append(order[earlier] * len(rows) + order[later])  # the sort is stable: the earlier row comes first
    pairs = rows[np.stack(np.divmod(np.unique(np.concatenate(codes)), max(1, len(rows))), axis=1)]
    near = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pairs), _MAX_BLOCK):
        some = pairs[start : start + _MAX_BLOCK]
        agreement = (signatures[some[:, 0]] == signatures[some[:, 1]]).mean(axis=1)
        near.append(some[agreement >= MIN_OVERLAP - 0.3])
    return np.concatenate(near)


def _overlap(one: bytes, other: bytes) -> float:
    left, right = ({text[place : place + _RUN] for place in range(len(text) - _RUN + 1)} for text in (one, other))
    return len(left & right) / len(left | right)
