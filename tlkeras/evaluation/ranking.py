"""A ranking of source models: the order, how sure it is, and what it means in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tlkeras.data.examples import Skipped
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.name_similarity import NameSimilarity
from tlkeras.features.distance import Distance
from tlkeras.files import plain

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class RankedSource:
    """One source model in a ranking.

    Attributes:
        name: Its name.
        score: The ridge probe's score, in units of accuracy; of values, minus the absolute error.
        explained: What the same probe explains of the targets' variance, 1 at best; the sources stand in this order. Its `n` is
            smaller than the ranking's where the source was given up after the first examples: such stand at the end.
        behind: What the first explains more than this one, of the same examples.
        places: The first and the last place that it takes in 95 % of the resamples.
        tied: Whether it cannot be told apart from the first with these examples.
        scores: All scores by name; higher is better.
        pretrained: False where its weights are random.
        parameters: The number of its weights.
        megabytes: Their size as float32, in 10^6 bytes.
        latency_ms: Milliseconds for one example in LiteRT here, one thread, float32; None where LiteRT cannot run it.
        input_size: Pixels or tokens.
        licence: As its authors state it.
        static: Its place in the list that does not look at the data.
        names: How close the class names lie to its own; None where they are not known.
        distances: How far the data lies from a sample of its source data; empty where there is none.
        seconds: What it took to rank it: loading, features (0 where they were kept), scores.
    """

    name: str
    score: Measure
    explained: Measure
    behind: Measure
    places: tuple[int, int]
    tied: bool
    scores: Mapping[str, float]
    pretrained: bool
    parameters: int
    megabytes: float
    latency_ms: float | None
    input_size: int
    licence: str
    static: int
    names: NameSimilarity | None = None
    distances: Mapping[str, Distance] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Ranking:
    """Source models for a data set, the best first.

    Attributes:
        sources: The ranked ones.
        metric: What `score` is, in words.
        n: The number of examples that it was measured on.
        static_by: What the list that does not look at the data goes by.
        null: The score of the first one's architecture with random weights, on the first examples; None if not measured.
        gain: What the first has more than that null, on the same examples.
        verdict: What all this means, in words.
        left_out: Candidates that were not ranked, and why.
        notes: What is missing, and why.
        fingerprint: That of the splits.
        seconds: All that it took.
    """

    sources: tuple[RankedSource, ...]
    metric: str
    n: int
    static_by: str
    null: Measure | None = None
    gain: Measure | None = None
    verdict: str = ""
    left_out: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    seconds: float = 0.0

    @property
    def best(self) -> str:
        """The name of the first."""
        return self.sources[0].name

    def to_json(self) -> dict[str, Any]:
        """Return what `ranking.json` holds."""
        return {"best": self.best, **plain(self)}


@dataclass(frozen=True)
class Order:
    """The order of several scores on the same examples, and what resampling the examples makes of it.

    Attributes:
        names: Best first.
        scores: The mean of each, with its 95 % percentile interval.
        behind: What the first has more than each.
        places: The first and the last place of each in 95 % of the resamples.
    """

    names: tuple[str, ...]
    scores: Mapping[str, Measure]
    behind: Mapping[str, Measure]
    places: Mapping[str, tuple[int, int]]


def order(scores: Mapping[str, np.ndarray], *, seed: int = 0) -> Order:
    """Order names by the mean of their scores, and bootstrap the examples, the same ones for all names.

    Args:
        scores: For each name the score of each example, higher is better, float, shape `(n,)`.
        seed: Seed of the resampling.
    """
    names = sorted(scores, key=lambda name: -float(np.mean(scores[name])))
    table = np.stack([scores[name].astype(float) for name in names], axis=1)
    n = len(table)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    means = counts @ table / n
    # Equal means share no place: the one that is better on all examples goes first.
    places = np.argsort(np.argsort(-means, axis=1, kind="stable"), axis=1, kind="stable") + 1
    ends = (1 - CONFIDENCE) / 2
    low_place, high_place = (np.quantile(places, end, axis=0, method="nearest") for end in (ends, 1 - ends))
    return Order(
        names=tuple(names),
        scores={name: interval(table[:, i].mean(), means[:, i], n) for i, name in enumerate(names)},
        behind={
            name: interval((table[:, 0] - table[:, i]).mean(), means[:, 0] - means[:, i], n) for i, name in enumerate(names)
        },
        places={name: (int(low_place[i]), int(high_place[i])) for i, name in enumerate(names)},
    )


def mean_with_interval(scores: np.ndarray, *, seed: int = 0) -> Measure:
    """Return the mean of some scores, as `order` does it; `scores` is float, shape `(n,)`."""
    return order({"": scores}, seed=seed).scores[""]


def interval(value: float, resampled: np.ndarray, n: int) -> Measure:
    """Return a value with the 95 % percentile interval of its resamples."""
    ends = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [ends, 1 - ends])
    return Measure(float(value), float(low), float(high), n)


def words(sources: Sequence[RankedSource], metric: str, n: int, gain: Measure | None) -> str:
    """Say what a ranking means.

    Args:
        sources: Best first.
        metric: What the score is.
        n: The number of examples.
        gain: What the first has more than random weights.
    """
    first = sources[0]
    if not first.pretrained:
        return (
            f"None helps: the best, {first.name}, has random weights. Take a source model trained on data like yours, or "
            "train from scratch."
        )
    if gain is not None and gain.low <= 0:
        return (
            f"None helps, as far as {n:,} examples can show: {first.name} ({metric} {first.score.value:.3f}) is not above the "
            f"same network with random weights ({_signed(gain)})."
        )
    tied = [one for one in sources[1:] if one.tied]
    head = f"{first.name} comes first: {metric} {first.score.value:.3f} [{first.score.low:.3f}, {first.score.high:.3f}]"
    if not tied:
        others = "" if len(sources) == 1 else f", ahead of all others by more than chance ({n:,} examples)"
        return f"{head}{others}."
    cheapest = min([first, *tied], key=_cost)
    listed = ", ".join(one.name for one in tied)
    text = f"{head}. With {n:,} examples it cannot be told apart from {listed}"
    if cheapest is first:
        return f"{text}; it is also the {_cheap(first)} of them."
    return f"{text}; the {_cheap(cheapest)} of them is {cheapest.name}."


def _cost(one: RankedSource) -> float:
    return one.latency_ms if one.latency_ms is not None else 1e9 + one.megabytes


def _cheap(one: RankedSource) -> str:
    return "fastest" if one.latency_ms is not None else "smallest"


def _signed(gain: Measure) -> str:
    return f"{100 * gain.value:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
