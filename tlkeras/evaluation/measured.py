"""Everything that a ranking knows about one candidate."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.data.source_samples import source_sample
from tlkeras.errors import TlkerasError, WeightsError
from tlkeras.evaluation.candidates import Load, catalogue, licence, megabytes
from tlkeras.evaluation.evaluate import paired_gain
from tlkeras.evaluation.feature_scores import FeatureScores, score_features
from tlkeras.evaluation.limits import Limits
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.name_similarity import NameSimilarity, can_compare_names, compare_names
from tlkeras.evaluation.ranking import mean_with_interval
from tlkeras.features.distance import Distance, domain_distances
from tlkeras.features.pooled import FeaturePass, noise, pooled_features, prepare
from tlkeras.features.rows import Rows
from tlkeras.features.workers import latency_ms
from tlkeras.sources.class_names import source_classes
from tlkeras.sources.model import SourceModel

Read = Callable[[Examples, SourceModel], Rows]
"""Reads examples for a source model; see `pooled_features`."""

log = logging.getLogger("tlkeras")

BOUNDARIES = 3
"""The uppermost block boundaries whose features the ridge probe reads; see docs/rank.md for how that was chosen."""

FIRST = 300
"""The examples that every candidate is probed on; as many as the benchmarks of docs/rank.md found its order with."""

MARGIN = 0.05
"""A candidate is given up after the first examples if it explains so much less than the best so far, beyond chance."""


def _cuts(source: SourceModel) -> range:
    return range(max(1, len(source.blocks) - BOUNDARIES + 1), len(source.blocks) + 1)


@dataclass(frozen=True)
class Measured:
    """A candidate that was measured.

    Attributes:
        source: The source model.
        scores: Its scores.
        first: Those of the ridge probe on the first examples alone.
        ended: Whether it was given up after these, so that they are all its scores are of.
        latency: Milliseconds for one example; None where it was not measured or LiteRT cannot run it.
        names: See `RankedSource.names`.
        distances: See `RankedSource.distances`.
        seconds: What all that took, loading included.
        computed: The number of examples whose features were not in the cache.
    """

    source: SourceModel
    scores: FeatureScores
    first: FeatureScores
    ended: bool
    latency: float | None
    names: NameSimilarity | None
    distances: Mapping[str, Distance]
    seconds: float
    computed: int


def objection(name: str, modality: str, limits: Limits) -> str | None:
    """Say what is against a candidate before it is loaded; None where nothing is, or the catalogue does not have it."""
    row = catalogue(modality).get(name)
    return limits.objection(megabytes=row.megabytes, licence=row.licence) if row else None


def measure(
    load: Load,
    first: Examples,
    examples: Examples,
    splits: Splits,
    *,
    best: FeatureScores | None,
    limits: Limits,
    scores: Collection[str],
    facts: bool,
    read: Read | None = None,
) -> Measured | str:
    """Return everything about one candidate, or why it is left out.

    Args:
        load: Loads it.
        first: Whose features are probed first; where it trails the best so far, it ends there.
        examples: Whose features are probed then: the first and others, or the first themselves.
        splits: The data that they are from.
        best: `Measured.first` of the best so far; None for the first candidate.
        limits: What it must keep to.
        scores: See `score_features`.
        facts: Whether to measure latency, distances and the similarity of names.
        read: See `pooled_features`.
    """
    started = time.monotonic()
    try:
        source = load(True)
    except WeightsError as error:
        return str(error).splitlines()[0]
    reason = limits.objection(megabytes=megabytes(source), licence=licence(source))
    if reason:
        return reason
    ready = prepare(source, _cuts(source))
    latency = latency_ms(ready.frozen, noise(source)) if facts or limits.milliseconds is not None else None
    reason = limits.too_slow(latency)
    if reason:
        return reason
    (*below, features), computed = pooled_features(ready, first, read=read)
    early = score_features(features, first, splits, source, below=below, scores=scores if first is examples else ())
    ended = first is not examples and best is not None and trails(early, best)
    if first is not examples and not ended:
        (*below, features), more = pooled_features(ready, examples, read=read)
        computed += more
    chosen = first if ended else examples
    return Measured(
        source=source,
        scores=early if first is examples else score_features(features, chosen, splits, source, below=below, scores=scores),
        first=early,
        ended=ended,
        latency=latency,
        names=_names(source, splits) if facts else None,
        distances=_distances(ready, features) if facts else {},
        seconds=time.monotonic() - started,
        computed=computed,
    )


def trails(found: FeatureScores, best: FeatureScores) -> bool:
    """Say whether a candidate explains less than another of the same examples, by more than `MARGIN` and chance."""
    return bool(mean_with_interval(best.explained - found.explained).low > MARGIN)


def _names(source: SourceModel, splits: Splits) -> NameSimilarity | None:
    if not splits.classes or not can_compare_names():
        return None
    own = source_classes(source.facts)
    return compare_names(splits.classes, own) if own else None


def _distances(ready: FeaturePass, features: np.ndarray) -> Mapping[str, Distance]:
    sample = source_sample(ready.source.facts) if ready.source.modality == "image" else None
    if sample is None or len(features) < 20:
        return {}
    (*_, found), _ = pooled_features(ready, sample)
    return domain_distances(found, features)


def against_random(
    best: Measured, load: Load, first: Examples, splits: Splits, *, seed: int, read: Read | None = None
) -> tuple[Measure | None, Measure | None]:
    """Return the score of the best one's architecture with random weights, and what the best has more.

    Args:
        best: The first of the ranking.
        load: Loads it.
        first: Whose features are probed: the first examples.
        splits: The data that they are from.
        seed: Seed of the random weights.
        read: See `pooled_features`.

    Returns:
        None and None where the best has random weights itself.
    """
    if not best.source.pretrained:
        return None, None
    try:
        twin = load(False)
    except TlkerasError as error:
        log.warning("The best one is not compared with random weights: %s", error)
        return None, None
    (*below, features), _ = pooled_features(prepare(twin, _cuts(twin)), first, read=read)
    scores = score_features(features, first, splits, twin, below=below, scores=()).examples
    return mean_with_interval(scores, seed=seed), paired_gain(best.first.examples, scores, seed=seed)
