"""Which form of a model fits a budget of size and latency, or what would have to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import TlkerasError
from tlkeras.evaluation.limits import Limits
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.benchmark import Benchmark
from tlkeras.sources.catalog import list_sources

if TYPE_CHECKING:
    from tlkeras.tasks.model import TransferModel

_MEGA = 1e6
_SUGGESTED = 3
_SMALLEST_IMAGE, _SHORTEST_TEXT = 32, 4


class BudgetError(TlkerasError):
    """No form of a model fits a budget."""

    exit_code = 1


@dataclass(frozen=True)
class Variant:
    """One form of a model: its file, its comparison with Keras, its measurements on this machine."""

    artifact: Artifact
    parity: Parity
    benchmark: Benchmark

    @property
    def megabytes(self) -> float:
        """Its size in 10^6 bytes."""
        return self.artifact.size_bytes / _MEGA

    @property
    def milliseconds(self) -> float:
        """The 90th percentile of its latency, on the number of threads that is best."""
        return self.benchmark.fastest.p90

    def objection(self, limits: Limits) -> str:
        """Say what is against it; empty where nothing is."""
        if not self.parity.passed:
            return "refused: not the same model"
        if limits.megabytes is not None and self.megabytes > limits.megabytes:
            return f"{self.megabytes:.1f} MB is more than {limits.megabytes:g} MB"
        return limits.too_slow(self.milliseconds) or ""


def pick(variants: Sequence[Variant], limits: Limits) -> Variant | None:
    """Return the variant that fits and answers most like Keras; of equals, the smallest; None where none fits.

    Not the one with the best accuracy: that would choose on the labels of the test examples.
    """
    fitting = [variant for variant in variants if not variant.objection(limits)]
    return min(fitting, key=lambda variant: (variant.parity.mean_difference or 0.0, variant.megabytes), default=None)


def advise(variants: Sequence[Variant], limits: Limits, model: "TransferModel") -> list[str]:
    """Say what would have to change where no variant fits, with numbers that follow from those measured.

    Args:
        variants: At least one.
        limits: The limits that none of them keeps.
        model: The model.
    """
    equal = [variant for variant in variants if variant.parity.passed]
    if not equal:
        return ["No form behaves as the Keras model does; see parity.json for the worst examples."]
    advice = []
    smallest = min(equal, key=lambda variant: variant.megabytes)
    if limits.megabytes is not None and smallest.megabytes > limits.megabytes:
        advice.append(_smaller_source(smallest, limits.megabytes, model))
    fastest = min(equal, key=lambda variant: variant.milliseconds)
    if limits.milliseconds is not None and fastest.milliseconds > limits.milliseconds:
        advice.append(_smaller_input(fastest, limits.milliseconds, model))
    return advice or [
        f"{smallest.artifact.path.name} is small enough and {fastest.artifact.path.name} fast enough, but none is both: "
        "allow more of one."
    ]


def _smaller_source(smallest: Variant, allowed: float, model: "TransferModel") -> str:
    parameters = model.network.count_params()
    most = int(parameters * allowed / smallest.megabytes)
    fitting = sorted(
        (
            row
            for row in list_sources()
            if row.modality == model.modality and row.parameters <= most and row.weights != "random"
        ),
        key=lambda row: -row.parameters,
    )
    names = ", ".join(f"{row.name} ({row.parameters / _MEGA:.1f} M)" for row in fitting[:_SUGGESTED])
    return (
        f"The smallest form, {smallest.artifact.path.name}, has {smallest.megabytes:.1f} MB; {allowed:g} MB are allowed. "
        f"Take a source of at most {most / _MEGA:.1f} M parameters instead of {parameters / _MEGA:.1f} M"
        + (f": {names}." if names else "; `tlkeras sources` lists none that small.")
    )


def _smaller_input(fastest: Variant, allowed: float, model: "TransferModel") -> str:
    share, size = allowed / fastest.milliseconds, model.source.input_size
    # Convolutions take time by the area of the picture, encoders about by the length of the text.
    if model.modality == "image":
        less, option = int(size * share**0.5), f"--image-size {max(_SMALLEST_IMAGE, int(size * share**0.5))}"
        enough = less >= _SMALLEST_IMAGE
    else:
        less, option = int(size * share), f"--sequence-length {max(_SHORTEST_TEXT, int(size * share))}"
        enough = less >= _SHORTEST_TEXT
    change = f"Train with about {option} (now {size}), or take" if enough else "No input is small enough for that: take"
    return (
        f"The fastest form, {fastest.artifact.path.name}, takes {fastest.milliseconds:.1f} ms; {allowed:g} ms are allowed. "
        f"{change} a source with fewer operations: tlkeras rank DATA --max-latency {allowed:g}ms"
    )


def save_tradeoff(variants: Sequence[Variant], limits: Limits, picked: Variant | None, path: Path) -> None:
    """Draw size and latency against the measure on the test examples.

    Args:
        variants: What was measured.
        limits: Drawn as lines.
        picked: The variant that carries a ring.
        path: Where to write the PNG.
    """
    from tlkeras.plots import save_points

    measure = variants[0].parity.measure.replace("_", " ")
    values = [variant.parity.measure_artifact or float("nan") for variant in variants]
    names = [variant.artifact.target.removeprefix("tflite_") for variant in variants]
    save_points(
        {
            "size in MB": ([variant.megabytes for variant in variants], limits.megabytes),
            "ms for one example here (90th percentile)": (
                [variant.milliseconds for variant in variants],
                limits.milliseconds,
            ),
        },
        values,
        names,
        path,
        measure=f"test {measure}",
        ringed=None if picked is None else variants.index(picked),
        refused=[not variant.parity.passed for variant in variants],
    )
