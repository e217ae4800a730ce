"""What a step may hold in memory: a batch size that fits, and what to do where a step did not."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from tlkeras.features.memory import available_bytes
from tlkeras.files import write_json
from tlkeras.runs import Run
from tlkeras.sources.blocks import chain
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.freezing import set_trainable
from tlkeras.training.history import History
from tlkeras.training.resume import Place

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")

BatchSize = int | Literal["auto"]

SIZES = (8, 16, 32, 64, 128)
"""The batch sizes that `auto` chooses from."""

LEAST_STEPS = 8
"""The steps that an epoch has at least: with fewer, larger ones there is too little training in an epoch."""

SHARE = 0.5
"""The share of the available memory that a step may take by the estimate."""

BACKWARDS = 2.0
"""Times what the tensors of a forward pass take, for one with gradients: those of the layer at work come on top."""

_NO_TENSORS = ("Const", "Placeholder", "ReadVariableOp", "Identity", "Reshape", "Shape", "NoOp", "ExpandDims", "Squeeze")


def choose_batch_size(
    model: TransferModel, count: int, phases: Sequence[Phase], batch_size: BatchSize, *, run: Run | None = None
) -> int:
    """Return the examples in a step: a number as it is; for `"auto"` the largest of `SIZES` that fits.

    It fits if the estimate of a step's memory is at most half of what is available, and an epoch keeps 8 steps. On an
    accelerator only the latter counts, because TensorFlow does not say how much memory it has: there a step that does not fit
    is done in parts, see `within_memory`. What was chosen is kept in the run folder, for a resumed run to do the same.

    Args:
        model: The model; which blocks train is left as the last phase has it.
        count: Training examples.
        phases: As for `fit`.
        batch_size: A number, or `"auto"`.
        run: Where `batch_size.json` is.

    Raises:
        ValueError: The size is neither a number from 1 on nor `"auto"`.
    """
    if batch_size != "auto":
        if batch_size < 1:
            raise ValueError(f"A batch size is a number from 1 on, or 'auto'. Received: {batch_size!r}")
        return batch_size
    file = run.path / "batch_size.json" if run else None
    if file and file.exists():
        import json

        return int(json.loads(file.read_text(encoding="utf-8"))["batch_size"])
    by_phase = [step_bytes(model, phase) for phase in phases if phase.solver == "gradient"]
    fixed, each = (max(values, default=0) for values in zip(*by_phase, strict=True)) if by_phase else (0, 0)
    room = math.inf if _has_accelerator() else SHARE * available_bytes()
    fitting = [size for size in SIZES if fixed + size * each <= room and LEAST_STEPS * size <= count]
    chosen = max(fitting, default=SIZES[0])
    log.info(
        "Batch size %d: by estimate %.0f MB for a step, %.0f MB of them for weights; %.0f MB are available",
        *(chosen, (fixed + chosen * each) / 1e6, fixed / 1e6, available_bytes() / 1e6),
    )
    if file:
        write_json(file, {"batch_size": chosen})
    return chosen


def step_bytes(model: TransferModel, phase: Phase) -> tuple[int, int]:
    """Return an estimate of the memory that a step of a phase takes, in bytes: for weights, and for each example.

    Counted are the tensors of a forward pass through what lies above the cut, in the graph that TensorFlow traces, twice; and
    four numbers for each parameter that trains: itself, its gradient, and two moments.
    """
    import tensorflow as tf

    cut = set_trainable(model, phase)
    part = chain(model.segments[cut:], name="measured")
    spec = [tf.TensorSpec((1, *shape), tensor.dtype) for shape, tensor in zip(_shapes(model, cut), part.inputs, strict=True)]
    function = tf.function(lambda *x: part(list(x) if len(x) > 1 else x[0], training=False), autograph=False)
    operations = function.get_concrete_function(*spec).graph.get_operations()
    tensors = [
        output for one in operations if one.type not in _NO_TENSORS for output in one.outputs if output.dtype.is_floating
    ]
    sizes = [output.shape.num_elements() or 0 for output in tensors]
    weights = sum(math.prod(weight.shape) for weight in part.trainable_weights)
    return 16 * weights, int(BACKWARDS * 4 * sum(sizes))


def _shapes(model: TransferModel, cut: int) -> list[tuple[int, ...]]:
    """The shapes of one example's tensors at a cut, for the largest example."""
    side = model.source.input_size
    entered = (1, *(length or side for length in model.segments[0].network.input.shape[1:]))
    if cut == 0:
        return [entered[1:]]
    below = chain(model.segments[:cut], name="below")
    if model.modality == "text":
        return [tuple(length or side for length in tensor.shape[1:]) for tensor in below.outputs]
    shapes = below.compute_output_shape(entered)
    return [tuple(shape[1:]) for shape in (shapes if isinstance(shapes, list) else [shapes])]


def _has_accelerator() -> bool:
    import tensorflow as tf

    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())


def within_memory(
    train: Callable[[int], None],
    network: "keras.Model",
    history: History,
    place: Place | None,
    *,
    phase: int,
    batch_size: int,
) -> None:
    """Train a phase; each time that the memory does not suffice, begin it anew in parts half as large.

    Batches, and what a step learns from one, stay the same; see `tlkeras.training.accumulation`.

    Args:
        train: Trains the phase, with the number of examples that go through the network at once.
        network: Its weights are put back before the phase begins anew.
        history: Its rows are put back too.
        place: A phase that was broken off goes on in parts of the size that it was in.
        phase: The phase's number, from 0.
        batch_size: Examples in a step.

    Raises:
        tf.errors.ResourceExhaustedError: Not even one example fits.
    """
    before, rows = [np.array(variable) for variable in network.variables], list(history.rows)
    size = (place and place.part_size(phase)) or batch_size
    while True:
        try:
            return train(size)
        except Exception as error:
            if not _is_out_of_memory(error) or size == 1:
                raise
        size = -(-size // 2)
        log.warning(
            "A step does not fit the memory: batches of %d go through in parts of %d, whose gradients are added up, "
            "and the phase begins anew. A smaller --batch-size or smaller pictures would be faster.",
            *(batch_size, size),
        )
        for variable, value in zip(network.variables, before, strict=True):
            variable.assign(value)
        history.rows = list(rows)
        if place:
            place.forget(phase)


def _is_out_of_memory(error: Exception) -> bool:
    import tensorflow as tf

    if isinstance(error, tf.errors.InternalError):
        return "Dst tensor is not initialized" in str(error)  # how a GPU without room for a copy says it
    return isinstance(error, tf.errors.ResourceExhaustedError | MemoryError)
