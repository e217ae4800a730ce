"""Judge an artefact's answers by the bounds of its target."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.evaluation.evaluate import MEASURES, paired_gain
from tlkeras.export import compare
from tlkeras.export.answers import Prediction, decide
from tlkeras.export.artifact import Parity
from tlkeras.export.bounds import Bounds, Findings, Refusals, beyond, beyond_refusals
from tlkeras.export.reference import Reference

SHOWN = 20
"""How many examples a comparison names."""


def judge(result: Parity, bounds: Bounds, reference: Reference, answers: Sequence[Prediction], examples: Examples) -> Parity:
    """Return a comparison with what was found, and whether that is within the bounds.

    Args:
        result: The comparison so far: target, number of examples and measure.
        bounds: The bounds of the target.
        reference: What Keras answers.
        answers: What the artefact answers, in the same order.
        examples: The examples, for messages.
    """
    unread = [f"{examples.store.where(i)} ({answer.problem})" for i, answer in enumerate(answers) if answer.problem]
    if unread:
        return replace(result, problem="inputs that Keras reads cannot be read", disagreements=tuple(unread[:SHOWN]))
    task, outputs = reference.task, stack_outputs(answers)
    found = find(reference, outputs)
    problems = list(beyond(bounds, found, measure=result.measure))
    refusals = find_refusals(reference, answers)
    problems += beyond_refusals(bounds, refusals) if refusals else []
    words = partial(compare.in_words, task, reference.labels, thresholds=reference.thresholds)
    suspects = found.changed | (found.difference >= np.quantile(found.difference, 0.9)) if problems else found.changed
    worst = [i for i in np.argsort(-found.difference, kind="stable") if suspects[i]]
    return replace(
        result,
        label_agreement=None if task == "regression" else float(1 - found.changed.mean()),
        measure_keras=_measure(reference, reference.outputs),
        measure_artifact=_measure(reference, outputs),
        drop=found.drop,
        max_difference=float(found.difference.max()),
        mean_difference=float(found.difference.mean()),
        shift=float(found.shift[np.abs(found.shift).argmax()]),
        refusal_agreement=float(1 - refusals.changed.mean()) if refusals else None,
        similarity_difference=float(refusals.difference.mean()) if refusals else None,
        passed=not problems,
        disagreements=tuple(
            f"{examples.store.where(int(i))}: {words(outputs[i])} instead of {words(reference.outputs[i])}, "
            f"differs by {found.difference[i]:.1e}"
            for i in worst[:SHOWN]
        ),
        problem="; ".join(problems),
    )


def stack_outputs(answers: Sequence[Prediction]) -> np.ndarray:
    """Return the numbers of answers, float32, shape `(n, outputs)`."""
    return np.stack([one.probabilities if one.value is None else np.array([one.value], np.float32) for one in answers])


def find(reference: Reference, outputs: np.ndarray) -> Findings:
    """Compare outputs with the reference's."""
    task = reference.task
    changed = decide(task, outputs, reference.thresholds) != decide(task, reference.outputs, reference.thresholds)
    spread = compare.spread(task, reference.outputs)
    before, after = _scores(reference, reference.outputs), _scores(reference, outputs)
    shift, error = compare.shifts(task, reference.outputs, outputs)
    return Findings(
        difference=compare.differences(task, reference.outputs, outputs),
        changed=changed.any(axis=1),
        margin=compare.margins(task, reference.outputs, changed, reference.thresholds),
        drop=paired_gain(before, after),
        worse=int((after < before).sum()),
        better=int((after > before).sum()),
        shift=shift,
        shift_error=error,
        spread=1.0 if task == "regression" else spread,
        unit=spread if task == "regression" else 1.0,
    )


def find_refusals(reference: Reference, answers: Sequence[Prediction]) -> Refusals | None:
    """Compare what is refused; None where the model cannot say it. A similarity that is missing or no number differs by 1."""
    if reference.similar is None:
        return None
    given = np.array([np.nan if one.similarity is None else one.similarity for one in answers])
    difference = np.abs(given - reference.similar)
    return Refusals(
        difference=np.where(np.isfinite(difference), difference, 1.0),
        changed=(given >= reference.smallest) != (reference.similar >= reference.smallest),
        margin=np.abs(reference.similar - reference.smallest),
    )


def _scores(reference: Reference, outputs: np.ndarray) -> np.ndarray:
    task = reference.task
    decided = outputs[:, 0] if task == "regression" else decide(task, outputs, reference.thresholds)
    return MEASURES[task].score(reference.targets, decided[:, 0] if task == "classification" else decided)


def _measure(reference: Reference, outputs: np.ndarray) -> float:
    scores = _scores(reference, outputs)
    return float(-scores.mean() if reference.task == "regression" else scores.mean())
