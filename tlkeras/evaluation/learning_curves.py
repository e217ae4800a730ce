"""Learning curves with intervals, differences between them, and what they mean in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.outcome import Outcome

NORMAL = 1.959964
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Point:
    """A place on a learning curve: an arm with a number of training examples, over all seeds.

    Attributes:
        fraction: Of the training examples.
        n_train: Their number.
        score: The mean test score, with an interval for both chances: which test examples, and which seeds.
        seeds: The mean test score of each seed.
        val_score: The mean validation score, by which arms are chosen.
        gap: The mean score on training examples minus that on test examples.
        seconds: The mean time.
        peak_bytes: The mean peak of memory.
        trained: The number of trained parameters; None where there is no network.
    """

    fraction: float
    n_train: int
    score: Measure
    seeds: tuple[float, ...]
    val_score: float
    gap: float
    seconds: float
    peak_bytes: float
    trained: int | None


@dataclass(frozen=True)
class Cost:
    """What an arm had cost when its validation score first reached a goal, on all training examples: means over the seeds.

    Attributes:
        reached: The number of seeds in which it did.
        seconds: Wall time; None, as the others, where no seed did.
        epochs: Passes over the training examples.
        macs: Multiply-accumulate operations.
    """

    reached: int
    seconds: float | None = None
    epochs: float | None = None
    macs: float | None = None


def mean_score(scores: Sequence[np.ndarray]) -> Measure:
    """Return the mean of scores on the same examples from several seeds, with a 95 % interval for both chances.

    The half-widths for the choice of examples (normal) and for the choice of seeds (Student, with few degrees of freedom) are
    added in squares. With one seed the second is unknown and left out.

    Args:
        scores: For each seed the score on each example, float, shape `(n,)`; or differences of scores.
    """
    from scipy.stats import t

    table = np.stack(scores).astype(float)
    seeds, n = table.shape
    value = float(table.mean())
    squares = NORMAL**2 * float(table.mean(axis=0).var(ddof=1)) / n if n > 1 else 0.0
    if seeds > 1:
        squares += float(t.ppf(0.975, seeds - 1)) ** 2 * float(table.mean(axis=1).var(ddof=1)) / seeds
    half = math.sqrt(squares)
    return Measure(value, value - half, value + half, n)


def point(fraction: float, outcomes: Sequence[Outcome]) -> Point:
    """Sum up the outcomes of an arm at one fraction, one for each seed."""
    scores = [outcome.scores for outcome in outcomes]
    means = [float(score.mean()) for score in scores]
    gaps = [outcome.train_score - mean for outcome, mean in zip(outcomes, means, strict=True)]
    return Point(
        fraction=fraction,
        n_train=outcomes[0].n_train,
        score=_within(mean_score(scores), shares=min(map(np.min, scores)) >= 0 and max(map(np.max, scores)) <= 1),
        seeds=tuple(means),
        val_score=float(np.mean([outcome.val_score for outcome in outcomes])),
        gap=float(np.mean(gaps)),
        seconds=float(np.mean([outcome.seconds for outcome in outcomes])),
        peak_bytes=float(np.mean([outcome.peak_bytes for outcome in outcomes])),
        trained=outcomes[0].trained,
    )


def _within(measure: Measure, *, shares: bool) -> Measure:
    """Keep the interval of a share between 0 and 1."""
    return replace(measure, low=max(measure.low, 0.0), high=min(measure.high, 1.0)) if shares else measure


def difference(own: Sequence[Outcome], other: Sequence[Outcome]) -> Measure:
    """Return what one arm has more than another on the same test examples, seed by seed, with its interval."""
    return mean_score([one.scores - two.scores for one, two in zip(own, other, strict=True)])


def cost_to_reach(goal: float, outcomes: Sequence[Outcome], *, higher_is_better: bool = True) -> Cost:
    """Return what an arm had cost when its validation metric first reached a goal; see `Cost`."""
    firsts = []
    for outcome in outcomes:
        reached = [step for step in outcome.steps if (step.val_score >= goal) == higher_is_better or step.val_score == goal]
        firsts += reached[:1]
    if not firsts:
        return Cost(0)
    macs = [step.macs for step in firsts if step.macs is not None]
    return Cost(
        reached=len(firsts),
        seconds=float(np.mean([step.seconds for step in firsts])),
        epochs=float(np.mean([step.epochs for step in firsts])),
        macs=float(np.mean(macs)) if macs else None,
    )


@dataclass(frozen=True)
class DataWorth:
    """How many examples another arm needs to do as well as one does with `n`.

    Attributes:
        n: The number of training examples of the one.
        times: The number that the other needs, by `n`.
        at_least: Whether the other does not get there at all with the examples that it was given: then `times` is a bound.
    """

    n: int
    times: float
    at_least: bool


def worth(own: Sequence[Point], other: Sequence[Point]) -> list[DataWorth]:
    """Return for each point of one curve how many times the data the other curve takes to get there.

    The other curve is read between its points along the logarithm of the number of examples, and not beyond its ends: where it
    starts higher nothing is said.
    """
    curve = sorted(other, key=lambda one: one.n_train)
    sizes = np.log([one.n_train for one in curve])
    best = np.maximum.accumulate([one.score.value for one in curve])  # more data that do worse are no reason to need fewer
    found = []
    for one in sorted(own, key=lambda one: one.n_train):
        value = one.score.value
        if value > best[-1]:
            found.append(DataWorth(one.n_train, curve[-1].n_train / one.n_train, True))
        elif value >= best[0]:
            first = int(np.argmax(best >= value))
            if first == 0:
                needed = float(sizes[0])
            else:
                share = (value - best[first - 1]) / (best[first] - best[first - 1])
                needed = float(sizes[first - 1] + share * (sizes[first] - sizes[first - 1]))
            found.append(DataWorth(one.n_train, math.exp(needed) / one.n_train, False))
    return found


def best_arm(curves: Mapping[str, Sequence[Point]], names: Sequence[str]) -> str | None:
    """Return which of some arms is best on validation examples, with all training examples; None where there is none."""
    return max(names, key=lambda name: curves[name][-1].val_score, default=None)
