"""Is an explanation true to the model? Take away, or put back, what it calls important, and look at the answer.

Deletion and insertion: Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", 2018.
"""

from collections.abc import Callable

import numpy as np

STEPS = 16


def deletion_score(
    predict: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, importance: np.ndarray, place: int
) -> float:
    """Return the mean output while pixels are blackened, the most important first: the lower, the truer the explanation.

    Args:
        predict: Pictures, uint8, shape `(n, size, size, 3)`, to outputs, shape `(n, classes)`.
        pixels: The picture, uint8, shape `(size, size, 3)`.
        importance: Of each part of the picture, shape `(h, w)`; enlarged to the picture.
        place: Which output.
    """
    return _mean(predict(np.where(_first_parts(pixels, importance), np.uint8(0), pixels))[:, place])


def insertion_score(
    predict: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, importance: np.ndarray, place: int
) -> float:
    """Return the mean output while pixels are put on a black picture, the most important first: the higher, the truer."""
    return _mean(predict(np.where(_first_parts(pixels, importance), pixels, np.uint8(0)))[:, place])


def enlarge(values: np.ndarray, size: int) -> np.ndarray:
    """Return a map enlarged to `(size, size)`, bilinear, float32."""
    from PIL import Image

    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR), np.float32)


def _first_parts(pixels: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """Masks of the 0, 1/STEPS … all most important pixels, bool, shape `(STEPS + 1, size, size, 1)`."""
    size = len(pixels)
    order = np.argsort(-enlarge(importance, size).ravel(), kind="stable")
    rank = np.empty(size * size, np.int64)
    rank[order] = np.arange(size * size)
    counts = np.round(np.linspace(0, size * size, STEPS + 1))
    return (rank[None] < counts[:, None]).reshape(-1, size, size, 1)


def _mean(outputs: np.ndarray) -> float:
    return float(np.trapezoid(outputs, dx=1 / STEPS))
