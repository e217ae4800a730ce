"""Judge an artefact's answers by the bounds of its target."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.evaluation.evaluate import MEASURES, paired_gain
from tlkeras.evaluation.nulls import predictions
from tlkeras.export import compare
from tlkeras.export.answers import Prediction
from tlkeras.export.artifact import Parity
from tlkeras.export.bounds import Bounds, Findings, beyond
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
        passed=not problems,
        disagreements=tuple(
            f"{examples.store.where(int(i))}: {compare.in_words(task, reference.labels, outputs[i])} instead of "
            f"{compare.in_words(task, reference.labels, reference.outputs[i])}, differs by {found.difference[i]:.1e}"
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
    changed = compare.decisions(task, outputs) != compare.decisions(task, reference.outputs)
    spread = compare.spread(task, reference.outputs)
    before, after = _scores(reference, reference.outputs), _scores(reference, outputs)
    shift, error = compare.shifts(task, reference.outputs, outputs)
    return Findings(
        difference=compare.differences(task, reference.outputs, outputs),
        changed=changed.any(axis=1),
        margin=compare.margins(task, reference.outputs, changed),
        drop=paired_gain(before, after),
        worse=int((after < before).sum()),
        better=int((after > before).sum()),
        shift=shift,
        shift_error=error,
        spread=1.0 if task == "regression" else spread,
        unit=spread if task == "regression" else 1.0,
    )


def _scores(reference: Reference, outputs: np.ndarray) -> np.ndarray:
    return MEASURES[reference.task].score(reference.targets, predictions(reference.task, outputs))


def _measure(reference: Reference, outputs: np.ndarray) -> float:
    scores = _scores(reference, outputs)
    return float(-scores.mean() if reference.task == "regression" else scores.mean())
