"""How often 95 % intervals hold the truth: simulated samples, the library's own intervals.

    python -m tests.interval_coverage --trials 2000 > intervals.jsonl      # a line for each size, quality and number of classes

Classes: as many examples of each class as chance gives, the share `quality` of each right, the others spread evenly. Scores:
two normal distributions as far apart as the area says. Samples that lack a class are drawn again. Needs no TensorFlow.
"""

import argparse
import json
from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.stats import norm, rankdata

from tlkeras.evaluation.boundary import newcombe
from tlkeras.evaluation.classification import counted
from tlkeras.evaluation.intervals import bootstrap_weighted

SHOWN = ("balanced_accuracy", "precision_macro", "f1_macro", "f1_weighted", "matthews")


def true_values(prior: np.ndarray, quality: float) -> dict[str, float]:
    """Return the measures of the whole population."""
    classes = len(prior)
    cells = np.outer(prior, np.full(classes, (1 - quality) / (classes - 1)))
    np.fill_diagonal(cells, prior * quality)
    hits, guessed, true = np.diag(cells), cells.sum(axis=0), cells.sum(axis=1)
    precision, recall, f1 = hits / guessed, hits / true, 2 * hits / (guessed + true)
    apart = (1 - (guessed**2).sum()) * (1 - (true**2).sum())
    values = (recall.mean(), precision.mean(), f1.mean(), f1 @ true, (hits.sum() - guessed @ true) / np.sqrt(apart))
    return dict(zip(SHOWN, map(float, values), strict=True))


def cover_counted(prior: np.ndarray, quality: float, n: int, trials: int) -> dict[str, float]:
    """Return the share of trials whose interval holds the truth, by measure."""
    truth, classes, held = true_values(prior, quality), len(prior), dict.fromkeys(SHOWN, 0)
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        targets = generator.choice(classes, n, p=prior)
        while len(np.unique(targets)) < classes:
            targets = generator.choice(classes, n, p=prior)
        wrong = (targets + generator.integers(1, classes, n)) % classes
        found = counted(targets, np.where(generator.random(n) < quality, targets, wrong), classes, seed=trial)
        for name in SHOWN:
            held[name] += found[name].low - 1e-9 <= truth[name] <= found[name].high + 1e-9
    return {name: count / trials for name, count in held.items()}


def cover_area(area: float, share: float, n: int, trials: int) -> dict[str, float]:
    """Return the same for an area under the ROC curve."""
    apart, positive, held = norm.ppf(area) * np.sqrt(2), np.arange(n) < round(n * share), 0
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        ranks = rankdata(generator.normal(size=n) + apart * positive)
        hits, misses = int(positive.sum()), int(n - positive.sum())
        low, high = newcombe((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses), hits, misses)
        held += low <= area <= high
    return {"roc_auc": held / trials}


def _means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (weights @ values / weights.sum(axis=1))[:, None]


def cover_mean(n: int, trials: int) -> dict[str, float]:
    """Return the same for the mean absolute error of normal mistakes."""
    held = 0
    for trial in range(trials):
        errors = np.abs(np.random.default_rng(trial).normal(size=n))
        (found,) = bootstrap_weighted(partial(_means, errors), n, seed=trial)
        held += found.low <= np.sqrt(2 / np.pi) <= found.high
    return {"mean_absolute_error": held / trials}


def run(trials: int) -> Iterator[dict]:
    """Yield a line for each cell; at 2,000 examples there is one quality and a quarter of the trials."""
    for n in (20, 60, 200, 2000):
        few = trials if n < 2000 else max(1, trials // 4)
        for prior in ([0.5, 0.5], [0.8, 0.2], [0.2] * 5):
            for quality in (0.7, 0.9, 0.97) if n < 2000 else (0.9,):
                held = cover_counted(np.array(prior), quality, n, few)
                yield {"classes": prior, "quality": quality, "n": n, "trials": few, **held}
        for area in (0.6, 0.76, 0.9, 0.97) if n < 2000 else (0.9,):
            for share in (0.5, 0.2):
                yield {"positive": share, "quality": area, "n": n, "trials": few, **cover_area(area, share, n, few)}
        yield {"n": n, "trials": few, **cover_mean(n, few)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    for line in run(parser.parse_args().trials):
        print(json.dumps(line), flush=True)
