"""What the outputs on a few hundred examples do not show: the numbers in a quantised file, and how a reader reads."""

import tempfile
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.export import metadata
from tlkeras.export.aware import count_tuned
from tlkeras.export.constants import problem_with_constants
from tlkeras.export.judging import stack_outputs
from tlkeras.export.mediapipe import convert_mediapipe
from tlkeras.export.predict import Predictor, predict_images
from tlkeras.export.readings import Reading, make_readings, misread
from tlkeras.export.runtimes import Run
from tlkeras.export.saved_model import save_graph
from tlkeras.features.litert import convert_saved_model

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel

ROUNDED = ("tflite_float16", "tflite_dynamic", "tflite_int8", "mediapipe_dynamic")
"""Targets whose constants are those of float32, rounded."""


class Yardstick:
    """What all artefacts of a model are held against; each part is made when it is first asked for."""

    def __init__(self, model: "TransferModel", examples: Examples):
        """Nothing is made yet.

        Args:
            model: The Keras model that was evaluated.
            examples: What is compared on.
        """
        self.model, self._examples = model, examples

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """Pictures that readers get wrong; none for texts."""
        return make_readings(self.model, self._examples) if self.model.modality == "image" else ()

    @cached_property
    def float32(self) -> bytes:
        """The LiteRT model in float32; one that was found equal to the model may be put here."""
        with tempfile.TemporaryDirectory() as folder:
            save_graph(self.model, Path(folder))
            return convert_saved_model(folder)

    @cached_property
    def mediapipe(self) -> bytes:
        """The LiteRT model in float32, with MediaPipe's inputs."""
        return convert_mediapipe(self.model)


def problem_with_numbers(path: Path, target: str, yardstick: Yardstick) -> str:
    """Say which numbers in a quantised LiteRT file are not those of its model, rounded; empty where all are.

    Args:
        path: The file.
        target: Its target; others than `ROUNDED` have no such numbers.
        yardstick: What to hold it against.
    """
    if target not in ROUNDED:
        return ""
    embedded, content = metadata.read_tflite(path), path.read_bytes()
    tuned = count_tuned(yardstick.model) if embedded.contract.get("quantization_aware") else 0
    expected = yardstick.mediapipe if target.startswith("mediapipe") else yardstick.float32
    corrected = bool(embedded.contract.get("bias_correction"))
    return problem_with_constants(content, expected, tuned=tuned, corrected=corrected)


def problem_with_reader(
    predictor: Predictor, opened: tuple[metadata.Embedded, Run] | None, yardstick: Yardstick, *, mean: float
) -> str:
    """Say which pictures an artefact is given wrongly, by `predict` or by the graph of a SavedModel; empty where none is.

    Args:
        predictor: The loaded artefact.
        opened: What `open_encoded` returned for it.
        yardstick: What to hold it against.
        mean: See `problem_with_reading`.
    """

    def predict(contents: tuple[bytes, ...]) -> np.ndarray:
        return stack_outputs(predict_images(predictor, contents))

    for reading in yardstick.readings:
        answers = predict_images(predictor, reading.contents)
        unread = next((answer.problem for answer in answers if answer.problem), "")
        if unread:
            return f"{reading.kind} pictures, which Keras reads, cannot be read ({unread})"
        if problem := misread(reading, stack_outputs(answers), predict, mean=mean):
            return problem
        if opened:
            ask = partial(_ask, opened)
            if problem := misread(reading, ask(reading.contents), ask, mean=mean):
                return f"picture files as they are: {problem}"
    return ""


def _ask(opened: tuple[metadata.Embedded, Run], contents: tuple[bytes, ...]) -> np.ndarray:
    embedded, run = opened
    return run(np.array(contents, object))[embedded.contract["output"]["name"]]
