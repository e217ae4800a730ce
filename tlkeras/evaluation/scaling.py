"""Temperature scaling of a model: fitted on the validation examples, folded into the head, checked."""

import base64
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.vanished import read_still_there
from tlkeras.errors import TlkerasError
from tlkeras.evaluation.calibration import fit_temperature, probabilities_of
from tlkeras.evaluation.evaluate import predict_examples, target_array
from tlkeras.evaluation.rejection import choose_familiar
from tlkeras.evaluation.responses import respond
from tlkeras.evaluation.thresholds import choose_thresholds
from tlkeras.files import write_file, write_json
from tlkeras.runs import Run
from tlkeras.tasks.model import Familiar, TransferModel
from tlkeras.training.history import History

SMALLEST = 200
"""Fewer validation examples do not say enough about a temperature, or about what is rare."""
WEIGHTS, CALIBRATION = "model.keras", "calibration.json"
log = logging.getLogger("tlkeras")


def calibrate(model: TransferModel, splits: Splits, *, smallest: int = SMALLEST, run: Run | None = None) -> TransferModel:
    """Fit a temperature on the validation examples and fold it into the head; choose thresholds, also for "none of these".

    The head's kernel and bias are divided by the temperature, in place: the most probable class stays what it is, only the
    probabilities change, and every export carries them. For two classes and for several labels the probability from which on
    one is taken is chosen, where another than 0.5 is surely better. Values, and data with few validation examples, are left
    alone.

    Args:
        model: A trained model.
        splits: The validation examples are looked at, the test examples are not.
        smallest: With fewer validation examples nothing is done.
        run: Where `model.keras` is written again, and `calibration.json`.

    Returns:
        The model, with its temperature, its thresholds, and when to answer "none of these".

    Raises:
        TlkerasError: The network does not end in the head that was scaled.
    """
    if model.task == "regression":
        return model
    if len(splits.val) < smallest:
        log.info("Probabilities are left as they are: %d validation examples, %d are needed", len(splits.val), smallest)
        return model
    splits, found = read_still_there(splits, lambda there: respond(model, there.val))
    temperature = fit_temperature(model.task, target_array(splits.val), found.logits)
    outputs = probabilities_of(model.task, found.logits / temperature)
    if temperature != 1:
        _scale_head(model, temperature, splits.val.take(np.arange(min(32, len(outputs)))), outputs)
    thresholds = choose_thresholds(model.task, model.classes, target_array(splits.val), outputs)
    splits, familiar = read_still_there(splits, lambda there: choose_familiar(model, there, found))
    calibrated = replace(model, temperature=model.temperature * temperature, familiar=familiar, thresholds=thresholds)
    log.info("Calibrated on %d validation examples: temperature %.2f", len(outputs), temperature)
    if thresholds:
        log.info("Taken from another probability than 0.5 on: %s", ", ".join(f"{k} {v:.2f}" for k, v in thresholds.items()))
    if run:
        write_file(run.path / WEIGHTS, model.network.save)
        save_calibration(calibrated, run.path)
    return calibrated


def calibrate_again(model: TransferModel, splits: Splits, again: History | None, *, run: Run | None = None) -> TransferModel:
    """Calibrate a model that was trained once more on all examples: what validation chose the first time stays.

    Thresholds stay. The temperature is folded into the new head; the training examples to compare with are the same, by their
    new features.

    Args:
        model: What `calibrate` returned, after `refit`.
        splits: As for `calibrate`.
        again: What `refit` returned; if it is None, nothing is done.
        run: Where `model.keras` and `calibration.json` are written anew.
    """
    if again is None or (model.temperature == 1 and model.familiar is None):
        return model
    splits, found = read_still_there(splits, lambda there: respond(model, there.val))
    if model.temperature != 1:
        few = splits.val.take(np.arange(min(32, len(found.logits))))
        _scale_head(model, model.temperature, few, probabilities_of(model.task, found.logits / model.temperature))
    if model.familiar is not None:
        _, familiar = read_still_there(splits, lambda there: choose_familiar(model, there, found))
        model = replace(model, familiar=replace(model.familiar, bank=familiar.bank))
    if run:
        write_file(run.path / WEIGHTS, model.network.save)
        save_calibration(model, run.path)
    return model


def save_calibration(model: TransferModel, folder: Path) -> None:
    """Write `calibration.json`: the temperature, thresholds, and what inputs are compared with to answer "none of these"."""
    familiar = model.familiar
    terms: dict[str, Any] = {"temperature": model.temperature, "thresholds": dict(model.thresholds)}
    if familiar is not None:
        content = base64.b64encode(np.ascontiguousarray(familiar.bank).tobytes()).decode()
        terms["familiar"] = {"smallest": familiar.smallest, "n": familiar.n, "shape": familiar.bank.shape, "float16": content}
    write_json(folder / CALIBRATION, terms)


def with_calibration(model: TransferModel, folder: Path) -> TransferModel:
    """Return a model with what `save_calibration` wrote into a run folder; as it is where there is nothing."""
    if not (folder / CALIBRATION).is_file():
        return model
    terms = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
    kept = terms.get("familiar")
    familiar = None
    if kept:
        bank = np.frombuffer(base64.b64decode(kept["float16"]), np.float16).reshape(kept["shape"])
        familiar = Familiar(bank, kept["smallest"], kept["n"])
    return replace(model, temperature=terms["temperature"], thresholds=terms.get("thresholds", {}), familiar=familiar)


def _scale_head(model: TransferModel, temperature: float, few: Examples, outputs: np.ndarray) -> None:
    """Divide the last layer by the temperature, and see on a few examples that the network answers accordingly."""
    dense = model.head.network.get_layer("logits")
    kept = dense.get_weights()
    dense.set_weights([weight / temperature for weight in kept])
    if not np.allclose(outputs[: len(few)], predict_examples(model, few), atol=1e-2):
        dense.set_weights(kept)
        raise TlkerasError(
            "The head could not be scaled: the layer named 'logits' is not what the network ends in. "
            "Build the model with tl.build_model, or leave tl.calibrate out."
        )
