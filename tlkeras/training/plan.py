"""What a training will do, before it does it: phases, blocks, rates by step, what is frozen and kept."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.data.examples import Splits
from tlkeras.sources.blocks import batch_normalizations, chain
from tlkeras.strategies.penalties import NONE
from tlkeras.strategies.phases import Phase
from tlkeras.summary import format_size
from tlkeras.tasks.model import TransferModel

Table = tuple[Sequence[str], list[tuple[str, ...]]]
LOOKED_AT = 200
"""The most steps of a phase whose rate is computed."""


@dataclass(frozen=True)
class BlockPlan:
    """What a phase does with a block.

    Attributes:
        name: The block.
        parameters: All it has.
        trainable: How many of them train; of adapters, those that are added.
        rate: What the phase's rate is multiplied by; 0 where nothing trains.
    """

    name: str
    parameters: int
    trainable: int
    rate: float


@dataclass(frozen=True)
class PhasePlan:
    """What a phase will do.

    Attributes:
        phase: The phase.
        blocks: From the input up; the head is the last.
        steps: Training steps, at most; 0 where the head is solved.
        rates: The rate of the head at evenly spaced steps, float64, at most `LOOKED_AT` of them.
        batch_norm: What BatchNormalization in the trained blocks does, in words.
        frozen: What is computed once, in words.
    """

    phase: Phase
    blocks: tuple[BlockPlan, ...]
    steps: int
    rates: np.ndarray
    batch_norm: str
    frozen: str

    @property
    def trainable(self) -> int:
        """The number of parameters that train."""
        return sum(block.trainable for block in self.blocks)


def plan_training(model: TransferModel, splits: Splits, phases: Sequence[Phase], *, batch_size: int = 32) -> list[PhasePlan]:
    """Return what `fit` would do, phase by phase; nothing is trained, and no example is read.

    Args:
        model: As for `fit`; which of its weights are marked as trainable changes, as in `fit`.
        splits: Only the number of training examples is looked at.
        phases: As for `fit`.
        batch_size: As for `fit`.
    """
    return [_plan_phase(model, len(splits.train), phase, batch_size) for phase in phases]


def _plan_phase(model: TransferModel, count: int, phase: Phase, batch_size: int) -> PhasePlan:
    from tlkeras.training.adapters import with_adapters
    from tlkeras.training.freezing import set_trainable
    from tlkeras.training.optimizers import block_rates

    cut = set_trainable(model, phase)
    adapted = with_adapters(model, phase, seed=0)
    factors = block_rates(adapted, phase, cut)
    blocks = []
    for block, plain in zip(adapted.blocks, model.blocks, strict=True):
        trainable = sum(math.prod(weight.shape) for weight in block.network.trainable_weights)
        blocks.append(BlockPlan(block.name, plain.parameters, trainable, factors[block.name] if trainable else 0.0))
    steps_per_epoch = math.ceil(count / batch_size) if phase.solver == "gradient" else 0
    steps = steps_per_epoch * phase.epochs
    rates = _rates(phase, steps_per_epoch, steps)
    return PhasePlan(phase, tuple(blocks), steps, rates, _batch_norm(model, phase), _frozen(model, cut, count))


def _rates(phase: Phase, steps_per_epoch: int, steps: int) -> np.ndarray:
    from tlkeras.training.schedules import learning_rate

    if not steps:
        return np.zeros(0)
    rate = learning_rate(phase, steps_per_epoch)
    if not callable(rate):
        return np.full(2, float(rate))
    return np.array([float(rate(step)) for step in np.unique(np.linspace(0, steps - 1, LOOKED_AT).astype(int))])


def _batch_norm(model: TransferModel, phase: Phase) -> str:
    trained = [block for block in model.source.blocks if block.network.trainable]
    if not any(True for block in trained for _ in batch_normalizations(block.network)):
        return "none trains"
    return {
        "frozen": "frozen",
        "affine_only": "scale and offset train, statistics stay",
        "train": "trains, statistics move",
    }[phase.batch_norm]


def _frozen(model: TransferModel, cut: int, count: int) -> str:
    if cut == 0:
        return "nothing: the whole network runs in each step"
    shapes = _shapes(model, cut)
    dtypes = [np.dtype(tensor.dtype) for tensor in model.segments[cut - 1].network.outputs]
    size = sum(
        math.prod(length or 1 for length in shape[1:]) * dtype.itemsize for shape, dtype in zip(shapes, dtypes, strict=True)
    )
    below = [segment.name for segment in model.segments[:cut] if segment.name != "pool"]
    per_token = None in shapes[0][1:]
    each = f"{format_size(size)} a token" if per_token else f"{format_size(size * count)} for {count} training examples"
    return f"up to {below[-1]}: computed once, {each}"


def _shapes(model: TransferModel, cut: int) -> list[tuple[int | None, ...]]:
    """The shapes at a cut; of pictures, for those of the source's size."""
    outputs = model.segments[cut - 1].network.outputs
    if model.modality == "text":
        return [tuple(tensor.shape) for tensor in outputs]
    side = model.source.input_size
    given = model.segments[0].network.input.shape
    entered = (1, *(length or side for length in given[1:]))
    shape = chain(model.segments[:cut], name="below").compute_output_shape(entered)
    return [tuple(shape)] if len(outputs) == 1 else [tuple(one) for one in shape]


def plan_parts(plans: Sequence[PhasePlan]) -> Iterator[Table | str]:
    """Yield the tables of a plan: the phases, then the blocks by phase."""
    total = sum(block.parameters for block in plans[0].blocks)
    header = ("phase", "trains", "epochs x steps", "peak rate", "schedule", "BatchNormalization", "frozen below")
    yield header, [_phase_row(plan, total) for plan in plans]
    for plan in plans:
        if plan.phase.penalties != NONE:
            yield f"Penalties in phase {plan.phase.name!r}: {plan.phase.penalties}"
        if plan.phase.precision != "float32":
            yield f"Precision of phase {plan.phase.name!r}: {plan.phase.precision}"
    yield ""
    blocks = ("block", "parameters", *(f"{plan.phase.name}: trains, rate" for plan in plans))
    yield blocks, [_block_row(plans, index) for index in reversed(range(len(plans[0].blocks)))]


def _phase_row(plan: PhasePlan, total: int) -> tuple[str, ...]:
    phase = plan.phase
    trains = f"{plan.trainable:,} of {total:,}"
    if not plan.steps:
        return phase.name, trains, "solved", "", "", "", plan.frozen
    steps = f"{phase.epochs} x {plan.steps // phase.epochs}"
    return phase.name, trains, steps, f"{phase.learning_rate:.1e}", phase.schedule, plan.batch_norm, plan.frozen


def _block_row(plans: Sequence[PhasePlan], index: int) -> tuple[str, ...]:
    cells = []
    for plan in plans:
        block = plan.blocks[index]
        rate = f" at {plan.phase.learning_rate * block.rate:.1e}" if plan.steps else ", solved"
        cells.append(f"{block.trainable:,}{rate}" if block.trainable else "frozen")
    return plans[0].blocks[index].name, f"{plans[0].blocks[index].parameters:,}", *cells
