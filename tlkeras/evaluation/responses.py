"""What a model makes of some examples in one pass: the features that the head reads, its logits, its outputs."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Examples, ImageFiles
from tlkeras.data.image_files import modification_times
from tlkeras.features.engine import Step, compiled, run_step
from tlkeras.features.inputs import input_keys, read_inputs
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


@dataclass(frozen=True)
class _Asked:
    """The network that was asked last, what it is made of, and its newest answers.

    Calibration, evaluation and verification ask the same network one after the other, and the latter two the same examples.
    """

    made_of: tuple[object, ...]
    step: Step
    answers: dict[bytes, Responses]


_MOST_BYTES = 64_000_000
"""What kept answers may take in memory."""
_last: _Asked | None = None


def respond(model: TransferModel, examples: Examples) -> Responses:
    """Compute features, logits and outputs of some examples, in inference mode; what was just computed is not computed again.

    The arrays are shared by all who ask and cannot be written to.
    """
    global _last
    blocks = [block.network for block in (*model.source.blocks, model.pool, model.head)]
    made_of = (model.network, *blocks, *model.network.variables)
    known = _last if _last and _are_same(_last.made_of, made_of) else None
    key = _key(model, examples)
    if known and key in known.answers:
        return known.answers[key]
    rows = read_inputs(examples, model.source)
    if known is None:  # to compile takes a second or more
        known = _last = _Asked(made_of, compiled(response_network(model), [rows]), {})
    found = Responses(*(found.values for found in run_step(known.step, [rows])))
    _keep(known.answers, key, found)
    return found


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


def _key(model: TransferModel, examples: Examples) -> bytes:
    """Return what the answers depend on: what the network reads, and the values of its weights."""
    digest = hashlib.blake2b(input_keys(examples, model.source).tobytes(), digest_size=16)
    if isinstance(examples.store, ImageFiles):  # their digests are of when they were loaded
        digest.update(modification_times(examples.store.paths).tobytes())
    for variable in model.network.variables:
        digest.update(variable.numpy().tobytes())
    return digest.digest()


def _keep(answers: dict[bytes, Responses], key: bytes, found: Responses) -> None:
    """Keep answers, and let the oldest go that there is no room for."""
    for array in (found.features, found.logits, found.outputs):
        array.setflags(write=False)
    answers[key] = found
    while (
        answers and sum(one.features.nbytes + one.logits.nbytes + one.outputs.nbytes for one in answers.values()) > _MOST_BYTES
    ):
        del answers[next(iter(answers))]


def response_network(model: TransferModel) -> "keras.Model":
    """Return the network from the model's input to features, logits and outputs; it shares the model's layers."""
    import keras

    base = chain((*model.source.blocks, model.pool), name="features")
    logits = model.head.network(base.output)
    return keras.Model(base.input, [base.output, logits, model.network.layers[-1](logits)], name="responses")
