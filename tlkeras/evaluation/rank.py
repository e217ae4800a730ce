"""Rank source models for a data set without training them: one frozen pass each, then probes in closed form."""

import json
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from tlkeras.data.examples import Examples, Skipped, Splits
from tlkeras.errors import WeightsError
from tlkeras.evaluation.candidates import candidates, shared_pixels
from tlkeras.evaluation.feature_scores import METRICS, SCORES
from tlkeras.evaluation.limits import Limits
from tlkeras.evaluation.measured import FIRST, Measured, against_random, measure, objection
from tlkeras.evaluation.ranking import Ranking, words
from tlkeras.evaluation.standings import arrange, progress
from tlkeras.files import write_json
from tlkeras.runs import Run
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.table import task_of

LIMIT = 1000
log = logging.getLogger("tlkeras")


def rank(
    splits: Splits,
    sources: Sequence[str | SourceModel] | None = None,
    *,
    limits: Limits | None = None,
    limit: int = LIMIT,
    image_size: int | None = None,
    resize: str = "crop",
    sequence_length: int | None = None,
    scores: Collection[str] = SCORES,
    facts: bool = True,
    null: bool = True,
    seed: int = 0,
) -> Ranking:
    """Order source models by how much a ridge probe on their frozen features explains of training examples it has not seen.

    Args:
        splits: The data; only its training examples are looked at.
        sources: Names that `tlkeras sources` lists, paths, or source models; those whose weights are here if not given.
        limits: Candidates beyond them are left out, and the ranking says why.
        limit: The most examples to look at, drawn in proportion to the classes. Of more than 600, candidates that are clearly
            behind after 300 are given up there.
        image_size: Pixels; each source's own size if not given, less where the pictures are smaller.
        resize: How a picture becomes a square, see `load_image_source`.
        sequence_length: The longest text in tokens; 128 if not given.
        scores: Which of `SCORES` to compute besides the ridge probe.
        facts: Whether to measure latencies, distances between source and target data, and the similarity of class names.
        null: Whether to measure the first one's architecture with random weights.
        seed: Seed of the draw, the resampling and the random weights.

    Returns:
        The ranking. Features are kept, see `tlkeras.features.cache`: ranking again, or with one more source, is quick.

    Raises:
        ValueError: A name is unknown, or there is nothing to rank.
        WeightsError: None of the candidates' weights could be loaded.
    """
    started = time.monotonic()
    examples = draw(splits.train, limit, seed=seed)
    first = draw(examples, FIRST, seed=seed) if len(examples) > 2 * FIRST else examples
    loads = candidates(splits, sources, image_size=image_size, sequence_length=sequence_length, seed=seed, resize=resize)
    read = shared_pixels(splits, examples, sources, image_size=image_size, resize=resize)
    limits = limits or Limits()
    found: dict[str, Measured] = {}
    left_out: list[Skipped] = []
    for name, load in loads.items():
        reason = objection(name, splits.modality, limits)
        best = max((one.first for one in found.values()), key=lambda one: one.values["explained"], default=None)
        measured = reason or measure(
            load, first, examples, splits, best=best, limits=limits, scores=scores, facts=facts, read=read
        )
        if isinstance(measured, Measured):
            found[name] = measured
            log.info("%s: %s", name, progress(measured, METRICS[task_of(splits)[0].name]))
        else:
            left_out.append(Skipped(name, measured))
            log.info("%s is left out: %s", name, measured)
    if not found:
        reasons = "; ".join(f"{one.where}: {one.reason}" for one in left_out)
        raise WeightsError(f"No source model is left to rank. {reasons or 'None has its weights here; see tlkeras sources.'}")
    ranking = arrange(found, splits, facts=facts, seed=seed)
    top = ranking.best
    nulls = against_random(found[top], loads[top], first, splits, seed=seed, read=read) if null else (None, None)
    return replace(
        ranking,
        null=nulls[0],
        gain=nulls[1],
        verdict=words(ranking.sources, ranking.metric, ranking.n, nulls[1]),
        left_out=tuple(left_out),
        seconds=time.monotonic() - started,
    )


def pick_source(
    name: str,
    splits: Splits,
    *,
    image_size: int | None = None,
    resize: str = "crop",
    sequence_length: int | None = None,
    seed: int = 0,
    run: Run | None = None,
) -> str:
    """Return the name of a source model: `name` itself, or for `"rank"` the first of those whose weights are here.

    Args:
        name: What the user gave.
        splits: The data to rank for.
        image_size: See `rank`.
        resize: See `rank`.
        sequence_length: See `rank`.
        seed: See `rank`.
        run: Where to write `ranking.json`; a run that goes on keeps the source that it began with.
    """
    if name != "rank":
        return name
    file = run.path / "ranking.json" if run else None
    if file and file.exists():
        return str(json.loads(file.read_text(encoding="utf-8"))["best"])
    ranking = rank(
        splits,
        image_size=image_size,
        resize=resize,
        sequence_length=sequence_length,
        scores=("ridge",),
        facts=False,
        seed=seed,
    )
    log.info("%s", ranking.verdict)
    if file:
        write_json(file, ranking.to_json())
    return ranking.best


def draw(examples: Examples, limit: int, *, seed: int = 0) -> Examples:
    """Return at most `limit` examples, of each class (or fifth of the values) in proportion, in their order.

    Raises:
        ValueError: The limit is below 20.
    """
    if limit < 20:
        raise ValueError(f"A ranking needs 20 examples or more. Received: limit={limit}")
    if len(examples) <= limit:
        return examples
    strata, generator = examples.targets.strata(), np.random.default_rng(seed)
    place = np.empty(len(examples))
    for stratum in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return examples.take(np.sort(np.argsort(place, kind="stable")[:limit]))
