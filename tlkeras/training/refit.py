"""Train once more: on training and validation examples where they are few, on all of them for a model to ship."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tlkeras.data.examples import Splits
from tlkeras.data.joined import join_examples
from tlkeras.files import write_file, write_json
from tlkeras.runs import Run
from tlkeras.strategies.after import FEW
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.fit import fit
from tlkeras.training.history import History

log = logging.getLogger("tlkeras")


def refit_few(
    model: TransferModel,
    splits: Splits,
    phases: Sequence[Phase],
    history: History,
    *,
    fewer_than: int = FEW,
    run: Run | None = None,
    **options: Any,
) -> History | None:
    """Train a model again on training and validation examples together, where validation examples are few.

    What validation chose stays: the strength of the head's regularization, and which phases are done at all. Those run through
    their schedule to its end: the best of many epochs on few examples is best by chance. The test examples are not touched, so
    that the numbers measured on them are those of this model. A fifth more examples is worth more the fewer they are.

    Args:
        model: What `fit` has trained.
        splits: As for `fit`.
        phases: As for `fit`.
        history: What `fit` returned. Nothing is done where it holds no start: phases that look at validation (`soup`,
            `wise_ft`, `recalibrate`, `plateau`) cannot be trained without.
        fewer_than: Nothing is done from so many validation examples on.
        run: Where `model.keras` is written anew, and `refit_few.json` with what was done.
        **options: The other arguments of `fit`, as they were.

    Returns:
        The history of the second training; None where nothing was done.
    """
    if history.start is None or len(splits.val) >= fewer_than:
        return None
    joined = replace(splits, train=join_examples([splits.train, splits.val]))
    log.info(
        "Once more on %d examples: the %d for validation have chosen, and are few. The validation numbers below mean nothing",
        len(joined.train),
        len(splits.val),
    )
    again = phases_again(phases, history.rows, whole=True)
    second = _again(model, joined, again, history, run, options)
    if run:
        done = {"examples": len(joined.train), "validation": len(splits.val), "epochs": {one.name: one.epochs for one in again}}
        write_json(run.path / "refit_few.json", done)
    return second


def refit(
    model: TransferModel,
    splits: Splits,
    phases: Sequence[Phase],
    history: History,
    *,
    wanted: bool = True,
    run: Run | None = None,
    **options: Any,
) -> History | None:
    """Train a model again from where `fit` began, on training, validation and test examples together.

    What validation chose the first time stays: the strength of the head's regularization, the number of epochs of each phase;
    a phase that had found nothing better is left out. There is nothing left to measure this model on: the numbers of the run,
    and those of `cross_validate`, are of models that had seen fewer examples, and not those that they were tested on.

    Args:
        model: What `fit` has trained, and what was evaluated.
        splits: As for `fit`.
        phases: As for `fit`.
        history: What `fit(..., keep_start=True)` returned.
        wanted: If False, nothing is done.
        run: Where `model.keras` is written anew, and `refit.json` with what was done, beside the numbers of `cross_validate`.
        **options: The other arguments of `fit`, as they were.

    Returns:
        The history of the second training; None where nothing was done.

    Raises:
        ValueError: `fit` did not keep the weights that it began with.
    """
    if not wanted:
        return None
    if history.start is None:
        raise ValueError("To train once more from where the training began, call fit(..., keep_start=True).")
    again = phases_again(phases, history.rows)
    everything = replace(splits, train=join_examples([splits.train, splits.val, splits.test]))
    count = len(everything.train)
    log.info(
        "Once more on all %d examples, for the model to ship. The validation numbers below mean nothing: it has seen them",
        count,
    )
    second = _again(model, everything, again, history, run, options)
    if run:
        epochs = {phase.name: phase.epochs for phase in again}
        folds = run.path / "folds" / "folds.json"
        note = (
            "metrics.json and the cross-validation are of models that had not seen their test examples; this one has seen all."
        )
        done = {"examples": count, "epochs": epochs, "note": note}
        found = json.loads(folds.read_text(encoding="utf-8")) if folds.exists() else None
        write_json(run.path / "refit.json", {**done, "cross_validation": found})
    return second


def _again(
    model: TransferModel, splits: Splits, phases: list[Phase], history: History, run: Run | None, options: dict[str, Any]
) -> History:
    model.network.set_weights(history.start or [])
    second = fit(model, splits, phases, **options)
    if run:
        write_file(run.path / "model.keras", model.network.save)
    return second


def phases_again(phases: Sequence[Phase], rows: Sequence[Mapping[str, Any]], *, whole: bool = False) -> list[Phase]:
    """Return phases that do, without validation, what the rows of a history say that validation chose.

    With `whole`, a phase that went through all its epochs does so again; otherwise it ends with its best epoch.
    """
    made = []
    for phase in phases:
        mine = [row for row in rows if row["phase"] == phase.name]
        best = [row for row in mine if row["best"]]
        if best and "strength" in best[-1]:
            made.append(replace(phase, strength=best[-1]["strength"]))
        elif best:
            done = mine[-1]["epoch"]
            epochs = done if whole and done == phase.epochs else best[-1]["epoch"]
            made.append(replace(phase, epochs=epochs, patience=epochs, keep="last"))
    return made
