"""How often 95 % intervals hold the truth: simulated samples, the library's own intervals.

    python -m tests.interval_coverage --trials 2000 > intervals.jsonl      # a line for each size, quality and number of classes
    python -m tests.interval_coverage --ranked --trials 1000               # average precision, several classes and labels

Classes: as many examples of each class as chance gives, the share `quality` of each right, the others spread evenly. Scores:
two normal distributions as far apart as the area says. Several classes or labels: a normal score for each, whose mean is
higher where the class or label applies; three in ten examples have each of five labels, and those of an example hang together.
The truth of these is that of a million examples. Samples that lack a class are drawn again. Needs no TensorFlow.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy.stats import norm
from sklearn.metrics import average_precision_score, jaccard_score, precision_recall_fscore_support, roc_auc_score

from tlkeras.evaluation import multi_label
from tlkeras.evaluation.boundary import area_interval
from tlkeras.evaluation.classification import areas, counted
from tlkeras.evaluation.intervals import bootstrap_weighted

MANY = 1_000_000
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
    held = 0
    for trial in range(trials):
        (positive,), (scores,) = draw_two(n, np.random.default_rng(trial), area=area, share=share)
        low, high = area_interval(positive, scores, roc_auc_score(positive, scores))
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


def draw_two(n: int, generator: np.random.Generator, *, area: float, share: float) -> tuple[list, list]:
    """Draw examples of which a share is to be found; returns what is, and its scores, each in a list."""
    positive = np.arange(n) < round(n * share)
    return [positive], [generator.normal(size=n) + norm.ppf(area) * np.sqrt(2) * positive]


def draw_classes(n: int, generator: np.random.Generator, *, apart: float, classes: int) -> tuple[list, list]:
    """Draw examples of classes; returns for each class whether it applies, and its probability."""
    targets = generator.integers(0, classes, n)
    while len(np.unique(targets)) < classes:
        targets = generator.integers(0, classes, n)
    scores = np.exp(apart * (generator.normal(size=(n, classes)) + apart * np.eye(classes)[targets]))
    outputs = scores / scores.sum(axis=1, keepdims=True)
    return list(targets == np.arange(classes)[:, None]), list(outputs.T)


def draw_labels(n: int, generator: np.random.Generator, *, apart: float, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw examples with labels; returns them and their probabilities, each of shape `(n, labels)`."""
    while True:
        latent = np.sqrt(0.3) * generator.normal(size=(n, 1)) + np.sqrt(0.7) * generator.normal(size=(n, labels))
        targets = (latent < norm.ppf(0.3)).astype(np.uint8)
        if np.all((targets.sum(axis=0) > 0) & (targets.sum(axis=0) < n)):
            break
    logits = apart * (generator.normal(size=(n, labels)) + apart * targets - apart / 2) + np.log(0.3 / 0.7)
    return targets, 1 / (1 + np.exp(-logits))


def true_areas(positive: list[np.ndarray], scores: list[np.ndarray]) -> dict[str, float]:
    """Return the areas of many examples as scikit-learn finds them."""
    pairs = list(zip(positive, scores, strict=True))
    known = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}
    return {name: float(np.mean([find(*pair) for pair in pairs])) for name, find in known.items()}


def true_labels(targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return the measures of several labels of many examples as scikit-learn finds them."""
    taken = outputs >= 0.5
    found = {"jaccard": jaccard_score(targets, taken, average="samples", zero_division=1)}
    for average in ("macro", "weighted", "micro"):
        values = precision_recall_fscore_support(targets, taken, average=average)[:3]
        found |= {f"{name}_{average}": value for name, value in zip(("precision", "recall", "f1"), values, strict=True)}
    return {**found, **true_areas(list(targets.T), list(outputs.T))}


def cover(draw: Callable, find: Callable, truth: Callable, n: int, trials: int) -> dict[str, float]:
    """Return the share of trials whose interval holds the truth, that of many examples, by measure."""
    true = truth(*draw(MANY, np.random.default_rng(MANY)))
    held = dict.fromkeys(true, 0)
    for trial in range(trials):
        found = find(*draw(n, np.random.default_rng(trial)), seed=trial)
        for name in held.keys() & found.keys():
            held[name] += found[name].low - 1e-9 <= true[name] <= found[name].high + 1e-9
    return {name: round(count / trials, 4) for name, count in held.items() if name in found}


def run_ranked(trials: int) -> Iterator[dict]:
    """Yield lines for average precision, and for means over several classes and labels."""
    for n in (20, 60, 200, 2000):
        few = trials if n < 2000 else max(1, trials // 4)
        for area in (0.76, 0.9, 0.97) if n < 2000 else (0.9,):
            for share in (0.5, 0.2):
                held = cover(partial(draw_two, area=area, share=share), areas, true_areas, n, few)
                yield {"positive": share, "quality": area, "n": n, "trials": few, **held}
        for apart in (1.0, 2.0, 3.0) if n < 2000 else (2.0,):
            held = cover(partial(draw_classes, apart=apart, classes=5), areas, true_areas, n, few)
            yield {"classes": 5, "apart": apart, "n": n, "trials": few, **held}
            held = cover(partial(draw_labels, apart=apart, labels=5), multi_label.measures, true_labels, n, few)
            yield {"labels": 5, "apart": apart, "n": n, "trials": few, **held}


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
    parser.add_argument("--ranked", action="store_true", help="average precision, and means over several classes and labels")
    settings = parser.parse_args()
    for line in (run_ranked if settings.ranked else run)(settings.trials):
        print(json.dumps(line), flush=True)
