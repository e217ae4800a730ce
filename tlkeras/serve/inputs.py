"""From a request's body to one row of the model's own input: the decoder and tokenizer that `tlkeras predict` uses."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tlkeras.data.decode import decode_image
from tlkeras.data.picture_headers import read_header
from tlkeras.data.pipelines import cutting_tokenizer
from tlkeras.serve.limits import Limits
from tlkeras.serve.problems import ProblemError

if TYPE_CHECKING:
    from tlkeras.export.predict import Predictor


def with_ready_tokenizer(predictor: "Predictor") -> "Predictor":
    """Return the predictor with its tokenizer set to cut at the model's length, which is slow to do for each text."""
    if predictor.tokenizer is None:
        return predictor
    length = predictor.contract["input"]["sequence_length"]
    return replace(predictor, tokenizer=cutting_tokenizer(predictor.tokenizer, length))


def picture_row(predictor: "Predictor", data: bytes, limits: Limits) -> np.ndarray:
    """Return the pixels of an encoded picture, uint8, shape `(size, size, 3)`.

    Raises:
        ProblemError: It is no picture (422), or one of too many pixels (413, known from its header).
    """
    terms = predictor.contract["input"]
    try:
        header = read_header(data)
        if header.width * header.height > limits.pixels:
            raise ProblemError(
                413,
                f"The picture has {header.width} x {header.height} pixels; the limit is {limits.pixels:,}. Send a smaller one.",
            )
        return decode_image(data, terms["size"], resize=terms.get("resize", "crop"))
    except ValueError as error:
        if isinstance(error.__cause__, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            raise ProblemError(
                413, f"The picture has too many pixels; the limit is {limits.pixels:,}. Send a smaller one."
            ) from None
        raise ProblemError(422, f"The body cannot be read as a picture: {error}.") from None


def text_row(predictor: "Predictor", text: str) -> np.ndarray:
    """Return the token ids of a text, int32, shape `(length,)`; or the text itself, for a model that takes strings.

    Args:
        predictor: The model, its tokenizer made ready.
        text: The text.
    """
    terms = predictor.contract["input"]
    if terms["dtype"] == "string":
        return np.array(text.encode(), object)
    if predictor.tokenizer is None:
        raise ProblemError(500, "The model carries no tokenizer. Export it again.")
    return np.array(predictor.tokenizer.encode(text).ids, np.int32)


def read_text(body: bytes, limits: Limits) -> str:
    """Return the text of a JSON body `{"text": "…"}`.

    Raises:
        ProblemError: It is not such JSON (400, 422), or the text is too long (413).
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ProblemError(400, f'The body is not JSON: {reason}. Send {{"text": "…"}} in UTF-8.') from None
    if not isinstance(value, dict) or set(value) != {"text"} or not isinstance(value["text"], str):
        raise ProblemError(422, f'The body is a JSON object with the one member "text", a string. Received: {_shown(value)}')
    text = value["text"]
    if len(text) > limits.characters:
        detail = f"The text has {len(text):,} characters; the limit is {limits.characters:,}. Send a shorter one."
        raise ProblemError(413, detail)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ProblemError(422, f"The text is not valid Unicode: a lone surrogate at character {error.start}.") from None
    return text


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:5])) or 'no members'}"[:200]
    return {"list": "an array", "str": "a string", "NoneType": "null", "bool": "a boolean"}.get(
        type(value).__name__, "a number"
    )
