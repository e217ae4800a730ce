"""How large the pictures of a data set are."""

import numpy as np

from tlkeras.data.examples import EncodedImages, ImageArrays, ImageFiles, Store
from tlkeras.data.picture_headers import stored_header

LOOKED_AT = 100


def typical_side(store: Store) -> int:
    """Return the median of the shorter sides, in pixels, of at most 100 pictures; reads their headers.

    Args:
        store: `ImageFiles`, `EncodedImages` or `ImageArrays`.

    Raises:
        DataError: A picture cannot be read; the message names it.
    """
    if isinstance(store, ImageArrays):
        return min(store.pixels.shape[1:3])
    if not isinstance(store, (ImageFiles, EncodedImages)):
        raise TypeError(f"Pictures come from ImageFiles, EncodedImages or ImageArrays. Received: {type(store).__name__}")
    rows = np.linspace(0, len(store) - 1, min(LOOKED_AT, len(store))).astype(int)
    headers = [stored_header(store, int(row)) for row in rows]
    return int(np.median([min(header.width, header.height) for header in headers]))
