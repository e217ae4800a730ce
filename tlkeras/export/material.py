"""What the writers of all export targets are given."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.features.litert import convert_saved_model

if TYPE_CHECKING:
    from tlkeras.data.examples import Examples
    from tlkeras.tasks.model import TransferModel


@dataclass(frozen=True)
class Material:
    """What is exported.

    Attributes:
        model: The model.
        graph: The SavedModel that every target starts from, see `tlkeras.export.saved_model.save_graph`.
        calibration: Training examples, for targets that measure the ranges of activations.
        validation: Validation examples, for targets that may have to be fine-tuned.
        max_drop: How much of the measure those may lose before; the bound of the target if not given.
    """

    model: "TransferModel"
    graph: Path
    calibration: "Examples | None" = None
    validation: "Examples | None" = None
    max_drop: float | None = None

    @cached_property
    def float32(self) -> bytes:
        """The LiteRT model in float32; it is converted once."""
        return convert_saved_model(self.graph)

    def examples(self) -> "Examples":
        """Return the calibration examples.

        Raises:
            ValueError: None were given.
        """
        if self.calibration is None:
            raise ValueError(
                "Full int8 measures the ranges of activations on real examples, and none were given. "
                "Give them: tl.export_model(..., calibration=splits.train), or take 'tflite_dynamic', which needs none."
            )
        return self.calibration
