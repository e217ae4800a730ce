"""Would the model leak who it was trained on: membership-inference attacks on its answers.

Loss threshold: Yeom et al., "Privacy Risk in Machine Learning", 2018. An attacker who has labelled examples of both kinds
fits a logistic regression on loss, margin and entropy. Success at few false alarms is what counts: Carlini et al.,
"Membership Inference Attacks From First Principles", 2022.
"""

import logging

import numpy as np

from tlkeras.data.examples import Examples, Splits
from tlkeras.evaluation.classification import areas
from tlkeras.evaluation.evaluate import target_array
from tlkeras.evaluation.evidence import Privacy
from tlkeras.evaluation.intervals import bootstrap_weighted
from tlkeras.evaluation.measure import Measure
from tlkeras.evaluation.responses import respond
from tlkeras.tasks.model import TransferModel

MOST = 4000
"""Examples of either kind that are attacked; a seeded sample of more."""
FOLDS = 5
ALARMS = 0.01
log = logging.getLogger("tlkeras")


def audit_privacy(model: TransferModel, splits: Splits, *, seed: int = 0) -> Privacy:
    """Attack a model: tell its training examples (members) from test examples by its answers and their labels.

    Args:
        model: A trained classifier, of one class or several labels for each example.
        splits: Its data; the test examples are what it was not trained on.
        seed: Seed of samples, folds and the bootstrap.

    Raises:
        ValueError: The model predicts values.
    """
    if model.task == "regression":
        raise ValueError("The privacy audit attacks probabilities. Received: a model of values.")
    parts = [_sample(part, seed) for part in (splits.train, splits.test)]
    signals = [attack_signals(model.task, target_array(part), respond(model, part).outputs) for part in parts]
    members = np.repeat([1, 0], [len(part) for part in parts])
    return audit_signals(np.concatenate(signals), members, seed=seed)


def audit_signals(signals: np.ndarray, members: np.ndarray, *, seed: int = 0) -> Privacy:
    """Measure the attacks on what an attacker sees.

    Args:
        signals: Loss, margin and entropy of each example, shape `(n, 3)`, as `attack_signals` gives them.
        members: 1 for training examples, 0 for others, shape `(n,)`.
        seed: Seed of folds and bootstrap.
    """
    scores = {"loss threshold": -signals[:, 0], "logistic regression": _logistic(signals, members, seed)}
    attacks = {name: areas([members == 1], [score], seed=seed)["roc_auc"] for name, score in scores.items()}
    best = max(attacks, key=lambda name: attacks[name].value)
    return Privacy(best, attacks[best], found_at(scores[best], members, seed=seed), attacks, int(members.sum()))


def attack_signals(task: str, targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return loss, margin and entropy of each answer, float64, shape `(n, 3)`.

    The margin is how much more probable the true class is than the best other one; the entropy needs no label.
    """
    p = np.clip(outputs.astype(np.float64), 1e-12, 1 - 1e-12 if task == "multi_label" else 1)
    if task == "multi_label":
        loss = -np.where(targets == 1, np.log(p), np.log(1 - p)).sum(axis=1)
        margin = np.where(targets == 1, 2 * p - 1, 1 - 2 * p).min(axis=1)
        return np.stack([loss, margin, -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(axis=1)], axis=1)
    rows = np.arange(len(p))
    true = p[rows, targets]
    others = p.copy()
    others[rows, targets] = -np.inf
    return np.stack([-np.log(true), true - others.max(axis=1), -(p * np.log(p)).sum(axis=1)], axis=1)


def found_at(scores: np.ndarray, members: np.ndarray, *, alarms: float = ALARMS, seed: int = 0) -> Measure:
    """Return the share of members that score above all but `alarms` of the others, with its BCa interval."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    truth = members[order].astype(np.float64)

    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = weights[:, order]
        hits = np.cumsum(drawn * truth, axis=1)[:, ends]
        wrong = np.cumsum(drawn, axis=1)[:, ends] - hits
        allowed = wrong <= alarms * wrong[:, -1:] + 1e-9
        return (np.where(allowed, hits, 0).max(axis=1) / hits[:, -1])[:, None]

    return bootstrap_weighted(statistic, len(scores), seed=seed)[0]


def _logistic(signals: np.ndarray, members: np.ndarray, seed: int) -> np.ndarray:
    """Scores of members by a logistic regression that never saw the example it scores."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    attacker = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    # The log of the loss is nearer to a bell curve (Carlini et al., 2022).
    seen = np.concatenate([np.log(signals[:, :1] + 1e-8), signals[:, 1:]], axis=1)
    return cross_val_predict(attacker, seen, members, cv=folds, method="decision_function")


def _sample(examples: Examples, seed: int) -> Examples:
    if len(examples) <= MOST:
        return examples
    return examples.take(np.sort(np.random.default_rng(seed).choice(len(examples), MOST, replace=False)))
