"""Strategies: functions that return the phases, by the names that a command line uses."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from tlkeras.errors import unknown
from tlkeras.strategies.after import parse_after
from tlkeras.strategies.penalties import NONE, Penalties, parse_penalties
from tlkeras.strategies.phases import Phase, Precision

log = logging.getLogger("tlkeras")

HEAD = Phase(name="head", trainable="head", solver="closed_form", epochs=1)


def feature_extraction(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head on frozen features; with `trainable`, train those blocks by gradient instead."""
    if trainable in (None, "head"):
        return [HEAD]
    return fine_tune(trainable=trainable, epochs=epochs, learning_rate=learning_rate)


def fine_tune(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head, then train it with the top blocks at a tenth of the rate: LP-FT that leaves the lower blocks frozen.

    A head of random weights would send large, random gradients into the pre-trained blocks and spoil them.
    """
    return _head_then("top blocks", trainable or "top:60%", epochs, learning_rate)


def lp_ft(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head, then train it with all blocks at a tenth of the rate (LP-FT; Kumar et al. 2022)."""
    return _head_then("all blocks", trainable or "all", epochs, learning_rate)


def _head_then(name: str, trainable: str, epochs: int, learning_rate: float) -> list[Phase]:
    if trainable == "head":
        return [HEAD]
    # Accuracy dips when the blocks begin to move and rises while the rate falls to zero: patience would end where it is worst.
    return [HEAD, Phase(name=name, trainable=trainable, learning_rate=learning_rate / 10, epochs=epochs, patience=epochs)]


def discriminative(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head, then train all blocks, each at 0.85 of the rate of the one above it (Howard & Ruder 2018)."""
    upper = Phase(
        name="all, by depth",
        trainable=trainable or "all",
        learning_rate=learning_rate / 10,
        layer_decay=0.85,
        epochs=epochs,
        patience=epochs,
    )
    return [HEAD, upper]


def gradual_unfreeze(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head, then unfreeze the blocks from the top in four stages (Howard & Ruder 2018)."""
    if trainable is not None:
        raise ValueError(f"Strategy 'gradual_unfreeze' chooses the blocks. Received: trainable={trainable!r}. Leave it out.")
    each = max(1, round(epochs / 4))
    return [HEAD] + [
        Phase(name=f"top {share} %", trainable=f"top:{share}%", learning_rate=learning_rate / 10, epochs=each, patience=each)
        for share in (25, 50, 75, 100)
    ]


def bias_only(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head, then train it with the biases and offsets of all blocks (BitFit; Ben-Zaken et al. 2021)."""
    return [HEAD, _few_weights("bias", trainable, epochs, learning_rate)]


def norm_only(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head, then train it with scale and offset of all normalizations; their statistics stay."""
    return [HEAD, _few_weights("norm", trainable, epochs, learning_rate)]


def _few_weights(weights: Literal["bias", "norm"], trainable: str | None, epochs: int, learning_rate: float) -> Phase:
    return Phase(
        name=f"{weights} only",
        trainable=trainable or "all",
        weights=weights,
        batch_norm="affine_only",
        learning_rate=learning_rate,
        epochs=epochs,
        patience=epochs,
    )


def lora(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Fit the head, then train it with low-rank adapters of all blocks (LoRA; Hu et al. 2021), which are merged at the end."""
    adapters = Phase(
        name="adapters", trainable=trainable or "all", adapters=8, learning_rate=learning_rate, epochs=epochs, patience=epochs
    )
    return [HEAD, adapters]


def from_scratch(*, trainable: str | None, epochs: int, learning_rate: float) -> list[Phase]:
    """Train everything from random weights: what the same network reaches without transfer."""
    if trainable not in (None, "all"):
        raise ValueError(f"Strategy 'from_scratch' trains all blocks. Received: trainable={trainable!r}. Leave it out.")
    phase = Phase(
        name="from scratch",
        trainable="all",
        initialise="random",
        learning_rate=learning_rate,
        epochs=epochs,
        patience=epochs,
        batch_norm="train",
    )
    return [phase]


STRATEGIES: dict[str, Callable[..., list[Phase]]] = {
    "feature_extraction": feature_extraction,
    "fine_tune": fine_tune,
    "lp_ft": lp_ft,
    "discriminative": discriminative,
    "gradual_unfreeze": gradual_unfreeze,
    "bias_only": bias_only,
    "norm_only": norm_only,
    "lora": lora,
    "from_scratch": from_scratch,
}


def plan_phases(
    strategy: str,
    *,
    trainable: str | None = None,
    epochs: int = 12,
    learning_rate: float = 1e-3,
    augment: str = "none",
    penalties: "Penalties | str | None" = None,
    schedule: Literal["cosine", "one_cycle", "slanted", "plateau", "constant"] = "cosine",
    after: str | None = None,
    precision: Precision = "float32",
) -> list[Phase]:
    """Return the phases of a strategy by name.

    Args:
        strategy: A key of `STRATEGIES`.
        trainable: Overrides which blocks the last phase trains; see `Phase.trainable`.
        epochs: Passes over the training examples in the phase that trains by gradient, at most.
        learning_rate: The peak rate for a head or a network of random weights; pre-trained blocks get a tenth.
        penalties: What phases that train by gradient add to their loss, also as in `"l2_sp=0.01,label_smoothing=0.1"`.
        schedule: How the rate goes in phases that train by gradient; see `Phase.schedule`.
        after: What follows the last phase that trains by gradient, separated by commas: `ema` (a moving average of the weights,
            during the phase), `soup`, `wise_ft`, `recalibrate`; see `Phase.after`.
        augment: The level of augmentation in phases that train by gradient; see `tlkeras.data.augment.LEVELS`.
        precision: What phases that train by gradient compute in; see `Phase.precision`.

    Raises:
        ValueError: There is no such strategy, or a number is out of range.

    Example:
        >>> [phase.name for phase in plan_phases("fine_tune", trainable="top:2")]
        ['head', 'top blocks']
    """
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES, "tlkeras show image_classification")
    phases = STRATEGIES[strategy](trainable=trainable, epochs=epochs, learning_rate=learning_rate)
    held = penalties if isinstance(penalties, Penalties) else parse_penalties(penalties)
    same = {"augment": augment, "penalties": held, "schedule": schedule, "precision": precision}
    made = [replace(phase, **same) if phase.solver == "gradient" else phase for phase in phases]  # type: ignore[arg-type]
    if all(phase.solver == "closed_form" for phase in made):
        for name, idle in (("augment", augment == "none"), ("penalties", held == NONE)):
            if not idle:
                log.warning("%s counts for nothing: %r solves the head in closed form and trains nothing else", name, strategy)
    ema, steps = parse_after(after)
    if ema or steps:
        if made[-1].solver != "gradient":
            raise ValueError(f"Nothing follows a head that is solved in closed form. Received: after={after!r}")
        made[-1] = replace(made[-1], ema=ema, after=steps)
    return made
