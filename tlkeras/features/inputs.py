"""From examples to what a source model's network reads: decoded pixels or token ids, each input read once."""

import logging
import tempfile

import numpy as np

from tlkeras.data.decode import iterate_pixels, read_pixels
from tlkeras.data.examples import Examples, Texts
from tlkeras.data.pipelines import tokenize
from tlkeras.features.memory import available_bytes
from tlkeras.features.rows import Rows, ragged
from tlkeras.sources.model import SourceModel

log = logging.getLogger("tlkeras")


def read_inputs(examples: Examples, source: SourceModel) -> Rows:
    """Return what `source.network` reads for each example.

    Pictures come as uint8 pixels `(n, size, size, 3)`; where they would fill more than a quarter of the free memory, they go
    through a temporary file. Texts come as int32 token ids of varying length, at most `source.input_size` of them.
    """
    if examples.store.modality != source.modality:
        raise ValueError(f"The source model {source.name!r} reads {source.modality}s. Received: {examples.store.modality}s")
    if isinstance(examples.store, Texts):
        if source.tokenizer is None:
            raise ValueError(f"The source model {source.name!r} has no tokenizer; a text source needs one.")
        return ragged(tokenize(examples.store.texts, source.tokenizer, source.input_size), fill=source.pad_id)
    size = source.input_size
    if len(examples) * size * size * 3 < available_bytes() // 4:
        return Rows(read_pixels(examples.store, size, resize=source.resize))
    return Rows(_pixels_in_a_file(examples, size, source.resize))


def _pixels_in_a_file(examples: Examples, size: int, resize: str) -> np.ndarray:
    shape = (len(examples), size, size, 3)
    log.info(
        "%d pictures do not fit the memory: their pixels go to a temporary file of %.1f GB", shape[0], np.prod(shape) / 1e9
    )
    with tempfile.TemporaryFile() as stream:
        pixels = np.memmap(stream, dtype=np.uint8, mode="w+", shape=shape)
    start = 0
    for batch in iterate_pixels(examples.store, size, batch_size=256, resize=resize):
        pixels[start : start + len(batch)] = batch
        start += len(batch)
    return pixels
