"""Spoilt pictures and texts of graded strength, 1 to 5; pictures are spoilt at the size that the model reads them.

After Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", 2019.
"""

import io
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SEVERITIES = (1, 2, 3, 4, 5)
_BLUR = (0.004, 0.008, 0.014, 0.022, 0.032)  # deviation, as a share of the side
_NOISE = (8, 16, 26, 40, 60)  # deviation, in grey levels
_QUALITY = (40, 25, 15, 10, 5)  # JPEG
_BRIGHTNESS = (20, 40, 60, 85, 110)  # grey levels added
_SHARE = (0.02, 0.05, 0.1, 0.2, 0.35)  # of letters mistyped
_UPPER = (0.1, 0.25, 0.5, 0.75, 1.0)  # of words in capitals


def blur(pixels: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Return pictures behind a Gaussian blur."""
    from scipy.ndimage import gaussian_filter

    deviation = max(_BLUR[severity - 1] * pixels.shape[1], 0.3 * severity)  # less than that a small picture does not show
    return np.stack([_bytes(gaussian_filter(one.astype(np.float32), (deviation, deviation, 0))) for one in pixels])


def noise(pixels: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Return pictures with Gaussian noise."""
    generator = np.random.default_rng(seed)
    return np.stack([_bytes(one + generator.normal(0, _NOISE[severity - 1], one.shape)) for one in pixels])


def jpeg(pixels: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Return pictures that were saved as JPEG of low quality."""
    return np.stack([_through_jpeg(one, _QUALITY[severity - 1]) for one in pixels])


def brighter(pixels: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Return pictures that are too bright."""
    return np.stack([_bytes(one.astype(np.float32) + _BRIGHTNESS[severity - 1]) for one in pixels])


def darker(pixels: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Return pictures that are too dark."""
    return np.stack([_bytes(one.astype(np.float32) - _BRIGHTNESS[severity - 1]) for one in pixels])


def typos(text: str, severity: int, seed: int) -> str:
    """Return a text in which letters are left out, doubled, or swapped with the next one."""
    generator, letters, place = random.Random(seed), list(text), 0  # noqa: S311
    while place < len(letters):
        if letters[place].isalpha() and generator.random() < _SHARE[severity - 1]:
            kind = generator.choice(("left out", "doubled", "swapped"))
            if kind == "left out":
                letters[place] = ""
            elif kind == "doubled":
                letters[place] *= 2
            elif place + 1 < len(letters):
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
                place += 1
        place += 1
    return "".join(letters)


def capitals(text: str, severity: int, seed: int) -> str:
    """Return a text with words in capitals."""
    generator = random.Random(seed)  # noqa: S311
    return " ".join(word.upper() if generator.random() < _UPPER[severity - 1] else word for word in text.split(" "))


PICTURES: Mapping[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "blur": blur,
    "noise": noise,
    "jpeg": jpeg,
    "brighter": brighter,
    "darker": darker,
}
TEXTS: Mapping[str, Callable[[str, int, int], str]] = {"typos": typos, "capitals": capitals}


def _bytes(values: Any) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="jpeg", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))
