"""Are groups treated alike: selection rates and error rates by group, through fairlearn, beside groups dealt at random."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tlkeras.errors import TlkerasError
from tlkeras.evaluation.evidence import Fairness
from tlkeras.evaluation.paired import holm

REPEATS = 999
SMALLEST = 10
"""Test examples that a group needs to be looked at."""


def measure_fairness(
    columns: Mapping[str, np.ndarray],
    targets: np.ndarray,
    outputs: np.ndarray,
    classes: Sequence[str],
    *,
    validation: tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> tuple[Fairness, ...]:
    """Return how differently the groups of each column are treated, the largest difference first.

    A class counts as selected where it is the predicted one: with two classes the second, with more each against the rest.

    Args:
        columns: The group of each test example, str, shape `(n,)`, by the name of the column.
        targets: Classes, int, shape `(n,)`.
        outputs: Probabilities, shape `(n, classes)`.
        classes: The class names.
        validation: Columns, targets and outputs of the validation examples, on which thresholds are chosen; none if not given.
        seed: Seed of the groups dealt at random.

    Raises:
        TlkerasError: fairlearn is not installed.
        ValueError: A column has fewer than two groups of `SMALLEST` test examples.
    """
    found: list[Fairness] = []
    for name, column in columns.items():
        kept = np.isin(
            column, [value for value, n in zip(*np.unique(column, return_counts=True), strict=True) if n >= SMALLEST]
        )
        if len(np.unique(column[kept])) < 2:
            raise ValueError(f"Fairness needs two groups of {SMALLEST} test examples or more in the column {name!r}.")
        predicted = outputs.argmax(axis=1)
        for place in [1] if len(classes) == 2 else range(len(classes)):
            true, taken = (targets == place)[kept], (predicted == place)[kept]
            if 0 < true.sum() < len(true):
                one = _one(name, classes[place], column[kept], true, taken, seed)
                found.append(_mitigated(one, column[kept], true, outputs[kept, place], place, validation))
    corrected = holm([one.p_value for one in found])
    measured = [replace(one, p_value=float(p)) for one, p in zip(found, corrected, strict=True)]
    return tuple(sorted(measured, key=lambda one: -one.equalized_odds_difference))


def equalizing_thresholds(groups: np.ndarray, true: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return a threshold for each group at which all find the same share of what is to be found: equal opportunity.

    That share is what 0.5 finds over all; Hardt, Price and Srebro, "Equality of Opportunity in Supervised Learning", 2016.

    Args:
        groups: Of validation examples, str, shape `(n,)`.
        true: Whether each is to be selected, bool, shape `(n,)`.
        scores: Its probability, shape `(n,)`.
    """
    share = float((scores[true] >= 0.5).mean()) if true.any() else 0.0
    thresholds = {}
    for group in np.unique(groups):
        own = np.sort(scores[(groups == group) & true])[::-1]
        count = round(share * len(own))
        if not len(own):
            continue
        below = own[count] if count < len(own) else 0.0
        above = own[count - 1] if count else 1.0
        thresholds[str(group)] = float((below + above) / 2)
    return thresholds


def _mitigated(
    one: Fairness,
    groups: np.ndarray,
    true: np.ndarray,
    scores: np.ndarray,
    place: int,
    validation: tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray] | None,
) -> Fairness:
    """Add thresholds by group, and what they do to the test examples; nothing where validation lacks a group."""
    if validation is None or one.column not in validation[0]:
        return one
    columns, targets, outputs = validation
    thresholds = equalizing_thresholds(columns[one.column], targets == place, outputs[:, place])
    if set(one.groups) - set(thresholds):
        return one
    taken = scores >= np.array([thresholds[group] for group in groups.tolist()])
    return replace(one, thresholds=thresholds, equalized_odds_difference_after=_odds(rates(groups, true, taken)))


def rates(groups: np.ndarray, true: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return selection rate, true and false positive rate of each group, float, shape `(groups, 3)`; NaN where undefined."""
    _, place = np.unique(groups, return_inverse=True)
    count = int(place.max()) + 1

    def share(of: np.ndarray) -> np.ndarray:
        total = np.bincount(place, weights=of, minlength=count)
        return np.bincount(place, weights=of & taken, minlength=count) / np.where(total > 0, total, np.nan)

    return np.stack([share(np.ones_like(true)), share(true), share(~true)], axis=1)


def _one(name: str, of: str, groups: np.ndarray, true: np.ndarray, taken: np.ndarray, seed: int) -> Fairness:
    metrics = _fairlearn()
    arguments = (true.astype(int), taken.astype(int))
    odds = float(metrics.equalized_odds_difference(*arguments, sensitive_features=groups, agg="worst_case"))
    generator = np.random.default_rng(seed)
    by_chance = np.array([_odds(rates(generator.permutation(groups), true, taken)) for _ in range(REPEATS)])
    found = rates(groups, true, taken)
    return Fairness(
        column=name,
        of=of,
        groups={
            str(group): {
                "n": float((groups == group).sum()),
                **dict(zip(("selection_rate", "true_positive_rate", "false_positive_rate"), map(float, row), strict=True)),
                "accuracy": float((true == taken)[groups == group].mean()),
            }
            for group, row in zip(np.unique(groups), found, strict=True)
        },
        demographic_parity_difference=float(metrics.demographic_parity_difference(*arguments, sensitive_features=groups)),
        equalized_odds_difference=odds,
        null=float(by_chance.mean()),
        p_value=float((1 + (by_chance >= odds - 1e-12).sum()) / (REPEATS + 1)),
    )


def _odds(found: np.ndarray) -> float:
    """The larger of the largest differences of true and false positive rates; a group without either has none of it."""
    spans = [np.ptp(column[np.isfinite(column)]) if np.isfinite(column).any() else 0.0 for column in found.T[1:]]
    return float(max(spans))


def _fairlearn() -> Any:
    try:
        from fairlearn import metrics
    except ImportError:
        raise TlkerasError("Fairness needs fairlearn. Install it: pip install 'tlkeras[fairness]'") from None
    return metrics
