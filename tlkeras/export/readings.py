"""Pictures that readers get wrong, and what a model answers when they do.

An artefact that reads them wrongly moves towards the answers of the wrong reading. Rounding moves it anywhere, so a few such
pictures tell the two apart where a mean difference over ordinary ones cannot.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.decode import decode_image, read_picture, resize_pixels
from tlkeras.data.examples import Examples
from tlkeras.export.reference import as_png, run_keras

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel

_COUNT = 16
_ORIENTATION = 0x0112  # EXIF tag, CIPA DC-008
_LEAST = 1.5
_LEAST_SHARE = 0.25
"""Two standard errors below what was found, this must still be there. Without, 1 of 200 clean exports was refused."""


@dataclass(frozen=True)
class Reading:
    """Pictures of one kind, and the Keras model's answers.

    Attributes:
        kind: What they are, in words.
        mistake: What a wrong reader does with them, in words.
        contents: The files.
        right: The answers to what they show, shape `(n, outputs)`.
        wrong: The answers to what the wrong reader sees.
        shown: What they show, as plain PNG files of the model's size.
        mistaken: What the wrong reader sees, in the same form.
    """

    kind: str
    mistake: str
    contents: tuple[bytes, ...]
    right: np.ndarray
    wrong: np.ndarray
    shown: tuple[bytes, ...] = ()
    mistaken: tuple[bytes, ...] = ()


def make_readings(model: "TransferModel", examples: Examples) -> tuple[Reading, ...]:
    """Make pictures of each kind from some examples and ask the Keras model for both answers.

    Args:
        model: A model of pictures.
        examples: Examples that were already read once.
    """
    from tlkeras.features.rows import Rows

    size, resize = model.source.input_size, model.source.resize
    chosen = np.unique(np.linspace(0, len(examples) - 1, _COUNT).astype(int))
    squares = [read_picture(examples.store, int(row), 2 * size) for row in chosen]
    files = [tuple(encode(square) for square in squares) for _, _, encode, _ in _KINDS]
    seen = []
    for contents, (_, _, _, misread) in zip(files, _KINDS, strict=True):
        seen.append(np.stack([decode_image(content, size, resize=resize) for content in contents]))
        seen.append(np.stack([misread(content, size, resize) for content in contents]))
    # All in one call: the network is compiled once.
    outputs = np.split(run_keras(model, Rows(np.concatenate(seen))), len(seen))
    plain = [tuple(as_png(picture) for picture in pictures) for pictures in seen]
    return tuple(
        Reading(kind, mistake, files[i], outputs[2 * i], outputs[2 * i + 1], plain[2 * i], plain[2 * i + 1])
        for i, (kind, mistake, _, _) in enumerate(_KINDS)
    )


def problem_with_reading(reading: Reading, outputs: np.ndarray, *, mean: float) -> str:
    """Say whether outputs are those of the wrong reading rather than the right one; empty where they are not.

    The differences from the right answers are projected on what the mistake would change: 0 where it was not made, 1 where it
    was, and where rounding is all that there is, near 0. More than a half, and more than chance, is refused.

    Args:
        reading: The pictures.
        outputs: What an artefact answers to them, shape `(n, outputs)`.
        mean: How far the artefact's outputs move in the mean on ordinary pictures. Where the mistake would move them by less
            than 1.5 times that, nothing is said.
    """
    change = reading.wrong - reading.right
    if np.abs(change).max(axis=1).mean() < _LEAST * max(mean, 1e-6):
        return ""
    along = ((outputs - reading.right) * change).sum(axis=1)
    length = np.square(change).sum(axis=1)
    share = float(along.sum() / length.sum())
    error = float(np.sqrt(np.square(along - share * length).sum()) / length.sum())
    made = not (share < 0.5 or share - 2 * error < _LEAST_SHARE)
    return f"{reading.kind} pictures are read {reading.mistake} (share {share:.2f})" if made else ""


def misread(reading: Reading, outputs: np.ndarray, ask: Callable[[tuple[bytes, ...]], np.ndarray], *, mean: float) -> str:
    """Say whether an artefact is given the pictures wrongly; empty where it is not.

    What `problem_with_reading` finds against Keras's answers may be rounding that happens to go in that direction. So it must
    show against the artefact's own answers too, to plain files of what is shown and of what a wrong reader would see: these it
    rounds in the same way. Exchanged colours do not show there, because plain files are read so as well.

    Args:
        reading: The pictures.
        outputs: See `problem_with_reading`.
        ask: Returns the artefact's answers to picture files, shape `(n, outputs)`.
        mean: See `problem_with_reading`.
    """
    problem = problem_with_reading(reading, outputs, mean=mean)
    if not problem or reading.kind == "coloured":
        return problem
    own = replace(reading, right=ask(reading.shown), wrong=ask(reading.mistaken))
    return problem if problem_with_reading(own, outputs, mean=mean) else ""


def _jpeg(pixels: np.ndarray, orientation: int | None = None) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    if orientation:
        exif[_ORIENTATION] = orientation
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="jpeg", quality=95, exif=exif)
    return stream.getvalue()


def _turned_right(square: np.ndarray) -> bytes:
    return _jpeg(np.rot90(square), 6)


def _turned_left(square: np.ndarray) -> bytes:
    return _jpeg(np.rot90(square, -1), 8)


def _wide(square: np.ndarray) -> bytes:
    margin = len(square) // 6
    return _jpeg(square[margin : len(square) - margin])


def _grey(square: np.ndarray) -> np.ndarray:
    return square.astype(np.float64).mean(axis=-1).round().astype(np.uint8)


def _transparent(square: np.ndarray) -> bytes:
    """Make the left half transparent; what it hides stays in the file."""
    alpha = np.full(square.shape[:2], 255, np.uint8)
    alpha[:, : len(square) // 2] = 0
    return as_png(np.dstack([square, alpha]))


def _plain(content: bytes) -> np.ndarray:
    """Return the pixels as they stand in the file, without orientation, transparency or depth."""
    from PIL import Image

    image = Image.open(io.BytesIO(content))
    pixels = np.asarray(image)
    return np.minimum(pixels, 255).astype(np.uint8) if pixels.ndim == 2 else pixels[..., :3]


def _as_it_stands(content: bytes, size: int, resize: str) -> np.ndarray:
    return resize_pixels(_plain(content), size, resize=resize)


def _the_other_way(content: bytes, size: int, resize: str) -> np.ndarray:
    return decode_image(content, size, resize=resize)[::-1, ::-1]


def _in_another_shape(content: bytes, size: int, resize: str) -> np.ndarray:
    return decode_image(content, size, resize="crop" if resize == "squash" else "squash")


def _red(content: bytes, size: int, resize: str) -> np.ndarray:
    return decode_image(content, size, resize=resize) * np.array([1, 0, 0], np.uint8)


def _exchanged(content: bytes, size: int, resize: str) -> np.ndarray:
    return decode_image(content, size, resize=resize)[..., ::-1]


_KINDS: tuple[tuple[str, str, Callable[[np.ndarray], bytes], Callable[[bytes, int, str], np.ndarray]], ...] = (
    ("turned right (EXIF)", "as if they were upright", _turned_right, _as_it_stands),
    ("turned right (EXIF)", "turned the other way", _turned_right, _the_other_way),
    ("turned left (EXIF)", "as if they were upright", _turned_left, _as_it_stands),
    ("turned left (EXIF)", "turned the other way", _turned_left, _the_other_way),
    ("wide", "in another shape", _wide, _in_another_shape),
    ("transparent", "without their transparency", _transparent, _as_it_stands),
    ("16-bit", "as if they had 8 bits", lambda square: as_png(_grey(square).astype(np.uint16) * 257), _as_it_stands),
    ("grey", "as red ones", lambda square: as_png(_grey(square)), _red),
    ("coloured", "with red and blue exchanged", _jpeg, _exchanged),
)
"""What the pictures are, the mistake in words, how a square becomes a file, and the pixels that a reader sees who errs."""
