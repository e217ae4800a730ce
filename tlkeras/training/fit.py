"""Train a model phase by phase: freeze, compute the frozen part once, let Keras train what lies above it."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tlkeras.data.examples import Splits
from tlkeras.data.vanished import read_still_there
from tlkeras.files import write_file
from tlkeras.plots import save_training, save_views
from tlkeras.runs import Run
from tlkeras.strategies.after import FEW, can_refit, require_refit
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS
from tlkeras.training.beginning import begin_phase
from tlkeras.training.examples import TrainingData, read_training_data
from tlkeras.training.freezing import count_trainable, set_trainable
from tlkeras.training.frozen import FrozenPart, Need
from tlkeras.training.gradient import Training, train_by_gradient
from tlkeras.training.head import solve_head
from tlkeras.training.history import History
from tlkeras.training.memory import BatchSize, choose_batch_size, within_memory
from tlkeras.training.part import keep_reference
from tlkeras.training.resume import open_place

if TYPE_CHECKING:
    import keras

log = logging.getLogger("tlkeras")


def fit(
    model: TransferModel,
    splits: Splits,
    phases: Sequence[Phase],
    *,
    batch_size: BatchSize = 32,
    seed: int = 0,
    balance: str = "auto",
    flip: bool = False,
    views: int = 4,
    run: Run | None = None,
    optimizer: "keras.optimizers.Optimizer | None" = None,
    loss: "keras.losses.Loss | None" = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
    save_every: float = 30.0,
    reproducible: bool = False,
    keep_start: bool = False,
) -> History:
    """Train `model` in place; each phase ends with its best weights by validation accuracy.

    Args:
        model: What `build_classifier` returned.
        splits: Training and validation examples; the test examples are not touched.
        phases: What `plan_phases` returned, or phases of your own.
        batch_size: Examples in a training step; `"auto"` takes the largest of 8 to 128 that fits the memory by an estimate and
            leaves 8 steps to an epoch. A step that does not fit after all is done in parts, with the same result.
        seed: Seed of the order of the examples, of dropout, and of new weights where a phase draws them.
        balance: What is done about rare classes: `"none"`, `"weights"`, `"sampling"`, `"focal"`, or `"auto"`, which weights the
            classes where the most frequent has 3 times as many examples as the rarest.
        flip: Mirror half of the pictures of each augmented view; only where left and right mean the same.
        views: The most views of a training example that are made and kept, the original among them; phases that augment read
            another one in each epoch.
        run: Where to write `history.csv`, `training.png`, `model.keras` and, while training, checkpoints, from which the next
            call with the same arguments goes on.
        optimizer: Used, with its own learning rate, in each phase that trains by gradient; a fresh copy for each.
        loss: Takes the encoded targets (classes: integers) and logits; with it the closed-form solver is not used.
        callbacks: Added to those that tlkeras uses. One with the methods of `tlkeras.training.resume.Resumable` goes on from
            its state in a resumed run.
        save_every: Seconds between checkpoints within an epoch; 0 writes one after each step. Another one follows each epoch.
            They take at most 2 % of the time: if one is slow, the next ones come later.
        keep_start: Keep the weights that the training begins with in the history, for `refit`; with fewer than 200 validation
            examples they are kept anyway, for `refit_few`.
        reproducible: Let TensorFlow use deterministic operations only, for the whole process; see docs/training.md.

    Returns:
        The history, a row for each epoch.

    Raises:
        TrainingError: The loss became infinite or not a number.
        TlkerasError: The checkpoints in the run folder belong to another training.
    """
    started = time.monotonic()
    if reproducible:
        _use_deterministic_operations(seed)
    if keep_start:
        require_refit(phases)
    kept = keep_start or (len(splits.val) < FEW and can_refit(phases))
    history = History(start=model.network.get_weights() if kept else None)
    reference = keep_reference(model, phases)
    size = choose_batch_size(model, len(splits.train), phases, batch_size, run=run)
    settings = {"batch_size": size, "seed": seed, "balance": balance, "flip": flip, "views": views}
    settings |= {"optimizer": str(optimizer and optimizer.get_config()), "loss": str(loss and loss.get_config())}
    place = open_place(run, model, splits, phases, save_every=save_every, **settings) if run else None
    done = place.restore(model.network, history) if place else 0
    cuts = [_cut(model, phase) for phase in phases]
    splits, data = read_still_there(
        splits, lambda there: read_training_data(model, there, phases, balance=balance, flip=flip, views=views, seed=seed)
    )
    needs = [Need(cut, phase.solver == "gradient" and len(data.views) > 1) for cut, phase in zip(cuts, phases, strict=True)]
    frozen = FrozenPart(model.segments, data.views, data.val, exact=reproducible)
    if done < len(phases):
        frozen.compute(needs)  # those of finished phases too: another set of outputs might be computed in another order
    for need in needs[:done]:
        frozen.changed_from(need.cut)
    training = Training(
        phases, data, frozen, history, size, seed, callbacks, place, optimizer=optimizer, loss=loss, reference=reference
    )
    for index, (phase, need) in enumerate(zip(phases, needs, strict=True)):
        if index < done:
            log.info("Phase %d of %d, %s: was done before, its weights are restored", index + 1, len(phases), phase.name)
            continue
        if phase.solver == "closed_form" and loss is None:
            begin_phase(model, phase, index, len(phases), seed=seed + index)
            _solve_head(model, phase, frozen, data, splits, history)
        else:
            train = partial(train_by_gradient, training, model, index, need)
            within_memory(train, model.network, history, place, phase=index, batch_size=size)
        frozen.changed_from(need.cut)
        if place:
            place.finish_phase(index + 1, model.network, history)
    if run and len(data.views) > 1 and model.modality == "image":
        write_file(run.path / "augmentation.png", lambda path: save_views(data.views, path))
    if run:
        _save(model, history, run)
    log.info("Trained in %.1f s", time.monotonic() - started)
    return history


def _cut(model: TransferModel, phase: Phase) -> int:
    """The lowest segment that a phase trains."""
    cut = set_trainable(model, phase)
    if count_trainable(model) == 0:
        raise ValueError(
            f"Phase {phase.name!r} has nothing to train. Received: trainable={phase.trainable!r}, weights={phase.weights!r}, "
            f"batch_norm={phase.batch_norm!r}: these blocks hold no such weights. Choose other blocks or weights."
        )
    return cut


def _use_deterministic_operations(seed: int) -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)  # operations that draw random numbers without a seed are refused then
    tf.config.experimental.enable_op_determinism()


def _solve_head(
    model: TransferModel, phase: Phase, frozen: FrozenPart, data: TrainingData, splits: Splits, history: History
) -> None:
    started = time.monotonic()
    rows = frozen.rows(Need(len(model.segments) - 1))
    encode = TASKS[model.task].encode
    y, val_y = encode(splits.train.targets, model.scale), encode(splits.val.targets, model.scale)
    weights = data.balance.weights if model.task == "classification" else None
    solution = solve_head(
        model, rows.views[0][0].values, y, rows.val[0].values, val_y, weights=weights, strength=phase.strength
    )
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


def _save(model: TransferModel, history: History, run: Run) -> None:
    write_file(run.path / "model.keras", model.network.save)
    write_file(run.path / "history.csv", history.save)
    write_file(run.path / "training.png", lambda path: save_training(history.rows, path, metric=TASKS[model.task].metric_name))
