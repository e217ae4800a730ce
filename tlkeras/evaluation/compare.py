"""Did transfer help? Arms trained on nested parts of the same data, over several seeds, tested on the same examples."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.data.examples import Splits
from tlkeras.errors import TlkerasError
from tlkeras.evaluation.arms import SCRATCH, Arm
from tlkeras.evaluation.evaluate import MEASURES, target_array
from tlkeras.evaluation.learning_curves import (
    Cost,
    DataWorth,
    Point,
    best_arm,
    cost_to_reach,
    difference,
    point,
    worth,
)
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.nulls import majority
from tlkeras.evaluation.outcome import Outcome
from tlkeras.evaluation.signs import Sign, find_signs
from tlkeras.evaluation.subsets import nested_subsets
from tlkeras.files import plain, write_json
from tlkeras.tasks.table import TASKS, task_of

PARTS = "parts"
log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        task: The task.
        metric: What the scores are, in words.
        chance: What the most frequent class (or the median) scores.
        curves: For each arm its points, the fewest examples first.
        transfer: Which arms start from pre-trained weights.
        best_transfer: The arm that is best on validation examples, of those; None where there is none.
        best_other: The same of the others.
        gain: What the first has more than the second on the test examples, with all training examples.
        worth: How many times the data the arm from scratch (or the best other) needs to do as well as `best_transfer`.
        against: The arm that `worth` speaks of.
        goal: The validation score to which costs are given.
        costs: For each arm what it had cost when it got there.
        depth: Test score by the share of blocks that was trained after the head, in per cent.
        signs: What the curves show, with what to try.
        verdict: What it comes to, in words.
        n: The number of test examples.
        seeds: The number of seeds.
        fingerprint: Of the splits.
    """

    task: str
    metric: str
    chance: float
    curves: Mapping[str, tuple[Point, ...]]
    transfer: tuple[str, ...]
    best_transfer: str | None
    best_other: str | None
    gain: Measure | None
    worth: tuple[DataWorth, ...]
    against: str | None
    goal: float | None
    costs: Mapping[str, Cost]
    depth: Mapping[int, Point]
    signs: tuple[Sign, ...]
    verdict: str
    n: int
    seeds: int
    fingerprint: str


def compare(
    splits: Splits,
    arms: Mapping[str, Arm],
    *,
    fractions: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    seeds: int = 3,
    depths: Mapping[int, Arm] | None = None,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Comparison:
    """Train arms on nested parts of the same data and say whether transfer helped.

    Each training is kept in a file as soon as it is done, and read the next time: a comparison that was stopped goes on, and
    one with more arms, fractions or seeds trains only what is new.

    Args:
        splits: The data.
        arms: What `make_arms` returned, or arms of one's own.
        fractions: Of the training and validation examples; 1 is always among them.
        seeds: How often each arm is trained at each fraction, on another part, from other weights, in another order.
        depths: What `depth_arms` returned; trained on all examples.
        folder: Where to keep the trainings; nowhere if not given.
        settings: What else the trainings depend on; a folder that was begun with others is refused.

    Raises:
        ValueError: A number is out of range, or the folder holds a comparison of other data or settings.
    """
    if seeds < 1 or not arms:
        raise ValueError(f"A comparison takes one arm and one seed or more. Received: {len(arms)} arms, {seeds} seeds")
    if folder:
        _claim(folder, {"fingerprint": splits.fingerprint, **(settings or {})})
    sizes = sorted({*fractions, 1.0})
    subsets = [nested_subsets(splits, sizes, seed=seed) for seed in range(seeds)]
    total, done = len(arms) * len(sizes) * seeds + len(depths or {}) * seeds, 0
    outcomes: dict[str, dict[float, list[Outcome]]] = {name: {size: [] for size in sizes} for name in arms}
    deep: dict[int, list[Outcome]] = {share: [] for share in depths or {}}
    for seed in range(seeds):
        for size in sizes:
            for name, arm in arms.items():
                done += 1
                outcomes[name][size].append(_outcome(arm, name, size, seed, subsets[seed][size], folder, f"{done} of {total}"))
        for share, arm in (depths or {}).items():
            done += 1
            outcome = _outcome(arm, f"depth_{share}", 1.0, seed, splits, folder, f"{done} of {total}")
            deep[share].append(outcome)
    return _sum_up(splits, arms, outcomes, {share: point(1.0, found) for share, found in deep.items()}, seeds)


def _outcome(arm: Arm, name: str, size: float, seed: int, splits: Splits, folder: Path | None, place: str) -> Outcome:
    file = folder / PARTS / f"{name}_{size:g}_{seed}.json" if folder else None
    if file and file.exists():
        try:
            return Outcome.from_json(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as error:
            raise TlkerasError(f"{file} is damaged: {error}. Delete it; that training is then made again.") from error
    log.info("Training %s: %s on %d examples, seed %d", place, arm.name, len(splits.train), seed)
    level = log.level
    log.setLevel(max(level, logging.WARNING))  # the epochs of so many trainings would bury what matters
    try:
        outcome = arm.train(splits, seed)
    finally:
        log.setLevel(level)
    log.info("  test score %.3f, %.1f s", outcome.scores.mean(), outcome.seconds)
    if file:
        write_json(file, outcome.to_json())
    return outcome


def _claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write down what a folder's trainings depend on, or refuse one that holds others."""
    file, now = folder / PARTS / "settings.json", json.loads(json.dumps(plain(settings)))
    if not file.exists():
        write_json(file, now)
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    different = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if different:
        shown = "; ".join(f"{name} (there {before.get(name)!r}, now {now.get(name)!r})" for name in different)
        raise ValueError(f"{folder} holds a comparison that differs in {shown}. Give the same values, or another --output.")


def _sum_up(
    splits: Splits,
    arms: Mapping[str, Arm],
    outcomes: Mapping[str, Mapping[float, Sequence[Outcome]]],
    depth: Mapping[int, Point],
    seeds: int,
) -> Comparison:
    task = task_of(splits)[0].name
    curves = {name: tuple(point(size, found) for size, found in by_size.items()) for name, by_size in outcomes.items()}
    whole = {name: by_size[1.0] for name, by_size in outcomes.items()}
    transfer = [name for name, arm in arms.items() if arm.transfer]
    others = [name for name in arms if name not in transfer]
    best, other = best_arm(curves, transfer), best_arm(curves, others)
    gain = difference(whole[best], whole[other]) if best and other else None
    against = SCRATCH if SCRATCH in others else other
    found = tuple(worth(curves[best], curves[against])) if best and against else ()
    goal = curves[other][-1].val_score if other and TASKS[task].higher_is_better else None
    targets = target_array(splits.test)
    chance = float(MEASURES[task].score(targets, majority(splits)).mean())
    return Comparison(
        task=task,
        metric=_METRICS[task],
        chance=chance,
        curves=curves,
        transfer=tuple(transfer),
        best_transfer=best,
        best_other=other,
        gain=gain,
        worth=found,
        against=against,
        goal=goal,
        costs={name: cost_to_reach(goal, whole[name]) for name in arms if whole[name][0].steps} if goal is not None else {},
        depth=depth,
        signs=_signs(task, whole, chance),
        verdict=words(task, best, other, gain, found, against, seeds),
        n=len(splits.test),
        seeds=seeds,
        fingerprint=splits.fingerprint,
    )


def _signs(task: str, whole: Mapping[str, Sequence[Outcome]], chance: float) -> tuple[Sign, ...]:
    if task == "regression":  # the rules speak of shares
        return ()
    best = max(float(np.mean([outcome.scores.mean() for outcome in found])) for found in whole.values())
    each = (find_signs(name, found, best_test=best, chance=chance) for name, found in whole.items() if found[0].steps)
    return tuple(sign for signs in each for sign in signs)


def words(
    task: str,
    best: str | None,
    other: str | None,
    gain: Measure | None,
    worths: Sequence[DataWorth],
    against: str | None,
    seeds: int,
) -> str:
    """Say in words what a comparison found."""
    if best is None or other is None or gain is None:
        return "No verdict: it takes an arm with transfer and one without."
    factor, unit, digits = (1, " less error", 3) if task == "regression" else (100, " points", 1)
    value, low, high = (factor * end for end in (gain.value, gain.low, gain.high))
    size = f"{best} against {other}, {value:+.{digits}f}{unit} [{low:+.{digits}f}, {high:+.{digits}f}]"
    outcome = "helped" if gain.low > 0 else "hurt" if gain.high < 0 else "made no difference that this test can show"
    verdict = f"Transfer {outcome}: {size} on {gain.n:,} test examples, {seeds} seed{'' if seeds == 1 else 's'}."
    if outcome == "helped" and worths:
        one = worths[0]
        bound = "more than " if one.at_least else ""
        verdict += f" With {one.n:,} examples it is as good as {against} with {bound}{one.times:.1f} times the data."
    return verdict


_METRICS = {"classification": "accuracy", "multi_label": "Jaccard score", "regression": "minus the absolute error"}
