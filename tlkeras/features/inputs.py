"""From examples to what a source model's network reads: decoded pixels or token ids, each input read once."""

import hashlib
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlkeras.data.contents import content_digests
from tlkeras.data.decode import iterate_pixels, read_pixels, read_sizes
from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Texts, cannot_read
from tlkeras.data.pipelines import tokenize
from tlkeras.features.cache import cache_key
from tlkeras.features.memory import available_bytes
from tlkeras.features.rows import Rows, ragged
from tlkeras.machine import installed_versions
from tlkeras.sources.model import SourceModel

log = logging.getLogger("tlkeras")
_TEXTS = 65536  # that are split into tokens before any is written

MOST_BYTES = 128_000_000
"""What pixels or tokens may take in memory, if a quarter of what is free is more: beyond it they lie in a temporary file."""


def read_inputs(examples: Examples, source: SourceModel) -> Rows:
    """Return what `source.network` reads for each example.

    Pictures come as uint8 pixels `(n, size, size, 3)`, texts as int32 token ids of varying length, at most `source.input_size`
    of them; where they may take more than 128 MB, or a quarter of the free memory, they go through a temporary file. Their keys
    are those of `input_keys`.
    """
    return replace(_read(examples, source), keys=input_keys(examples, source))


def input_keys(examples: Examples, source: SourceModel) -> np.ndarray:
    """Return what tells apart what a source model's network reads, without reading it: bytes, shape `(n,)`.

    They depend on the content of a picture or text and on how it becomes pixels or tokens: size, resizing, tokenizer, versions.
    """
    tokenizer = hashlib.sha256(source.tokenizer.to_str().encode()).hexdigest() if source.tokenizer else None
    installed = installed_versions()
    versions = {name: installed.get(name) for name in ("tlkeras", "pillow", "tokenizers")}
    shape = examples.store.pixels.shape[1:] if isinstance(examples.store, ImageArrays) else None
    form = [source.modality, source.input_size, source.resize, tokenizer, shape, versions]
    how = cache_key(kind="inputs", form=form).encode()
    digests = (
        hashlib.blake2b(name.encode(), digest_size=16, key=how).hexdigest() for name in example_digests(examples).tolist()
    )
    return np.fromiter((digest.encode() for digest in digests), "S32", len(examples))


def example_digests(examples: Examples) -> np.ndarray:
    """Return a str for each example, shape `(n,)`, equal where the contents are equal and there only."""
    store = examples.store
    if isinstance(store, (ImageFiles, EncodedImages)) and "digest" not in examples.metadata:
        return np.array([hashlib.blake2b(_encoded(store, row), digest_size=16).hexdigest() for row in range(len(store))])
    return content_digests(examples)


def _encoded(store: ImageFiles | EncodedImages, row: int) -> bytes:
    try:
        return store.encoded(row)
    except ValueError as error:
        raise cannot_read(store, row, error) from None


def _read(examples: Examples, source: SourceModel) -> Rows:
    if examples.store.modality != source.modality:
        raise ValueError(f"The source model {source.name!r} reads {source.modality}s. Received: {examples.store.modality}s")
    most = min(available_bytes() // 4, MOST_BYTES)
    if isinstance(examples.store, Texts):
        if source.tokenizer is None:
            raise ValueError(f"The source model {source.name!r} has no tokenizer; a text source needs one.")
        if 4 * len(examples) * source.input_size >= most:
            return _tokens_in_a_file(examples.store.texts, source)
        return ragged(tokenize(examples.store.texts, source.tokenizer, source.input_size), fill=source.pad_id)
    size = source.input_size
    if len(examples) * size * size * 3 < most:
        return Rows(read_pixels(examples.store, size, resize=source.resize))
    return Rows(_pixels_in_a_file(examples, size, source.resize))


def _tokens_in_a_file(texts: Sequence[str], source: SourceModel) -> Rows:
    offsets = [np.zeros(1, np.int64)]
    with tempfile.TemporaryFile() as stream:
        for start in range(0, len(texts), _TEXTS):
            rows = tokenize(texts[start : start + _TEXTS], source.tokenizer, source.input_size)  # type: ignore[arg-type]
            offsets.append(offsets[-1][-1] + np.cumsum([len(row) for row in rows]))
            stream.write(np.concatenate(rows).tobytes())
        stream.flush()
        log.info("The tokens of %d texts go to a temporary file, so that memory stays flat", len(texts))
        values = np.memmap(stream, dtype=np.int32, mode="r", shape=(int(offsets[-1][-1]),))
    return Rows(values, np.concatenate(offsets), source.pad_id)


def _pixels_in_a_file(examples: Examples, size: int, resize: str) -> np.ndarray:
    shape = (len(examples), size, size, 3)
    log.info(
        "The pixels of %d pictures go to a temporary file of %.1f GB, so that memory stays flat", shape[0], np.prod(shape) / 1e9
    )
    with tempfile.TemporaryFile() as stream:
        pixels = np.memmap(stream, dtype=np.uint8, mode="w+", shape=shape)
    start = 0
    for batch in iterate_pixels(examples.store, size, batch_size=256, resize=resize):
        pixels[start : start + len(batch)] = batch
        start += len(batch)
    return pixels


class SharedPixels:
    """Reads some pictures for several source models; each is decoded once for the sizes of all, while these fit the memory.

    Call it like `read_inputs`: it gives the same.
    """

    def __init__(self, examples: Examples, sizes: Sequence[int], *, resize: str) -> None:
        """Nothing is decoded yet.

        Args:
            examples: All pictures that will be asked for; others are read on their own, and so is a small part of these.
            sizes: The sizes of the source models.
            resize: How a picture becomes a square.
        """
        self._examples, self._resize = examples, resize
        self._sizes, self._several = tuple(sorted(set(sizes))), len(sizes) > 1
        self._rows = {name: row for row, name in enumerate(examples.ids.tolist())}
        self._pixels: dict[int, np.ndarray] = {}

    def __call__(self, examples: Examples, source: SourceModel) -> Rows:
        """Return what `source.network` reads for each example."""
        rows = [self._rows.get(name, -1) for name in examples.ids.tolist()]
        if -1 in rows or not self._serves(source, len(rows)):
            return read_inputs(examples, source)
        if not self._pixels:
            squares = read_sizes(self._examples.store, self._sizes, resize=self._resize)
            self._pixels = dict(zip(self._sizes, squares, strict=True))
        pixels = self._pixels[source.input_size]
        return Rows(pixels if rows == list(range(len(pixels))) else pixels[rows])

    def _serves(self, source: SourceModel, count: int) -> bool:
        if source.modality != "image" or source.resize != self._resize or source.input_size not in self._sizes:
            return False
        needed = len(self._rows) * 3 * sum(size * size for size in self._sizes)
        # For a few of the pictures, or one source, reading them all at all sizes would not pay.
        pays = self._several and 4 * count > len(self._rows) and needed < available_bytes() // 4
        return bool(self._pixels) or pays
