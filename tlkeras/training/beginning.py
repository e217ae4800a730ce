"""How a phase begins: what trains, adapters, new weights and seeds where they are asked for, and a line that says so."""

import logging

import numpy as np

from tlkeras.sources.blocks import with_random_weights
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.adapters import with_adapters
from tlkeras.training.freezing import count_trainable, set_trainable

log = logging.getLogger("tlkeras")


def begin_phase(model: TransferModel, phase: Phase, number: int, count: int, *, seed: int) -> TransferModel:
    """Freeze and unfreeze, draw new weights where the phase asks for them, seed the dropout layers.

    Args:
        model: The model.
        phase: The phase.
        number: Its number, from 0.
        count: How many phases there are.
        seed: Seed of adapters, new weights, and dropout.

    Returns:
        The model that trains: the same, or with adapters, see `with_adapters`.
    """
    set_trainable(model, phase)
    adapted = with_adapters(model, phase, seed=seed)
    if phase.initialise == "random":
        fresh = with_random_weights(adapted.source, seed=seed)
        for block, new in zip(adapted.source.blocks, fresh.blocks, strict=True):
            if block.network.trainable:
                block.network.set_weights(new.network.get_weights())
    generator = np.random.default_rng(seed)
    for variable in adapted.network.non_trainable_variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(generator.integers(0, 2**31, size=2).astype(variable.dtype))
    _announce(adapted, phase, number, count)
    return adapted


def _announce(model: TransferModel, phase: Phase, number: int, count: int) -> None:
    blocks = [block.name for block in model.blocks if block.network.trainable]
    shown = ", ".join(blocks) if len(blocks) < 5 else f"{blocks[0]} … {blocks[-1]} ({len(blocks)} blocks)"
    trained, total = count_trainable(model), model.network.count_params()
    log.info(
        "Phase %d of %d, %s: trains %s of %s parameters (%s)",
        number + 1,
        count,
        phase.name,
        f"{trained:,}",
        f"{total:,}",
        shown,
    )
