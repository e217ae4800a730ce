"""What a model makes of some examples in one pass: the features that the head reads, its logits, its outputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.features.engine import Step, compiled, run_step
from tlkeras.features.inputs import read_inputs
from tlkeras.features.rows import Rows
from tlkeras.sources.blocks import chain
from tlkeras.tasks.model import TransferModel

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Responses:
    """A row for each example.

    Attributes:
        features: float32, shape `(n, width)`.
        logits: float32, shape `(n, classes)`.
        outputs: float32, shape `(n, classes)`, see `TransferModel.network`.
    """

    features: np.ndarray
    logits: np.ndarray
    outputs: np.ndarray


def respond(model: TransferModel, examples: Examples) -> Responses:
    """Compute features, logits and outputs of some examples, in inference mode."""
    rows = read_inputs(examples, model.source)
    return Responses(*(found.values for found in run_step(_step(model, rows), [rows])))


_last: tuple[tuple[object, ...], Step] | None = None
"""What was compiled last, and from what: calibration, evaluation and verification ask the same network one after the other."""


def _step(model: TransferModel, rows: Rows) -> Step:
    """Compile, which takes a second or more, unless it was just done for the same networks and variables."""
    global _last
    blocks = [block.network for block in (*model.source.blocks, model.pool, model.head)]
    made_of = (model.network, *blocks, *model.network.variables, rows.values.dtype)
    if (
        _last is None
        or len(_last[0]) != len(made_of)
        or any(one is not other for one, other in zip(_last[0], made_of, strict=True))
    ):
        _last = made_of, compiled(response_network(model), [rows])
    return _last[1]


def response_network(model: TransferModel) -> "keras.Model":
    """Return the network from the model's input to features, logits and outputs; it shares the model's layers."""
    import keras

    base = chain((*model.source.blocks, model.pool), name="features")
    logits = model.head.network(base.output)
    return keras.Model(base.input, [base.output, logits, model.network.layers[-1](logits)], name="responses")
