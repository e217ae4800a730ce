"""What a training reads, once and for all phases: inputs, targets, augmented views, weights."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkeras.data.augment import augment_pixels, augment_tokens, mix_pixels, require_level
from tlkeras.data.examples import Splits, Texts
from tlkeras.data.pipelines import warn_of_foreign_texts
from tlkeras.features.inputs import read_inputs
from tlkeras.features.rows import Rows, ragged
from tlkeras.sources.model import SourceModel
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS
from tlkeras.training.balance import Balance, plan_balance

log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class TrainingData:
    """Inputs and targets.

    Attributes:
        views: The training inputs: as they are, then augmented views of them.
        targets: What loss and metric read, for each view; classes are one-hot where `mixed`.
        val: The validation inputs.
        val_targets: As `targets`.
        balance: What each training example counts.
        mixed: Whether augmentation mixes examples of different classes.
    """

    views: tuple[Rows, ...]
    targets: tuple[np.ndarray, ...]
    val: Rows
    val_targets: np.ndarray
    balance: Balance
    mixed: bool = False


def read_training_data(
    model: TransferModel,
    splits: Splits,
    phases: Sequence[Phase],
    *,
    balance: str,
    flip: bool,
    views: int,
    seed: int,
) -> TrainingData:
    """Read the training and validation examples and make as many augmented views as the phases ask for.

    Args:
        model: Says what the inputs and targets are.
        splits: The test examples are not touched.
        phases: Their `augment`, which must be one level beside `"none"`.
        balance: See `plan_balance`.
        flip: Mirror half of the pictures of each augmented view.
        views: The most views, the original among them.
        seed: Seed of the views.

    Raises:
        ValueError: Phases augment at several levels, or there are fewer than 2 views to augment.
    """
    plan = plan_balance(splits.train.targets, balance)
    if plan.mode != "none":
        log.info("Classes are balanced by %s: %s", plan.mode, plan.reason)
    encode = TASKS[model.task].encode
    y, val_y = encode(splits.train.targets, model.scale), encode(splits.val.targets, model.scale)
    train, val = read_inputs(splits.train, model.source), read_inputs(splits.val, model.source)
    _report_cut(train, model.source)
    if isinstance(splits.train.store, Texts) and model.source.tokenizer is not None:
        warn_of_foreign_texts(splits.train.store.texts, model.source.tokenizer, model.source.name)
    level, epochs = _level(phases), max((phase.epochs for phase in phases if phase.solver == "gradient"), default=0)
    if flip and not epochs:
        log.warning("Nothing is mirrored: a head that is solved in closed form reads the examples as they are")
    if (level == "none" and not flip) or not epochs:
        return TrainingData((train,), (y,), val, val_y, plan)
    if views < 2:
        raise ValueError(f"Augmentation takes 2 views or more, the original among them. Received: views={views}")
    mixed = level == "strong" and model.modality == "image" and model.task == "classification"
    if mixed:
        y, val_y = (np.eye(len(model.classes), dtype=np.float32)[classes] for classes in (y, val_y))
    made = [_view(train, y, model.source, level, flip, mixed, seed + 1000 * number) for number in range(1, min(views, epochs))]
    log.info("Augmentation %s: %d views of each training example, one after the other by epoch", level, len(made) + 1)
    return TrainingData((train, *(view for view, _ in made)), (y, *(targets for _, targets in made)), val, val_y, plan, mixed)


def _level(phases: Sequence[Phase]) -> str:
    levels = {phase.augment for phase in phases} - {"none"}
    for level in levels:
        require_level(level)
    if len(levels) > 1:
        raise ValueError(f"All phases that augment do so at one level. Received: {sorted(levels)}")
    return levels.pop() if levels else "none"


def _view(
    train: Rows, y: np.ndarray, source: SourceModel, level: str, flip: bool, mixed: bool, seed: int
) -> tuple[Rows, np.ndarray]:
    if train.offsets is not None:
        rows: list[Any] = [train.values[start:stop] for start, stop in zip(train.offsets, train.offsets[1:], strict=False)]
        mask = _mask_id(source)
        return ragged(augment_tokens(rows, level, mask_id=mask, seed=seed), fill=train.fill), y
    pixels = augment_pixels(train.values, level, seed=seed, flip=flip)
    if mixed:
        pixels, y = mix_pixels(pixels, y, seed=seed)
    return Rows(pixels), y


def _mask_id(source: SourceModel) -> int | None:
    tokenizer = source.tokenizer
    found = [] if tokenizer is None else [tokenizer.token_to_id(token) for token in ("[MASK]", "<mask>")]
    return next((token for token in found if token is not None), None)


def _report_cut(train: Rows, source: SourceModel) -> None:
    if train.lengths is not None:
        share = float(np.mean(train.lengths >= source.input_size))
        if share > 0.01:
            log.info(
                "%.0f %% of the training texts fill the %d tokens; longer ones are cut there", 100 * share, source.input_size
            )
