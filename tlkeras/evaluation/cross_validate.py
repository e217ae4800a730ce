"""K-fold cross-validation: every example is predicted by a model that has not seen it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.examples import Splits
from tlkeras.data.folds import fold_splits
from tlkeras.data.joined import join_examples
from tlkeras.evaluation.classification import confusion_matrix
from tlkeras.evaluation.evaluate import MEASURES, predict_examples, target_array
from tlkeras.evaluation.metrics import Evaluation
from tlkeras.evaluation.nulls import predictions
from tlkeras.evaluation.saved import save_evaluation
from tlkeras.files import write_file, write_json
from tlkeras.runs import Run
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.model import TransferModel
from tlkeras.training.fit import fit

log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class CrossValidation:
    """What the folds gave.

    Attributes:
        metric: The measure that is compared, the task's headline.
        scores: Its value on the test part of each fold.
        evaluation: Measures, intervals and predictions over all examples, each predicted out of its fold.
    """

    metric: str
    scores: tuple[float, ...]
    evaluation: Evaluation

    @property
    def mean(self) -> float:
        """The mean over the folds."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """The standard deviation between the folds."""
        return float(np.std(self.scores, ddof=1))


def cross_validate(
    model: TransferModel,
    splits: Splits,
    phases: Sequence[Phase],
    *,
    folds: int,
    near_duplicates: bool = True,
    seed: int = 0,
    run: Run | None = None,
    **options: Any,
) -> CrossValidation | None:
    """Train once for each fold, from the weights that the model has now, and put these back; None for 0 folds.

    The folds are made of all examples, whatever part they are in. Each fold is tested once; the next one validates meanwhile.

    Args:
        model: Untrained, as for `fit`.
        splits: As for `fit`.
        phases: As for `fit`.
        folds: 3 or more; 0 does nothing.
        near_duplicates: Keep near copies in one fold.
        seed: Seed of the folds and, as for `fit`, of the training.
        run: Where to write `folds/`: `metrics.json`, `predictions.csv` and `folds.json`, and what each fold gave, from which a
            resumed run goes on.
        **options: Other arguments of `fit`.

    Raises:
        ValueError: There are one or two folds.
        DataError: A class has fewer different examples than there are folds.
    """
    if not folds:
        return None
    before = model.network.get_weights()
    everything = join_examples([splits.train, splits.val, splits.test])
    parts = fold_splits(everything, splits.classes, folds=folds, seed=seed, near_duplicates=near_duplicates)
    outputs = []
    for number, part in enumerate(parts, start=1):
        kept = run.path / "folds" / f"fold_{number}.npz" if run else None
        found = _read(kept, part.test.ids)
        if found is None:
            log.info("Fold %d of %d: %d training examples, %d to test", number, folds, len(part.train), len(part.test))
            try:
                fit(model, part, phases, seed=seed, **options)
                found = predict_examples(model, part.test)
            finally:
                model.network.set_weights(before)
            _write(kept, part.test.ids, found)
        outputs.append(found)
    result = _summarize(model, parts, outputs, seed)
    if run:
        save_evaluation(result.evaluation, run.path / "folds")
        about = {"metric": result.metric, "folds": result.scores, "mean": result.mean, "standard deviation": result.spread}
        write_json(run.path / "folds" / "folds.json", about)
    pooled = result.evaluation.measures[result.metric]
    log.info(
        "Cross-validation, %d folds: %s %.3f, standard deviation between folds %.3f; over all %d examples %.3f [%.3f, %.3f]",
        folds,
        result.metric,
        result.mean,
        result.spread,
        pooled.n,
        pooled.value,
        pooled.low,
        pooled.high,
    )
    return result


def _summarize(model: TransferModel, parts: Sequence[Splits], outputs: Sequence[np.ndarray], seed: int) -> CrossValidation:
    module = MEASURES[model.task]
    measured: list[Mapping[str, Any]] = [
        module.measures(target_array(part.test), found, seed=seed) for part, found in zip(parts, outputs, strict=True)
    ]
    metric = next(iter(measured[0]))
    targets, joined = np.concatenate([target_array(part.test) for part in parts]), np.concatenate(outputs)
    predicted = predictions(model.task, joined)
    evaluation = Evaluation(
        task=model.task,
        measures=module.measures(targets, joined, seed=seed),
        classes=model.classes,
        ids=np.concatenate([part.test.ids for part in parts]),
        targets=targets,
        outputs=joined,
        per_class=module.per_class(targets, predicted, model.classes),
        confusion=confusion_matrix(targets, predicted, len(model.classes)) if model.task == "classification" else None,
    )
    return CrossValidation(metric, tuple(float(one[metric].value) for one in measured), evaluation)


def _read(path: Path | None, ids: np.ndarray) -> np.ndarray | None:
    """The outputs of a fold that an earlier process finished, if they are of these examples."""
    if path is None or not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["outputs"] if np.array_equal(arrays["ids"], np.asarray(ids, str)) else None


def _write(path: Path | None, ids: np.ndarray, outputs: np.ndarray) -> None:
    if path is not None:
        path.parent.mkdir(exist_ok=True)

        def write(file: Path) -> None:
            with file.open("wb") as stream:
                np.savez(stream, ids=np.asarray(ids, str), outputs=outputs)

        write_file(path, write)
