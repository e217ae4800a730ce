"""What a model makes of some examples in one pass: the features that the head reads, its logits, its outputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.features.engine import run_network
from tlkeras.features.inputs import read_inputs
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
    found = run_network(response_network(model), [read_inputs(examples, model.source)])
    return Responses(*(rows.values for rows in found))


def response_network(model: TransferModel) -> "keras.Model":
    """Return the network from the model's input to features, logits and outputs; it shares the model's layers."""
    import keras

    base = chain((*model.source.blocks, model.pool), name="features")
    logits = model.head.network(base.output)
    return keras.Model(base.input, [base.output, logits, model.network.layers[-1](logits)], name="responses")
