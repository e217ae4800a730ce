"""Exact and near copies: pictures that look alike, texts that are worded alike. Nothing is compared with everything.

Pictures are compared by a perceptual hash (64 signs of a cosine transform; Zauner, 2010) and then by an 8 x 8 thumbnail; texts
by MinHash over runs of five bytes (Broder, 1997) and then by the share of these that they have in common.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np

LOOK = np.dtype([("hash", "<u8"), ("thumbnail", "u1", (8, 8, 3))])
"""What is kept of a picture to find its near copies: 200 bytes."""

SMALLEST_SIDE = 64
"""Smaller pictures show too little for a hash to tell alike from same: of these only exact copies are found."""

MAX_BITS = 8
"""Pictures whose hashes differ in more bits are no near copies. Re-encoding moves 0 to 4 of the 64, a crop of 2 % up to 10."""

MIN_CORRELATION = 0.95
MIN_OVERLAP = 0.8
"""Texts that have this share of their runs of five bytes in common (Jaccard) are near copies."""

_NO_HASH = 0
_MAX_TINT = 48
_FLAT = 3.0
_RUN = 5
_BANDS, _ROWS = 8, 4
_LONGEST = 20_000
_CHUNK_BYTES = 2_000_000
_MAX_BLOCK = 1_000_000
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
    large = np.asarray(sides) >= SMALLEST_SIDE
    looks["hash"][large] = np.packbits(signs[large], axis=1).view(">u8")[:, 0]
    return looks


def near_pictures(looks: np.ndarray) -> np.ndarray:
    """Return the pairs of near copies, int64, shape `(pairs, 2)`; of many equal pictures only a chain of pairs.

    Two pictures are near copies if their hashes differ in at most `MAX_BITS` bits and their thumbnails correlate by at least
    `MIN_CORRELATION`, with a mean colour that differs by at most 48 of 255. All such pairs are found: hashes that differ in at
    most k of k + 2 blocks have two blocks in common, and only those that do are compared.

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
    return candidates[_look_alike(looks["thumbnail"], candidates)]


def near_texts(texts: Sequence[str]) -> np.ndarray:
    """Return pairs of texts that are the same but for case, punctuation and blanks, or near copies; int64, shape `(pairs, 2)`.

    Of many equal texts only a chain of pairs is given. MinHash with 32 values in 8 bands finds 98 % of the pairs whose overlap
    is 0.8 and more of the closer ones; each pair it finds is then checked. Of a text, the first 20,000 bytes count.
    """
    words = [normalise_text(text) for text in texts]
    index: dict[str, int] = {}
    group = np.array([index.setdefault(text, len(index)) for text in words], np.int64)
    _, first = np.unique(group, return_index=True)
    encoded = [text.encode("utf-8", "surrogatepass")[:_LONGEST] for text in index]
    long = np.array([number for number, text in enumerate(encoded) if len(text) >= _RUN], np.int64)
    signatures = _signatures([encoded[number] for number in long])
    pairs = long[_banded_pairs(signatures)]
    kept = [pair for pair in pairs.tolist() if _overlap(encoded[pair[0]], encoded[pair[1]]) >= MIN_OVERLAP]
    near = first[np.array(kept, np.int64).reshape(-1, 2)]
    return np.concatenate([_chains(group), near])


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


def _look_alike(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Say for each pair whether the thumbnails show the same picture, bool, shape `(pairs,)`."""
    alike = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), 50_000):
        one, other = (thumbnails[pairs[start : start + 50_000, side]].astype(np.float32) for side in (0, 1))
        tint = np.abs(one.mean(axis=(1, 2)) - other.mean(axis=(1, 2))).max(axis=1)
        one, other = (part.reshape(len(part), -1) - part.mean(axis=(1, 2, 3))[:, None] for part in (one, other))
        spread = np.sqrt((one**2).mean(axis=1) * (other**2).mean(axis=1))
        close = (one * other).mean(axis=1) >= MIN_CORRELATION * spread
        # A picture of one colour has nothing that could correlate: only the colour counts.
        flat = spread < _FLAT**2
        alike[start : start + 50_000] = np.where(flat, tint <= _FLAT, close & (tint <= _MAX_TINT))
    return alike


def _signatures(texts: Sequence[bytes]) -> np.ndarray:
    """Return the MinHash of each text, uint32, shape `(n, 32)`."""
    generator = np.random.default_rng(0)
    factors = generator.integers(1, 2**32, _BANDS * _ROWS, dtype=np.uint32) | np.uint32(1)
    result = np.empty((len(texts), len(factors)), np.uint32)
    for start, stop in _text_chunks(texts):
        lengths = np.array([len(text) for text in texts[start:stop]])
        runs = _runs(b"".join(texts[start:stop]))
        ends = np.cumsum(lengths)
        # Of the runs that begin in a text, the last four reach into the next one.
        edges = np.stack([ends - lengths, ends - _RUN + 1], axis=1).ravel()
        edges = np.minimum(edges, len(runs))[: -1 if edges[-1] >= len(runs) else None]
        for place, factor in enumerate(factors):
            result[start:stop, place] = np.minimum.reduceat(runs * factor, edges)[::2]
    return result


def _text_chunks(texts: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    start = size = 0
    for number, text in enumerate(texts):
        if size > _CHUNK_BYTES:
            yield start, number
            start, size = number, 0
        size += len(text)
    if texts:
        yield start, len(texts)


def _runs(data: bytes) -> np.ndarray:
    """Return a hash of the five bytes that begin at each place, uint32, shape `(len(data) - 4,)`."""
    values = np.frombuffer(data, np.uint8).astype(np.uint64)
    codes = np.zeros(len(values) - _RUN + 1, np.uint64)
    for place in range(_RUN):
        codes = codes << np.uint64(8) | values[place : len(values) - _RUN + 1 + place]
    return (codes * _MIXER >> np.uint64(32)).astype(np.uint32)


def _banded_pairs(signatures: np.ndarray) -> np.ndarray:
    """Return pairs that agree in a band of values: in each run of equals, all neighbours, and each with the first."""
    found = [np.empty((0, 2), np.int64)]
    for band in range(_BANDS):
        keys = np.zeros(len(signatures), np.uint64)
        for place in range(band * _ROWS, (band + 1) * _ROWS):
            keys = (keys ^ signatures[:, place]) * _MIXER
        kinds = np.unique(keys, return_inverse=True)[1].reshape(-1)
        chain = _chains(kinds)
        leader = np.full(int(kinds.max(initial=-1)) + 1, len(kinds), np.int64)
        np.minimum.at(leader, kinds, np.arange(len(kinds)))
        found += [chain, np.stack([leader[kinds[chain[:, 1]]], chain[:, 1]], axis=1)]
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    agreement = (signatures[pairs[:, 0]] == signatures[pairs[:, 1]]).mean(axis=1)
    return pairs[(agreement >= MIN_OVERLAP - 0.3) & (pairs[:, 0] != pairs[:, 1])]


def _overlap(one: bytes, other: bytes) -> float:
    left, right = ({text[place : place + _RUN] for place in range(len(text) - _RUN + 1)} for text in (one, other))
    return len(left & right) / len(left | right)
