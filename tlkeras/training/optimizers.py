"""The optimizer of a phase: AdamW, with a rate for each block where rates fall with depth."""

import re
from typing import TYPE_CHECKING, Any

from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.schedules import learning_rate

if TYPE_CHECKING:
    import keras


def build_optimizer(model: TransferModel, phase: Phase, cut: int, steps: int) -> "keras.optimizers.Optimizer":
    """Return AdamW: weight decay 0.01 on kernels only, gradients clipped at the global norm of the phase.

    With `phase.ema` it keeps a moving average of the weights. Adapters, and what L2-SP holds to where it began, do not decay.
    With `phase.layer_decay` below 1, each block has a rate of its own (Keras's `MultiOptimizer`); the schedule is one for all.

    Args:
        model: The blocks are frozen and unfrozen already.
        phase: The phase.
        cut: The index of the lowest segment that trains.
        steps: Training steps in an epoch.
    """
    import keras

    if phase.layer_decay == 1:
        return _adamw(model, phase, steps, 1.0)
    rates = block_rates(model, phase, cut)
    groups = keras.optimizers.OptimizerMap(default_optimizer=_adamw(model, phase, steps, 1.0))
    for segment in model.segments[cut:]:
        paths = [re.escape(weight.path) for weight in segment.network.trainable_weights]
        if paths and segment.name != "head":
            groups["|".join(paths)] = _adamw(model, phase, steps, rates[segment.name])
    return keras.optimizers.MultiOptimizer(groups)


def block_rates(model: TransferModel, phase: Phase, cut: int) -> dict[str, float]:
    """Return what the learning rate of each block above a cut is multiplied by: 1 for the head, and ever less below.

    A block's rate is that of the block above it times `phase.layer_decay` (Howard & Ruder 2018; Clark et al. 2020).
    """
    names = [segment.name for segment in model.segments[cut:] if segment.name != "pool"]
    return {name: phase.layer_decay**depth for depth, name in enumerate(reversed(names))}


def _adamw(model: TransferModel, phase: Phase, steps: int, factor: float) -> "keras.optimizers.AdamW":
    import keras

    options: dict[str, Any] = {"use_ema": True, "ema_momentum": phase.ema} if phase.ema else {}
    if phase.clip_norm:
        options["global_clipnorm"] = phase.clip_norm
    optimizer = keras.optimizers.AdamW(learning_rate(phase, steps, factor=factor), weight_decay=0.01, **options)
    held = (
        [weight for block in model.source.blocks for weight in block.network.trainable_weights] if phase.penalties.l2_sp else []
    )
    optimizer.exclude_from_weight_decay(var_list=held, var_names=["bias", "gamma", "beta", "lora"])
    return optimizer
