"""What `tlkeras evaluate` does: the dear measures of a finished run, added to what it has; it yields what is to be shown."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.evaluation.evaluate import HEADLINES, MEASURES, target_array
from tlkeras.evaluation.fairness import measure_fairness
from tlkeras.evaluation.measure import Measure
from tlkeras.evaluation.metrics import Evaluation
from tlkeras.evaluation.nulls import predictions
from tlkeras.evaluation.saved import load_evaluation, save_evaluation
from tlkeras.evaluation.slices import measure_slices, slice_columns
from tlkeras.export.finished import FinishedRun, load_run, load_source_again
from tlkeras.report.evaluate_settings import EvaluateSettings
from tlkeras.report.html import write_report

if TYPE_CHECKING:
    from tlkeras.report.report_command import Part


def evaluate_parts(path: Path, settings: EvaluateSettings) -> "Iterator[Part]":
    """Measure more of a finished run, write it into its folder with a new report, and yield what a person wants to know.

    Args:
        path: The run folder.
        settings: What to measure; what was measured before stays.

    Raises:
        ValueError: Nothing is asked for, or a column is not there.
        TlkerasError: The run cannot be read back, or a package is missing.
    """
    steps = [step for name, step in STEPS.items() if getattr(settings, name)]
    if not steps:
        raise ValueError(f"What is to be measured? Give one or more of {', '.join(f'--{name}' for name in STEPS)}.")
    evaluation = load_evaluation(path)
    slices = _names(settings.slice)
    unknown = [name for name in _names(settings.fairness) if name not in (*evaluation.columns, *slices)]
    if unknown:
        raise ValueError(
            f"Fairness compares the groups of a column. Received: {unknown}. Columns: {sorted(evaluation.columns) or 'none'}. "
            f"Another column of the table is read with --slice: --slice {unknown[0]} --fairness {unknown[0]}"
        )
    run = load_run(path, slices=slices)
    for step in steps:
        evaluation, lines = step(run, evaluation, settings)
        yield from lines
    save_evaluation(evaluation, run.path)
    yield f"\nWrote metrics.json and the pictures anew, and {write_report(run.path)}"


def _robustness(run: FinishedRun, evaluation: Evaluation, settings: EvaluateSettings) -> "tuple[Evaluation, list[Part]]":
    from tlkeras.evaluation.robustness import measure_robustness

    found = measure_robustness(run.model, run.splits.test, seed=settings.seed)
    kinds = dict.fromkeys(point.corruption for point in found)
    rows = [[kind, *(f"{one.metric.value:.3f}" for one in found if one.corruption == kind)] for kind in kinds]
    return replace(evaluation, robustness=found), [(["spoilt by", "as it is", *map(str, range(1, 6))], rows)]


def _privacy(run: FinishedRun, evaluation: Evaluation, settings: EvaluateSettings) -> "tuple[Evaluation, list[Part]]":
    from tlkeras.evaluation.privacy import audit_privacy

    found = audit_privacy(run.model, run.splits, seed=settings.seed)
    rows = [
        (f"telling training examples apart ({found.attack}), area", _said(found.auc), "0.500"),
        ("training examples found at 1 % false alarms", _said(found.tpr_at_1_percent_fpr), "0.010"),
    ]
    return replace(evaluation, privacy=found), [(("attack", "found", "chance"), rows)]


def _forgetting(run: FinishedRun, evaluation: Evaluation, settings: EvaluateSettings) -> "tuple[Evaluation, list[Part]]":
    from tlkeras.evaluation.forgetting import measure_forgetting, slices_before_training

    original = load_source_again(run)
    found = measure_forgetting(run.model, original, run.splits, seed=settings.seed)
    before = slices_before_training(run.model, original, run.splits, evaluation.columns, seed=settings.seed)
    found = replace(found, slices_before=before)
    rows = [("drift of the features (cosine distance)", "0.000", _said(found.drift))]
    if found.before and found.after:
        rows.append((f"source task, {found.data}", _said(found.before), _said(found.after)))
    now = {(one.column, one.value): one for one in evaluation.slices}
    rows += [
        (
            f"{one.column} = {one.value}, against the rest",
            f"{one.difference:+.3f}",
            f"{now[one.column, one.value].difference:+.3f}",
        )
        for one in before
        if (one.column, one.value) in now and (one.significant or now[one.column, one.value].significant)
    ]
    return replace(evaluation, forgetting=found), [(("forgetting", "before training", "after"), rows)]


def _slice(run: FinishedRun, evaluation: Evaluation, settings: EvaluateSettings) -> "tuple[Evaluation, list[Part]]":
    columns = {**evaluation.columns, **slice_columns(run.splits.test)}
    module = MEASURES[evaluation.task]
    scores = module.score(evaluation.targets, predictions(evaluation.task, evaluation.outputs))
    found = measure_slices(columns, scores, module, HEADLINES[evaluation.task], seed=settings.seed)
    rows = [
        (one.column, one.value, str(one.n), _said(one.metric), f"{one.difference:+.3f}", f"{one.p_value:.3f}")
        for one in found
        if one.column in _names(settings.slice)
    ]
    header = ("column", "value", "n", HEADLINES[evaluation.task], "against the rest", "p, corrected")
    return replace(evaluation, columns=columns, slices=found), [(header, rows)]


def _fairness(run: FinishedRun, evaluation: Evaluation, settings: EvaluateSettings) -> "tuple[Evaluation, list[Part]]":
    if evaluation.task != "classification":
        raise ValueError(f"Fairness is measured for one class each. Received: a model of the task {evaluation.task!r}.")
    from tlkeras.evaluation.responses import respond

    columns = {name: evaluation.columns[name] for name in _names(settings.fairness)}
    val = run.splits.val
    validation = (slice_columns(val), target_array(val), respond(run.model, val).outputs)
    found = measure_fairness(
        columns, evaluation.targets, evaluation.outputs, evaluation.classes, validation=validation, seed=settings.seed
    )
    rows = [
        (
            one.column,
            one.of,
            f"{one.demographic_parity_difference:.3f}",
            f"{one.equalized_odds_difference:.3f}",
            f"{one.null:.3f}",
            f"{one.p_value:.3f}",
            "" if one.equalized_odds_difference_after is None else f"{one.equalized_odds_difference_after:.3f}",
        )
        for one in found
    ]
    header = ("column", "class", "selection differs by", "error rates by", "by chance", "p", "with own thresholds")
    return replace(evaluation, fairness=found), [(header, rows)]


def _foreign(run: FinishedRun, evaluation: Evaluation, settings: EvaluateSettings) -> "tuple[Evaluation, list[Part]]":
    from tlkeras.evaluation.rejection import measure_rejection
    from tlkeras.evaluation.responses import respond

    foreign = read_foreign(str(settings.foreign), run.model.modality)
    found = measure_rejection(run.model, respond(run.model, run.splits.test), foreign, seed=settings.seed)
    if found is None or found.rejected_foreign is None or found.rejected_own is None or found.auc is None:
        raise ValueError(
            f'{run.path} has no threshold for "none of these": that needs one class each, and 200 validation examples.'
        )
    rows = [
        ("test examples refused, wrongly", _said(found.rejected_own)),
        (f"{found.foreign} refused, rightly", _said(found.rejected_foreign)),
        ("telling them apart, area (chance 0.500)", _said(found.auc)),
    ]
    return replace(evaluation, rejection=found), [(("none of these", "share"), rows)]


def read_foreign(data: str, modality: str) -> Examples:
    """Return pictures of a folder, or texts of a table, whatever their labels.

    Raises:
        DataError: They cannot be read.
    """
    from tlkeras.data.health.inventory import take_inventory
    from tlkeras.data.targets import NoTargets

    inventory = take_inventory(data, modality=modality, options=None)
    return Examples(np.array(inventory.ids), inventory.store, NoTargets(len(inventory)))


STEPS = {
    "slice": _slice,
    "robustness": _robustness,
    "privacy": _privacy,
    "forgetting": _forgetting,
    "fairness": _fairness,
    "foreign": _foreign,
}


def _names(text: str | None) -> tuple[str, ...]:
    """The columns that `a,b` names."""
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def _said(measure: Measure) -> str:
    return f"{measure.value:.3f} [{measure.low:.3f}, {measure.high:.3f}]"
