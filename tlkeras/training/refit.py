"""Train once more on all examples, the test examples as well, for a model to ship: its numbers were measured before."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tlkeras.data.examples import Splits
from tlkeras.data.joined import join_examples
from tlkeras.files import write_file, write_json
from tlkeras.runs import Run
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.fit import fit
from tlkeras.training.history import History

log = logging.getLogger("tlkeras")


def refit(
    model: TransferModel, splits: Splits, phases: Sequence[Phase], history: History, *, run: Run | None = None, **options: Any
) -> History | None:
    """Train a model again from where `fit` began, on training, validation and test examples together.

    What validation chose the first time stays: the strength of the head's regularization, the number of epochs of each phase;
    a phase that had found nothing better is left out. There is nothing left to measure this model on: the numbers of the run,
    and those of `cross_validate`, are of models that had seen fewer examples, and not those that they were tested on.

    Args:
        model: What `fit` has trained, and what was evaluated.
        splits: As for `fit`.
        phases: As for `fit`.
        history: What `fit(..., keep_start=True)` returned; if it was called without, nothing is done.
        run: Where `model.keras` is written anew, and `refit.json` with what was done, beside the numbers of `cross_validate`.
        **options: The other arguments of `fit`, as they were.

    Returns:
        The history of the second training; None where nothing was done.
    """
    if history.start is None:
        return None
    again = phases_again(phases, history.rows)
    everything = replace(splits, train=join_examples([splits.train, splits.val, splits.test]))
    count = len(everything.train)
    log.info(
        "Once more on all %d examples, for the model to ship. The validation numbers below mean nothing: it has seen them",
        count,
    )
    model.network.set_weights(history.start)
    second = fit(model, everything, again, **options)
    if run:
        write_file(run.path / "model.keras", model.network.save)
        epochs = {phase.name: phase.epochs for phase in again}
        folds = run.path / "folds" / "folds.json"
        note = (
            "metrics.json and the cross-validation are of models that had not seen their test examples; this one has seen all."
        )
        done = {"examples": count, "epochs": epochs, "note": note}
        found = json.loads(folds.read_text(encoding="utf-8")) if folds.exists() else None
        write_json(run.path / "refit.json", {**done, "cross_validation": found})
    return second


def phases_again(phases: Sequence[Phase], rows: Sequence[Mapping[str, Any]]) -> list[Phase]:
    """Return phases that do, without validation, what the rows of a history say that validation chose."""
    made = []
    for phase in phases:
        best = [row for row in rows if row["phase"] == phase.name and row["best"]]
        if phase.solver == "closed_form":
            made.append(replace(phase, strength=best[-1]["strength"]))
        elif best:
            epochs = best[-1]["epoch"]
            made.append(replace(phase, epochs=epochs, patience=epochs, keep="last"))
    return made
