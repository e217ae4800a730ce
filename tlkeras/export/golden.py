"""Golden examples: a few encoded inputs and what the exported files answer, for the tests of an app."""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.decode import read_picture
from tlkeras.data.examples import Examples, Texts
from tlkeras.data.vanished import read_still_there
from tlkeras.export import metadata
from tlkeras.export.answers import Prediction
from tlkeras.export.artifact import Artifact
from tlkeras.export.predict import Predictor, load_artifact, predict_images, predict_texts
from tlkeras.files import write_file

FILE_NAME = "golden.json"
COUNT = 6
_LETTERS = "qzx vkw jjxq pfh zzvk wqx bnx kqjz vvx hzq xkj qpz wvx zzq kxh jqv"
_SLACK = 0.001
"""What another decoder or processor may change, as a share of the largest output."""
_ORIENTATION = 0x0112  # EXIF tag, CIPA DC-008


def write_golden(artifacts: Sequence[Artifact], examples: Examples, folder: str | Path) -> Path:
    """Write `golden.json`: inputs made from a few examples, and the outputs that an app must give for them.

    Where the model can answer "none of these", each example has its `similarity`, whether it is `refused`, and the last one is
    an input that belongs to no class: stripes, or letters at random.

    Pictures are made small, and in the shapes that apps get wrong: tall and wide ones, and one that is upright only after its
    EXIF orientation is applied. The outputs are those of the float32 `.tflite` (of the first artefact, where there is none).
    Each artefact has its tolerance: twice its largest difference from these outputs here, and 0.001 of the largest output at
    least.

    Args:
        artifacts: What `export_model` returned.
        examples: Test examples.
        folder: Where the file goes: beside the artefacts.

    Returns:
        The file.
    """
    reference = next((one for one in artifacts if one.target == "tflite_float32"), artifacts[0])
    predictor = load_artifact(reference.path, refuse=True)
    _, inputs = read_still_there(examples, lambda there: _inputs(predictor, there))
    if predictor.smallest is not None:
        inputs.append(_stripes(predictor) if predictor.modality == "image" else _LETTERS)
    expected, answers = _outputs(predictor, inputs), _answers(predictor, inputs)
    slack = _SLACK * max(float(np.abs(expected).max()), 1e-6)
    tolerances = {
        one.path.name: _round_up(max(slack, 2 * float(np.abs(_outputs(load_artifact(one.path), inputs) - expected).max())))
        for one in artifacts
    }
    content = metadata.to_json(
        {
            "format": "tlkeras golden",
            "format_version": 1,
            "task": predictor.task,
            "modality": predictor.modality,
            "labels": list(predictor.labels),
            "input": dict(predictor.contract["input"]),
            **({"rejection": dict(predictor.contract["rejection"])} if predictor.smallest is not None else {}),
            "reference": reference.path.name,
            "tolerances": tolerances,
            "examples": [
                {**_encoded(one), "outputs": [round(float(value), 6) for value in row], **_meaning(answer)}
                for one, row, answer in zip(inputs, expected[:, : len(predictor.labels)], answers, strict=True)
            ],
        }
    )
    path = Path(folder) / FILE_NAME
    write_file(path, lambda temporary: temporary.write_bytes(content))
    return path


def _inputs(predictor: Predictor, examples: Examples) -> list[bytes | str]:
    chosen = examples.take(_spread_indices(predictor, examples))
    return [*(_pictures(chosen, predictor) if predictor.modality == "image" else _texts(chosen))]


def _spread_indices(predictor: Predictor, examples: Examples) -> list[int]:
    """Return a few examples, of different targets where there are some."""
    first: dict[str, int] = {}
    for row, cell in enumerate(examples.targets.cells(predictor.labels)):
        first.setdefault(cell, row)
    others = sorted(set(range(len(examples))) - set(first.values()))
    return [*first.values(), *others][:COUNT]


def _pictures(examples: Examples, predictor: Predictor) -> list[bytes]:
    size = predictor.contract["input"]["size"]
    return [_as_file(read_picture(examples.store, row, 2 * size), row) for row in range(len(examples))]


def _stripes(predictor: Predictor) -> bytes:
    """Return a picture of no kind: stripes in three colours."""
    side = 2 * predictor.contract["input"]["size"]
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    return _as_file(np.broadcast_to(colours[(np.arange(side) // 5) % 3][None], (side, side, 3)), 0)


def _as_file(square: np.ndarray, row: int) -> bytes:
    """Encode a picture: by turns a tall PNG, a wide JPEG, and a JPEG that lies on its side and says so."""
    from PIL import Image

    side = len(square)
    margin = side // 8
    kind = row % 3
    pixels = square[:, margin : side - margin] if kind == 0 else square[margin : side - margin]
    stream = io.BytesIO()
    if kind == 0:
        Image.fromarray(pixels).save(stream, format="png", optimize=True)
    elif kind == 1:
        Image.fromarray(pixels).save(stream, format="jpeg", quality=90)
    else:
        orientation = Image.Exif()
        orientation[_ORIENTATION] = 6  # to be turned by 90 degrees, clockwise
        Image.fromarray(np.rot90(pixels)).save(stream, format="jpeg", quality=90, exif=orientation)
    return stream.getvalue()


def _texts(examples: Examples) -> list[str]:
    if not isinstance(examples.store, Texts):
        raise TypeError(f"Golden texts come from texts. Received: {type(examples.store).__name__}")
    return list(examples.store.texts)


def _answers(predictor: Predictor, inputs: Sequence[Any]) -> list[Prediction]:
    return predict_images(predictor, inputs) if predictor.modality == "image" else predict_texts(predictor, inputs)


def _outputs(predictor: Predictor, inputs: Sequence[Any]) -> np.ndarray:
    """Return the outputs, and the similarity as one more column where the model gives it."""
    answers = _answers(predictor, inputs)
    if predictor.task == "regression":
        return np.array([[answer.value] for answer in answers], np.float64)
    similar = [[] if answer.similarity is None else [answer.similarity] for answer in answers]
    return np.stack([np.append(answer.probabilities, more) for answer, more in zip(answers, similar, strict=True)])


def _encoded(item: bytes | str) -> dict[str, str]:
    if isinstance(item, str):
        return {"text": item}
    kind = "png" if item.startswith(b"\x89PNG") else "jpeg"
    return {"media_type": f"image/{kind}", "base64": base64.b64encode(item).decode()}


def _meaning(answer: Prediction) -> dict[str, Any]:
    if answer.value is not None:
        return {}
    familiar = {} if answer.similarity is None else {"similarity": round(answer.similarity, 6), "refused": answer.refused}
    return {"labels": list(answer.labels), **familiar}


def _round_up(value: float) -> float:
    """Return a number of two digits that is not smaller."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")
