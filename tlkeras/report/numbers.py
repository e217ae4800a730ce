"""Numbers as a person reads them in a report."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

SHARES = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "jaccard", "exact_match", "top", "roc_auc")
"""What begins with one of these is a share in `[0, 1]` and shown in per cent; ROC AUC too, which is a probability."""
ERRORS = ("mean_absolute_error", "root_mean_square_error")
"""Measures that are better if lower."""


def is_share(name: str) -> bool:
    """Say whether a measure is a share of the examples, to be given in per cent."""
    return name.startswith(SHARES)


def is_measure(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Say whether a value of a JSON file is a measure: a number with the ends of its interval and an n."""
    return isinstance(value, Mapping) and {"value", "low", "high", "n"} <= set(value)


def number(value: float | None, *, share: bool = False, digits: int = 3) -> str:
    """Return a number: `89.4 %` for a share, three significant digits otherwise, "not measured" for None."""
    if value is None or not math.isfinite(value):
        return "not measured"
    if share:
        return f"{100 * value:.1f} %"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.{digits}f}" if abs(value) >= 0.01 else f"{value:.2g}"


def interval(measure: Mapping[str, Any], *, share: bool = False) -> str:
    """Return the ends of a measure's 95 % interval: `87.3 to 91.2 %`."""
    low, high = measure.get("low"), measure.get("high")
    if low is None or high is None:
        return ""
    return f"{100 * low:.1f} to {100 * high:.1f} %" if share else f"{number(low)} to {number(high)}"


def gain(measure: Mapping[str, Any], *, share: bool) -> tuple[str, str]:
    """Return a difference, and its interval: in points of a hundred for shares."""
    factor, digits, unit = (100, 1, " points") if share else (1, 3, "")
    value, low, high = (factor * float(measure[name]) for name in ("value", "low", "high"))
    return f"{value:+.{digits}f}{unit}", f"{low:+.{digits}f} to {high:+.{digits}f}"


def facts(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield everything in nested JSON values as names and texts; measures with their intervals."""
    if is_measure(values):
        yield name, f"{number(values['value'])} ({interval(values)}; n {values['n']:,})"
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from facts(value, f"{name} · {words(key)}" if name else words(key))
    elif isinstance(values, Sequence) and not isinstance(values, str):
        if values and all(isinstance(value, (str, int, float)) for value in values):
            yield name, ", ".join(number(value) if isinstance(value, float) else str(value) for value in values)
        else:
            for index, value in enumerate(values, 1):
                yield from facts(value, f"{name} {index}".strip())
    elif isinstance(values, bool):
        yield name, "yes" if values else "no"
    elif isinstance(values, (int, float)):
        yield name, number(values)
    elif values is not None and values != "":
        yield name, str(values)


def words(name: str) -> str:
    """Return a name of the code as words: `roc_auc` as `ROC AUC`."""
    known = {
        "roc_auc": "ROC AUC",
        "auc": "AUC",
        "ece": "ECE",
        "ece_null": "ECE by chance",
        "ece_null_high": "ECE by chance, at most",
        "f1_macro": "F1, macro",
        "f1": "F1",
        "f1_weighted": "F1, weighted",
        "f1_micro": "F1, micro",
        "matthews": "Matthews correlation",
        "rejected_own": "test examples refused, wrongly",
        "rejected_foreign": "foreign inputs refused, rightly",
        "foreign": "foreign inputs",
        "threshold": "least similarity",
    }
    return known.get(name, name.replace("_", " "))
