"""Likely label errors: confident learning on out-of-fold probabilities of a probe on frozen features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.data.dealing import deal_folds
from tlkeras.data.examples import Examples
from tlkeras.data.units import find_units
from tlkeras.errors import DataError, TlkerasError
from tlkeras.features.cut import activations
from tlkeras.features.inputs import read_inputs
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.head import STRENGTHS, rotate, solve_linear


@dataclass(frozen=True)
class LabelErrors:
    """Examples whose label is probably wrong, the most suspicious first.

    Attributes:
        rows: Their places among the examples, int64, shape `(k,)`.
        suggested: The class that the probe takes each for, int64, shape `(k,)`.
        confidence: The probability it gives the label that stands there, float64, shape `(k,)`.
        accuracy: How often the probe agrees with the labels, out of fold: the lower, the less its suspicions mean.
    """

    rows: np.ndarray
    suggested: np.ndarray
    confidence: np.ndarray
    accuracy: float


def find_label_errors(
    examples: Examples,
    classes: Sequence[str],
    source: SourceModel,
    *,
    folds: int = 5,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> LabelErrors:
    """Find the examples whose label is probably wrong; nothing is changed.

    A logistic regression on the frozen features of a source model gives each example the probabilities that a probe trained
    without it (and its copies) sees; confident learning (Northcutt et al., 2021, in the package cleanlab) compares them with
    the labels.

    Args:
        examples: Examples of one class each.
        classes: The class names.
        source: The network whose features are used.
        folds: The probes: each is trained without two of the folds and asked about one; fewer where a class is small.
        seed: Seed of the folds.
        on_progress: Called with the examples whose features are done, and their number.

    Raises:
        TlkerasError: cleanlab is not installed.
        DataError: A class has fewer than three different examples.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise TlkerasError("Looking for label errors needs cleanlab. Install it with: pip install 'tlkeras[deep]'") from None
    fold = _folds(examples, classes, folds, seed)
    probabilities = out_of_fold(_features(examples, classes, source, on_progress), examples.labels, fold, len(classes))
    rows = np.asarray(
        find_label_issues(examples.labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1), np.int64
    )
    return LabelErrors(
        rows=rows,
        suggested=probabilities[rows].argmax(axis=1),
        confidence=probabilities[rows, examples.labels[rows]],
        accuracy=float((probabilities.argmax(axis=1) == examples.labels).mean()),
    )


def out_of_fold(features: np.ndarray, labels: np.ndarray, fold: np.ndarray, classes: int) -> np.ndarray:
    """Return the class probabilities of each example from a logistic regression that has not seen its fold.

    The strength of regularization is chosen on the next fold, which is not trained on either.

    Args:
        features: float, shape `(n, width)`.
        labels: int, shape `(n,)`.
        fold: The fold of each example, int, shape `(n,)`, from 0.
        classes: The number of classes.

    Returns:
        float64, shape `(n, classes)`; each row sums to 1.
    """
    center = features.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(np.mean((features - center) ** 2))) or 1.0
    x, _, _ = rotate((features - center) / scale, np.empty((0, features.shape[1])))
    number = int(fold.max()) + 1
    strengths = [strength * 10 / features.shape[1] for strength in STRENGTHS]
    logits = np.empty((len(x), classes))
    for test in range(number):
        val = fold == (test + 1) % number
        train = ~val & (fold != test)
        kernel, bias, _ = solve_linear("classification", x[train], labels[train], x[val], labels[val], strengths, classes)
        logits[fold == test] = x[fold == test] @ kernel + bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _folds(examples: Examples, classes: Sequence[str], folds: int, seed: int) -> np.ndarray:
    units = find_units(examples, seed=seed)
    fewest = int(np.bincount(units.strata, minlength=len(classes)).min())
    if fewest < 3:
        small = classes[int(np.bincount(units.strata, minlength=len(classes)).argmin())]
        raise DataError(
            f"Class {small!r} has {fewest} different examples; to be looked at for label errors it needs 3. "
            "Add examples, or leave the class out."
        )
    return deal_folds(units, classes, min(folds, fewest))[units.of]


def _features(
    examples: Examples, classes: Sequence[str], source: SourceModel, on_progress: Callable[[int, int], None] | None
) -> np.ndarray:
    segments = (*source.blocks, build_classifier(source, classes).pool)
    top = len(segments)
    (rows,) = activations(segments, [top], read_inputs(examples, source), on_progress=on_progress)
    return rows[top][0].values
