"""On whom does the model fail: the measure on parts of the test split, each against the rest."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tlkeras.data.decode import read_pixels
from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Texts
from tlkeras.data.picture_headers import stored_header
from tlkeras.data.slicing import MISSING, MOST_VALUES
from tlkeras.evaluation.evidence import Slice
from tlkeras.evaluation.paired import holm

SMALLEST = 20
"""Test examples that a slice needs, and the rest beside it."""
PARTS = ("low", "middle", "high")
INTERNAL = ("digest", "look", "split")
LEVEL = 0.05


def slice_columns(examples: Examples) -> dict[str, np.ndarray]:
    """Return the columns that examples can be sliced by, each of str, shape `(n,)`.

    These are the columns that the data was read with (see `slice` of `tl.load_texts`), groups of 2 to 20 values, numbers and
    times in thirds, and derived ones in thirds: of pictures the size (square root of the number of pixels) and the brightness
    (mean grey, 0 to 255), of texts the number of words.
    """
    columns: dict[str, np.ndarray] = {}
    for name, values in examples.metadata.items():
        if name in INTERNAL:
            continue
        if values.dtype.kind == "f":
            columns[name] = _thirds(values, show=_date if name == "time" else "{:.4g}".format)
        elif 2 <= len(np.unique(values.astype(str))) <= MOST_VALUES:
            columns[name] = values.astype(str)
    for name, values in _derived(examples).items():
        columns[name] = _thirds(values)
    return {name: column for name, column in columns.items() if len(np.unique(column)) > 1}


def measure_slices(
    columns: Mapping[str, np.ndarray], scores: np.ndarray, module: Any, measure: str, *, seed: int = 0
) -> tuple[Slice, ...]:
    """Return how the model does on each value of each column, the worst against the rest first.

    Right and wrong are compared by Fisher's exact test, other scores by Welch's test; p-values are corrected by Holm's method
    for all slices together.

    Args:
        columns: What `slice_columns` returned, and columns of your own.
        scores: How good each prediction is, float, shape `(n,)`, higher is better.
        module: The task's module, which turns scores into the headline.
        measure: The headline's name.
        seed: Seed of the bootstrap.
    """
    found: list[tuple[str, str, np.ndarray]] = []
    for name, column in columns.items():
        for value in np.unique(column):
            chosen = column == value
            if min(chosen.sum(), (~chosen).sum()) >= SMALLEST:
                found.append((name, str(value), chosen))
    p_values = holm([difference_p_value(scores[chosen], scores[~chosen]) for _, _, chosen in found])
    slices = [
        Slice(
            column=name,
            value=value,
            n=int(chosen.sum()),
            measure=measure,
            metric=module.headline(scores[chosen], seed=seed),
            difference=float(scores[chosen].mean() - scores[~chosen].mean()),
            p_value=float(p_value),
            significant=bool(p_value < LEVEL),
        )
        for (name, value, chosen), p_value in zip(found, p_values, strict=True)
    ]
    return tuple(sorted(slices, key=lambda item: item.difference))


def difference_p_value(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return the p-value of two groups of scores having the same mean."""
    from scipy.stats import fisher_exact, ttest_ind

    if np.isin(inside, (0, 1)).all() and np.isin(outside, (0, 1)).all():
        counts = [[int((part == value).sum()) for value in (1, 0)] for part in (inside, outside)]
        return float(fisher_exact(counts).pvalue)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scores that are all but equal
        p_value = float(ttest_ind(inside, outside, equal_var=False).pvalue)
    return p_value if np.isfinite(p_value) else float(np.isclose(inside.mean(), outside.mean()))


def _derived(examples: Examples) -> dict[str, np.ndarray]:
    store = examples.store
    if isinstance(store, Texts):
        return {"text length": np.array([len(text.split()) for text in store.texts], float)}
    if not isinstance(store, ImageFiles | EncodedImages | ImageArrays):
        return {}
    grey = read_pixels(store, 32).reshape(len(store), -1).mean(axis=1)
    if isinstance(store, ImageArrays):
        return {"brightness": grey}
    headers = [stored_header(store, row) for row in range(len(store))]
    return {"picture size": np.array([np.sqrt(one.width * one.height) for one in headers]), "brightness": grey}


def _date(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s").astype("datetime64[D]"))


def _thirds(values: np.ndarray, *, show: Callable[[float], str] = "{:.4g}".format) -> np.ndarray:
    """Name the third that each value lies in, with its range; one name where all are alike."""
    known = np.isfinite(values)
    if not known.all():
        filled = np.full(len(values), MISSING, object)
        if known.any():
            filled[known] = _thirds(values[known], show=show)
        return filled.astype(str)
    edges = np.unique(np.quantile(values, (1 / 3, 2 / 3)))
    place = np.searchsorted(edges, values, side="left")
    names = {}
    for order, part in enumerate(np.unique(place)):
        inside = values[place == part]
        word = PARTS[order] if len(np.unique(place)) == len(PARTS) else PARTS[::2][min(order, 1)]
        names[part] = f"{word}: {show(inside.min())} to {show(inside.max())}"
    return np.array([names[part] for part in place])
