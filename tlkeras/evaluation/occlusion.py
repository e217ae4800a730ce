"""Why this answer: what changes when a part of the input is taken away, for any model that can be asked.

Pictures: occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014). Texts: leaving words out
(Li, Monroe and Jurafsky, "Understanding Neural Networks through Representation Erasure", 2016).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CELLS = 8
"""A picture is divided into CELLS x CELLS cells; windows of 2 x 2 cells are covered, one after the other."""

MAX_PARTS = 48
"""A text of more words is divided into as many runs of words."""


@dataclass(frozen=True)
class Part:
    """A part of a text: `text[start:stop]`."""

    start: int
    stop: int


def occlusion(predict: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, place: int) -> np.ndarray:
    """Return how much an output falls when each cell of a picture is covered, float, shape `(CELLS, CELLS)`.

    Args:
        predict: Pictures, uint8, shape `(n, size, size, 3)`, to outputs, shape `(n, classes)`.
        pixels: The picture, uint8, shape `(size, size, 3)`.
        place: Which output.
    """
    outputs = predict(np.concatenate([pixels[None], covered_pictures(pixels)]))[:, place]
    return cell_drops(outputs[0] - outputs[1:])


def covered_pictures(pixels: np.ndarray) -> np.ndarray:
    """Return copies of a picture, each with another window covered by the picture's mean colour.

    Args:
        pixels: uint8, shape `(size, size, 3)`.

    Returns:
        uint8, shape `((CELLS - 1) ** 2, size, size, 3)`, row by row.
    """
    edges = np.linspace(0, len(pixels), CELLS + 1).round().astype(int)
    colour = pixels.mean(axis=(0, 1)).round().astype(np.uint8)
    pictures = np.repeat(pixels[None], (CELLS - 1) ** 2, axis=0)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, CELLS - 1)
        picture[edges[row] : edges[row + 2], edges[column] : edges[column + 2]] = colour
    return pictures


def cell_drops(drops: np.ndarray) -> np.ndarray:
    """Return, for each cell, the mean drop over the windows that cover it, shape `(CELLS, CELLS)`.

    Args:
        drops: How much the score falls when each window is covered, shape `((CELLS - 1) ** 2,)`.
    """
    windows = drops.reshape(CELLS - 1, CELLS - 1)
    total, count = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for row in (0, 1):
        for column in (0, 1):
            total[row : row + CELLS - 1, column : column + CELLS - 1] += windows
            count[row : row + CELLS - 1, column : column + CELLS - 1] += 1
    return total / count


def text_parts(text: str) -> list[Part]:
    """Return the words of a text; of a long one, runs of words of about the same number, MAX_PARTS at most."""
    words = [Part(*match.span()) for match in re.finditer(r"\S+", text)]
    runs = np.array_split(np.arange(len(words)), min(len(words), MAX_PARTS) or 1)
    return [Part(words[run[0]].start, words[run[-1]].stop) for run in runs if len(run)]


def without_part(text: str, part: Part) -> str:
    """Return a text with a part left out."""
    return f"{text[: part.start]} {text[part.stop :]}".strip()
