"""How many blocks to retrain: what a probe reads from the features at every block boundary, and where it stops gaining."""

import logging
from dataclasses import dataclass
from typing import Any

from tlkeras.data.examples import Splits
from tlkeras.evaluation.candidates import candidates
from tlkeras.evaluation.feature_scores import METRICS, score_features
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.rank import LIMIT, draw
from tlkeras.evaluation.ranking import order
from tlkeras.features.pooled import pooled_features, prepare
from tlkeras.files import plain
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.table import task_of

log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class Boundary:
    """The boundary above a block.

    Attributes:
        block: The block's name.
        above: The number of blocks above it.
        width: The number of pooled features there.
        score: The ridge probe's score on them, as in a ranking.
        behind: What the best boundary has more, on the same examples.
    """

    block: str
    above: int
    width: int
    score: Measure
    behind: Measure


@dataclass(frozen=True)
class Depth:
    """How far up a source model's blocks what they compute is of use for other data.

    Attributes:
        source: The source model's name.
        metric: What the scores are, in words.
        n: The number of examples.
        boundaries: From the input up.
        best: The block above which the probe reads most.
        enough: The lowest block above which it reads as much, as far as these examples can show.
        trainable: What to give as `--trainable`: the blocks above `enough`.
        verdict: What that means, in words.
    """

    source: str
    metric: str
    n: int
    boundaries: tuple[Boundary, ...]
    best: str
    enough: str
    trainable: str
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Return what `depth.json` holds."""
        return dict(plain(self))


def probe_depth(
    splits: Splits,
    source: str | SourceModel,
    *,
    limit: int = LIMIT,
    image_size: int | None = None,
    sequence_length: int | None = None,
    seed: int = 0,
) -> Depth:
    """Probe the pooled features at every block boundary, in one pass.

    What lies above the boundary where the probe stops gaining was made for the source's task and has nothing more for this
    one; these are the blocks that training can put to better use. That is a rule of thumb, not a theorem: see docs/rank.md.

    Args:
        splits: The data; only its training examples are looked at.
        source: A name that `tlkeras sources` lists, or a source model.
        limit: The most examples to look at.
        image_size: See `rank`.
        sequence_length: See `rank`.
        seed: Seed of the draw and the resampling.
    """
    examples = draw(splits.train, limit, seed=seed)
    ((name, load),) = candidates(splits, [source], image_size=image_size, sequence_length=sequence_length, seed=seed).items()
    loaded = load(True)
    ready = prepare(loaded, range(1, len(loaded.blocks) + 1))
    features, _ = pooled_features(ready, examples)
    blocks = [block.name for block in loaded.blocks]
    scores = {
        block: score_features(values, examples, splits, loaded, scores=()).examples
        for block, values in zip(blocks, features, strict=True)
    }
    # On a tie the sort keeps the order, so the lowest of the best boundaries counts as the best.
    ordered = order(scores, seed=seed)
    enough = next(block for block in blocks if ordered.behind[block].low <= 0)
    above = len(blocks) - 1 - blocks.index(enough)
    metric = METRICS[task_of(splits)[0].name]
    return Depth(
        source=name,
        metric=metric,
        n=len(examples),
        boundaries=tuple(
            Boundary(block, len(blocks) - 1 - place, ready.widths[place], ordered.scores[block], ordered.behind[block])
            for place, block in enumerate(blocks)
        ),
        best=ordered.names[0],
        enough=enough,
        trainable=f"top:{above}" if above else "head",
        verdict=_words(enough, above, len(blocks), metric, ordered.scores[enough].value),
    )


def _words(enough: str, above: int, blocks: int, metric: str, value: float) -> str:
    if not above:
        return (
            f"The probe gains up to the top ({metric} {value:.3f}): all blocks are of use as they are. Begin with --trainable "
            "head, then try a few of the upper blocks."
        )
    return (
        f"The probe stops gaining above {enough} ({metric} {value:.3f}): the {above} of {blocks} blocks above it have nothing "
        f"more for this data as they are. Retrain these: --trainable top:{above}"
    )
