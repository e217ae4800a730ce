"""Signs of over- and underfitting, read from the way of a training, with what to try."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlkeras.evaluation.outcome import Outcome

GAP, RISE, LATE = 0.1, 1.2, 0.9
"""A training score so far above the test score; a validation loss so many times its lowest; a best epoch so late."""


@dataclass(frozen=True)
class Sign:
    """What the curves of an arm show, and what to try."""

    arm: str
    sign: str
    remedy: str


def find_signs(arm: str, outcomes: Sequence[Outcome], *, best_test: float, chance: float) -> list[Sign]:
    """Return the signs of an arm that was trained on all training examples.

    Args:
        arm: Its name.
        outcomes: One for each seed; scores are shares.
        best_test: The mean test score of the best arm.
        chance: What the most frequent class gets.
    """
    train = float(np.mean([outcome.train_score for outcome in outcomes]))
    test = float(np.mean([outcome.scores.mean() for outcome in outcomes]))
    if train < chance + 0.5 * (best_test - chance):
        remedy = "another learning rate (ten times less, then more), more epochs, or more blocks to train"
        shown = f"underfits: {train:.1%} on its own training examples, where the best arm reaches {best_test:.1%} on new ones"
        return [Sign(arm, shown, remedy)]
    signs = []
    if train - test > GAP:
        rise = np.mean([_rise(outcome) for outcome in outcomes])
        loss = f", and its validation loss ends {rise:.1f} times above its lowest" if rise > RISE else ""
        remedy = "more data, augmentation, fewer blocks to train, fewer epochs, or a smaller source model"
        signs.append(Sign(arm, f"overfits: {train:.1%} on training examples, {test:.1%} on test examples{loss}", remedy))
    if np.mean([_unfinished(outcome) for outcome in outcomes]) > 0.5:
        signs.append(Sign(arm, "was still getting better when it ended", "more epochs"))
    return signs


def _rise(outcome: Outcome) -> float:
    """How many times the lowest validation loss the last is, over the epochs by gradient."""
    losses = [step.val_loss for step in outcome.steps if step.epochs]
    return losses[-1] / max(min(losses), 1e-12) if losses else 1.0


def _unfinished(outcome: Outcome) -> bool:
    """Whether both losses fell to the end, the validation score's best among the last tenth of at least four epochs."""
    steps = [step for step in outcome.steps if step.epochs]
    if len(steps) < 4:
        return False
    best = int(np.argmax([step.val_score for step in steps]))
    return best >= LATE * (len(steps) - 1) and steps[-1].val_loss <= min(step.val_loss for step in steps[:-1])
