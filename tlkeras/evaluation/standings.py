"""From what was measured of each candidate to a ranking."""

from collections.abc import Mapping, Sequence

from tlkeras.data.examples import Splits
from tlkeras.evaluation.candidates import licence, megabytes, parameters, static_order
from tlkeras.evaluation.feature_scores import METRICS
from tlkeras.evaluation.measured import Measured, trails
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.name_similarity import can_compare_names
from tlkeras.evaluation.ranking import RankedSource, Ranking, mean_with_interval, order
from tlkeras.tasks.table import task_of


def arrange(found: Mapping[str, Measured], splits: Splits, *, facts: bool, seed: int) -> Ranking:
    """Order candidates: first those that were measured on all examples and are not clearly behind, then the others.

    Args:
        found: What was measured of each, by name.
        splits: The data.
        facts: Whether facts were measured, so that what is missing is worth a note.
        seed: Seed of the resampling.
    """
    ordered = order({name: one.scores.explained for name, one in found.items() if not one.ended}, seed=seed)
    best = found[ordered.names[0]]
    # One that came before all better ones was measured to the end, and may be worse than what was given up later.
    behind = [name for name, one in found.items() if one.ended or trails(one.first, best.first)]
    behind.sort(key=lambda name: -found[name].first.values["explained"])
    ordered = order({name: one.scores.explained for name, one in found.items() if name not in behind}, seed=seed)
    static, static_by = static_order({name: one.source for name, one in found.items()})
    last = (len(ordered.names) + 1, len(found))
    sources = [
        _ranked(
            name,
            found[name],
            behind=ordered.behind[name]
            if name in ordered.behind
            else mean_with_interval(best.first.explained - found[name].first.explained, seed=seed),
            places=ordered.places.get(name, last),
            tied=name in ordered.behind and ordered.behind[name].low <= 0,
            static=static.index(name) + 1,
            seed=seed,
        )
        for name in (*ordered.names, *behind)
    ]
    return Ranking(
        sources=tuple(sources),
        metric=METRICS[task_of(splits)[0].name],
        n=len(best.scores.examples),
        static_by=static_by,
        notes=tuple(_missing(sources, splits)) if facts else (),
        fingerprint=splits.fingerprint,
    )


def _ranked(
    name: str, one: Measured, *, behind: Measure, places: tuple[int, int], tied: bool, static: int, seed: int
) -> RankedSource:
    return RankedSource(
        name=name,
        score=mean_with_interval(one.scores.examples, seed=seed),
        explained=mean_with_interval(one.scores.explained, seed=seed),
        behind=behind,
        places=places,
        tied=tied,
        scores=one.scores.values,
        pretrained=one.source.pretrained,
        parameters=parameters(one.source),
        megabytes=megabytes(one.source),
        latency_ms=one.latency,
        input_size=one.source.input_size,
        licence=licence(one.source),
        static=static,
        names=one.names,
        distances=one.distances,
        seconds=one.seconds,
    )


def _missing(sources: Sequence[RankedSource], splits: Splits) -> list[str]:
    """What could not be measured, and why."""
    notes = []
    unnamed = [one.name for one in sources if one.names is None]
    if unnamed and splits.classes:
        reason = "their classes are not known" if can_compare_names() else "minilm_l6 is not installed"
        notes.append(f"Similarity of class names is not available for {', '.join(unnamed)}: {reason}.")
    unplaced = [one.name for one in sources if not one.distances]
    if unplaced:
        notes.append(f"Distance to the source data is not available for {', '.join(unplaced)}: no sample of it is here.")
    return notes


def progress(one: Measured, metric: str) -> str:
    """Return what was found of a candidate, as a part of a line."""
    values = one.scores.values
    parts = [
        f"explained {values['explained']:.3f}, {metric} {values['ridge']:.3f}",
        f"{one.latency:.1f} ms" if one.latency is not None else "",
        f"ranked in {one.seconds:.1f} s",
        "" if one.computed else "features read from the cache",
        f"clearly behind after {len(one.scores.examples)} examples" if one.ended else "",
    ]
    return ", ".join(part for part in parts if part)
