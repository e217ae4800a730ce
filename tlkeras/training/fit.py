"""Train a model phase by phase: freeze, compute the frozen part once, let Keras train what lies above it."""

import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Splits
from tlkeras.features.inputs import read_inputs
from tlkeras.files import write_file
from tlkeras.plots import save_training
from tlkeras.runs import Run
from tlkeras.sources.blocks import chain, with_random_weights
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS
from tlkeras.training.batches import eval_batches, train_batches
from tlkeras.training.checkpoints import restore_checkpoint, save_checkpoint
from tlkeras.training.freezing import count_trainable, set_trainable
from tlkeras.training.frozen import FrozenPart
from tlkeras.training.head import solve_head
from tlkeras.training.history import History
from tlkeras.training.schedules import learning_rate

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")


def fit(
    model: TransferModel,
    splits: Splits,
    phases: Sequence[Phase],
    *,
    batch_size: int = 32,
    seed: int = 0,
    run: Run | None = None,
    optimizer: "keras.optimizers.Optimizer | None" = None,
    loss: "keras.losses.Loss | None" = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> History:
    """Train `model` in place; each phase ends with its best weights by validation accuracy.

    Args:
        model: What `build_classifier` returned.
        splits: Training and validation examples; the test examples are not touched.
        phases: What `plan_phases` returned, or phases of your own.
        batch_size: Examples in a training step.
        seed: Seed of the order of the examples, of dropout, and of new weights where a phase draws them.
        run: Where to write `history.csv`, `training.png`, `model.keras` and a checkpoint after each phase; a resumed run skips
            the phases that have one.
        optimizer: Used, with its own learning rate, in each phase that trains by gradient; a fresh copy for each.
        loss: Takes the encoded targets (classes: integers) and logits; with it the closed-form solver is not used.
        callbacks: Added to those that tlkeras uses.

    Returns:
        The history, a row for each epoch.

    Raises:
        TrainingError: The loss became infinite or not a number.
    """
    started = time.monotonic()
    history = History()
    done = restore_checkpoint(run.path, model.network, history) if run else 0
    cuts = [set_trainable(model, phase) for phase in phases]
    train, val = read_inputs(splits.train, model.source), read_inputs(splits.val, model.source)
    frozen = FrozenPart(model.segments, train, val)
    frozen.compute(cuts[done:])
    for index, (phase, cut) in enumerate(zip(phases, cuts, strict=True)):
        if index < done:
            log.info("Phase %d of %d, %s: was done before, its weights are restored", index + 1, len(phases), phase.name)
            continue
        set_trainable(model, phase)
        _prepare(model, phase, seed + index)
        _announce(model, phase, index, len(phases))
        if phase.solver == "closed_form" and loss is None:
            _solve_head(model, phase, frozen, splits, history)
        else:
            upper = _compile(model, phase, cut, math.ceil(len(train) / batch_size), optimizer, loss)
            _train(model, upper, phase, frozen, cut, splits, history, batch_size, seed + index, callbacks)
        frozen.changed_from(cut)
        if run:
            save_checkpoint(run.path, index + 1, model.network, history)
    if run:
        _save(model, history, run)
    log.info("Trained in %.1f s", time.monotonic() - started)
    return history


def _prepare(model: TransferModel, phase: Phase, seed: int) -> None:
    """Draw new weights where the phase asks for them, and seed the dropout layers."""
    if phase.initialise == "random":
        fresh = with_random_weights(model.source, seed=seed)
        for block, new in zip(model.source.blocks, fresh.blocks, strict=True):
            if block.network.trainable:
                block.network.set_weights(new.network.get_weights())
    generator = np.random.default_rng(seed)
    for variable in model.network.non_trainable_variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(generator.integers(0, 2**31, size=2).astype(variable.dtype))


def _announce(model: TransferModel, phase: Phase, index: int, count: int) -> None:
    blocks = [block.name for block in model.blocks if block.network.trainable]
    shown = ", ".join(blocks) if len(blocks) < 5 else f"{blocks[0]} … {blocks[-1]} ({len(blocks)} blocks)"
    trained, total = count_trainable(model), model.network.count_params()
    log.info(
        "Phase %d of %d, %s: trains %s of %s parameters (%s)", index + 1, count, phase.name, f"{trained:,}", f"{total:,}", shown
    )


def _solve_head(model: TransferModel, phase: Phase, frozen: FrozenPart, splits: Splits, history: History) -> None:
    started = time.monotonic()
    train, val = frozen.rows(len(model.segments) - 1)
    y, val_y = _targets(model, splits)
    solution = solve_head(model, train[0].values, y, val[0].values, val_y)
    model.head.network.get_layer("logits").set_weights([solution.kernel, solution.bias])
    seconds, metric = time.monotonic() - started, TASKS[model.task].metric_name
    row = {"phase": phase.name, "epoch": 1, **solution.scores, "strength": solution.strength}
    history.add({**row, "seconds": round(seconds, 3), "best": 1})
    log.info(
        "Solved on the frozen features, strength %g: %s %.3f, validation %.3f, %.1f s",
        solution.strength,
        metric,
        solution.scores[metric],
        solution.scores[f"val_{metric}"],
        seconds,
    )


def _targets(model: TransferModel, splits: Splits) -> tuple[np.ndarray, np.ndarray]:
    encode = TASKS[model.task].encode
    return encode(splits.train.targets, model.scale), encode(splits.val.targets, model.scale)


def _compile(
    model: TransferModel,
    phase: Phase,
    cut: int,
    steps: int,
    optimizer: "keras.optimizers.Optimizer | None",
    loss: "keras.losses.Loss | None",
) -> "keras.Model":
    """The network above the cut, compiled; Keras reads `trainable` at compile time, so once for each phase."""
    import keras

    if optimizer is None:
        optimizer = keras.optimizers.AdamW(learning_rate(phase, steps), weight_decay=0.01, global_clipnorm=1.0)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    else:
        optimizer = type(optimizer).from_config(optimizer.get_config())
    upper = chain(model.segments[cut:], name="trained_part")
    task = TASKS[model.task]
    upper.compile(optimizer=optimizer, loss=loss or task.loss(), metrics=[task.metric()])
    return upper


def _train(
    model: TransferModel,
    upper: "keras.Model",
    phase: Phase,
    frozen: FrozenPart,
    cut: int,
    splits: Splits,
    history: History,
    batch_size: int,
    seed: int,
    callbacks: "Sequence[keras.callbacks.Callback]",
) -> None:
    from keras.callbacks import ReduceLROnPlateau

    from tlkeras.training.callbacks import BestWeights, StopOnNaN, Table

    train, val = frozen.rows(cut)
    steps = math.ceil(len(splits.train) / batch_size)
    lower = frozen.lower(cut)
    start = history.last_best() if phase.initialise == "pretrained" else {}
    task, (y, val_y) = TASKS[model.task], _targets(model, splits)
    own = [StopOnNaN(phase), BestWeights(phase.patience, task, start), Table(phase, task, history, steps, start)]
    if phase.schedule == "plateau":
        own.append(ReduceLROnPlateau(factor=0.5, patience=2))
    upper.fit(
        train_batches(train, y, upper.inputs, batch_size=batch_size, seed=seed, epochs=phase.epochs, lower=lower),
        validation_data=eval_batches(val, val_y, upper.inputs, batch_size=64, lower=lower),
        epochs=phase.epochs,
        steps_per_epoch=steps,
        shuffle=False,
        callbacks=[*own, *callbacks],
        verbose=0,
    )


def _save(model: TransferModel, history: History, run: Run) -> None:
    write_file(run.path / "model.keras", model.network.save)
    write_file(run.path / "history.csv", history.save)
    write_file(run.path / "training.png", lambda path: save_training(history.rows, path, metric=TASKS[model.task].metric_name))
