"""A ranking and a depth probe as tables and lines of text, for a terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tlkeras.evaluation.depth import Depth
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.ranking import RankedSource, Ranking

Table = tuple[Sequence[str], list[tuple[str, ...]]]

_TITLES = {
    "knn": "kNN",
    "logistic": "logistic",
    "log_me": "LogME",
    "h_score": "H-score",
    "leep": "LEEP",
    "nce": "NCE",
}


def rank_parts(found: Ranking | Depth, folder: Path | None) -> Iterator[Table | str]:
    """Yield tables and lines in the order in which they are shown.

    Args:
        found: A ranking or a depth probe.
        folder: Where its files were written, if they were.
    """
    if isinstance(found, Depth):
        yield depth_table(found)
        yield f"\n{found.verdict}"
    else:
        for table in ranking_tables(found):
            yield table
            yield ""
        yield from ranking_lines(found)
    if folder:
        name = "depth" if isinstance(found, Depth) else "ranking"
        yield f"Written: {folder / name}.json, {folder / name}.png"


def ranking_tables(ranking: Ranking) -> Iterator[Table]:
    """Yield the table of the order and what one decides by, then that of the other scores."""
    header = (
        "source",
        "explained",
        "place",
        "behind the first",
        ranking.metric,
        "95 % interval",
        "MB",
        "ms",
        "static",
        "licence",
    )
    yield header, [_row(one, first=one is ranking.sources[0]) for one in ranking.sources]
    names = [name for name in _TITLES if any(name in one.scores for one in ranking.sources)]
    more = ("source", *(_TITLES[name] for name in names), "class names", "domain AUC (null)", "Fréchet (null)", "seconds")
    yield more, [_more(one, names) for one in ranking.sources]


def ranking_lines(ranking: Ranking) -> Iterator[str]:
    """Yield what the ranking means, what was left out and what could not be measured."""
    if ranking.null is not None and ranking.gain is not None:
        gain = ranking.gain
        of = f", of {gain.n:,} examples" if gain.n < ranking.n else ""
        yield (
            f"{ranking.best} with random weights: {ranking.null.value:.3f}; the real ones have "
            f"{100 * gain.value:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]{of}"
            if ranking.metric != "minus absolute error"
            else f"{ranking.best} with random weights: {ranking.null.value:.3f}; the real ones have {gain.value:+.3g}{of}"
        )
    yield ranking.verdict
    early = [one for one in ranking.sources if one.score.n < ranking.n]
    if early:
        names = ", ".join(one.name for one in early)
        yield f"Clearly behind after {early[0].score.n:,} examples, of which all their numbers are: {names}."
    for one in ranking.left_out:
        yield f"Left out: {one.where}: {one.reason}"
    yield from ranking.notes
    yield (
        f"{ranking.metric}: of a ridge probe on frozen features, each of {ranking.n:,} training examples predicted without "
        "itself; explained: what it explains of the answers' variance, the order of the list; "
        f"ms: LiteRT on this machine, one thread; static: place by {ranking.static_by} alone. {ranking.seconds:.0f} s "
        "in all."
    )


def _row(one: RankedSource, *, first: bool) -> tuple[str, ...]:
    places = str(one.places[0]) if one.places[0] == one.places[1] else f"{one.places[0]} to {one.places[1]}"
    return (
        one.name,
        f"{one.explained.value:.3f}",
        places,
        "" if first else f"{one.behind.value:.3f} {_interval(one.behind)}{' (tied)' if one.tied else ''}",
        f"{one.score.value:.3f}",
        _interval(one.score),
        f"{one.megabytes:.1f}",
        "–" if one.latency_ms is None else f"{one.latency_ms:.1f}",
        str(one.static),
        one.licence,
    )


def _more(one: RankedSource, names: Sequence[str]) -> tuple[str, ...]:
    values = [f"{one.scores[name]:.3f}" if name in one.scores else "–" for name in names]
    distances = [
        f"{one.distances[name].value:.2f} ({one.distances[name].null:.2f})" if name in one.distances else "–"
        for name in ("domain_auc", "frechet")
    ]
    return (one.name, *values, f"{one.names.mean:.2f}" if one.names else "–", *distances, f"{one.seconds:.1f}")


def depth_table(depth: Depth) -> Table:
    """Return the table of boundaries."""
    header = ("features above", "blocks above", "features", depth.metric, "95 % interval", "behind the best")
    rows: list[tuple[str, ...]] = [
        (
            one.block,
            str(one.above),
            str(one.width),
            f"{one.score.value:.3f}",
            _interval(one.score),
            f"{one.behind.value:.3f} {_interval(one.behind)}" + (" <- enough" if one.block == depth.enough else ""),
        )
        for one in depth.boundaries
    ]
    return header, rows


def _interval(measure: Measure) -> str:
    return f"[{measure.low:.3f}, {measure.high:.3f}]"
