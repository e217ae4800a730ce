"""What an evaluation says beyond its measures, as data: each part is there only where it was measured, and JSON round-trips."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any

from tlkeras.evaluation.measure import Measure


@dataclass(frozen=True)
class Bin:
    """A bar of a reliability diagram: the `n` examples whose confidence lies in `[low, high]`, and how many were right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far the probabilities can be taken at their word.

    Attributes:
        ece: Expected calibration error: the mean distance of confidence and accuracy over bins of equal mass.
        ece_null: What a perfectly calibrated model with these confidences shows on as many examples, on average.
        ece_null_high: What it stays below in 95 of 100 cases; an `ece` below says nothing against the model.
        brier: Mean squared error of the probabilities, summed over the classes.
        temperature: What the logits are divided by; 1 where nothing was scaled.
        n: The number of test examples.
        bins: The bars of the reliability diagram.
        after: The same after scaling, where the head was scaled; the outer numbers are those before.
    """

    ece: float
    ece_null: float
    ece_null_high: float
    brier: float
    temperature: float
    n: int
    bins: tuple[Bin, ...]
    after: "Calibration | None" = None


@dataclass(frozen=True)
class Rejection:
    """When the answer is "none of these".

    Attributes:
        method: `"distance"`: the cosine similarity of the features to those of the nearest training example.
        threshold: An input of a smaller similarity is refused.
        n: The number of validation examples that the threshold was chosen on.
        rejected_own: The share of test examples that is refused, wrongly.
        foreign: What the foreign inputs were; empty where none were at hand.
        rejected_foreign: The share of them that is refused, rightly.
        auc: How well the score tells foreign inputs from test examples: 0.5 is chance.
    """

    method: str
    threshold: float
    n: int
    rejected_own: Measure | None = None
    foreign: str = ""
    rejected_foreign: Measure | None = None
    auc: Measure | None = None


@dataclass(frozen=True)
class Slice:
    """How the model does on the test examples that have one value in a column.

    Attributes:
        column: The column; derived ones are `picture size`, `brightness` and `text length`.
        value: The value, or the range.
        n: The number of its test examples.
        measure: What is measured, the headline of the task.
        metric: Its value on the slice, with a 95 % interval.
        difference: Against all other test examples; negative is worse, also where the measure is an error.
        p_value: Of no difference, corrected for the number of slices that were looked at (Holm).
        significant: Whether that is below 0.05.
    """

    column: str
    value: str
    n: int
    measure: str
    metric: Measure
    difference: float
    p_value: float
    significant: bool


@dataclass(frozen=True)
class Fairness:
    """How differently the groups of one column are treated, the worst class first if there are more than two.

    Attributes:
        column: The column.
        of: The class that counts as selected.
        groups: For each group `n`, `selection_rate`, `true_positive_rate`, `false_positive_rate` and `accuracy`.
        demographic_parity_difference: The largest difference of selection rates.
        equalized_odds_difference: The larger of the largest differences of true and false positive rates (worst case).
        null: The `equalized_odds_difference` that groups dealt at random show, on average.
        p_value: The share of such groups that show as much or more, corrected for the number of columns and classes (Holm).
        thresholds: For each group the probability from which on to select, chosen on validation to bring the true positive
            rates together; empty where validation lacks a group.
        equalized_odds_difference_after: On the test examples with these thresholds.
    """

    column: str
    of: str
    groups: Mapping[str, Mapping[str, float]]
    demographic_parity_difference: float
    equalized_odds_difference: float
    null: float
    p_value: float
    thresholds: Mapping[str, float] = field(default_factory=dict)
    equalized_odds_difference_after: float | None = None


@dataclass(frozen=True)
class Robustness:
    """How the model does on test examples that were spoilt: `severity` 0 (as they are) to 5."""

    corruption: str
    severity: int
    metric: Measure


@dataclass(frozen=True)
class Forgetting:
    """What training changed of what the source model knew.

    Attributes:
        drift: Mean cosine distance of the features of the same test inputs before and after training: 0 is unchanged.
        before: The source head's accuracy on source data with the original features; None where either is not at hand.
        after: The same head on the features after training.
        data: What the source data were.
        slices_before: How a linear model on the source's own features does on the slices of the test examples, the worst first:
            what differs here was in the source or in the data before any training.
    """

    drift: Measure
    before: Measure | None = None
    after: Measure | None = None
    data: str = ""
    slices_before: tuple[Slice, ...] = ()


@dataclass(frozen=True)
class Privacy:
    """How well an attacker who sees the model's answers tells training examples from others; chance is 0.5 and 1 %.

    Attributes:
        attack: The stronger of the attacks: `"loss threshold"` or `"logistic regression"`.
        auc: Area under its ROC curve.
        tpr_at_1_percent_fpr: The share of training examples that it finds while one of a hundred others is taken for one.
        attacks: `auc` of each attack.
        members: The number of training examples that were attacked; `auc.n` counts the others too.
    """

    attack: str
    auc: Measure
    tpr_at_1_percent_fpr: Measure
    attacks: Mapping[str, Measure]
    members: int


@dataclass(frozen=True)
class Neighbour:
    """A training example that is near in feature space; `image` is a path under the run folder."""

    id: str
    target: str
    similarity: float
    image: str = ""
    text: str = ""


@dataclass(frozen=True)
class GalleryItem:
    """A test example to look at.

    Attributes:
        kind: `"confident_mistake"`, `"unsure_hit"` or `"confused_pair"`.
        id: The example's identity.
        where: Its file, or file and row.
        target: What it is.
        predicted: What it was taken for.
        probability: Of that.
        image: Pictures: path of a PNG, relative to the run folder.
        explanation: Pictures: path of a PNG that shows what spoke for `predicted`.
        text: Texts: the text.
        tokens: Texts: the tokens, each with what it added to the logit of `predicted`.
        neighbours: The nearest training examples.
    """

    kind: str
    id: str
    where: str
    target: str
    predicted: str
    probability: float
    image: str = ""
    explanation: str = ""
    text: str = ""
    tokens: tuple[tuple[str, float], ...] = ()
    neighbours: tuple[Neighbour, ...] = ()


def from_plain(kind: Any, value: Any) -> Any:
    """Read back what `tlkeras.files.plain` made of a dataclass; numbers that were not finite come back as NaN.

    Args:
        kind: The type, as in `Calibration` or `tuple[Slice, ...]`.
        value: JSON values.

    Raises:
        ValueError: A field is missing or of another form; the message names it.
    """
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else from_plain(next(item for item in arguments if item is not types.NoneType), value)
    if is_dataclass(kind):
        return _dataclass(kind, value)
    if origin is tuple:
        ends = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(from_plain(item, part) for item, part in zip(ends, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: from_plain(arguments[1], part) for name, part in value.items()}
    if kind is float:
        return float("nan") if value is None else float(value)
    return value


def _dataclass(kind: Any, value: Any) -> Any:
    known = typing.get_type_hints(kind)
    needed = {item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING}
    if not isinstance(value, dict) or needed - set(value):
        missing = sorted(needed - set(value)) if isinstance(value, dict) else sorted(needed)
        raise ValueError(f"This is no {kind.__name__}: it lacks {', '.join(missing)}. Received: {str(value)[:100]}")
    return kind(**{name: from_plain(known[name], part) for name, part in value.items() if name in known})
