"""The tasks by name, and the head that a data set's targets ask for."""

from typing import TYPE_CHECKING

from tlkeras.data.examples import Splits
from tlkeras.data.targets import ClassTargets, MultiLabelTargets, ValueTargets
from tlkeras.sources.model import SourceModel
from tlkeras.tasks.classification import CLASSIFICATION, build_classifier
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.multi_label import MULTI_LABEL, build_multi_label
from tlkeras.tasks.regression import REGRESSION, build_regressor, value_scale
from tlkeras.tasks.task import Task

if TYPE_CHECKING:
    import keras

TASKS: dict[str, Task] = {task.name: task for task in (CLASSIFICATION, MULTI_LABEL, REGRESSION)}


def task_of(splits: Splits) -> tuple[Task, tuple[float, float]]:
    """Return the task that the targets of the data ask for, and mean and deviation of training values (0 and 1 for classes)."""
    targets = splits.train.targets
    if isinstance(targets, ValueTargets):
        return REGRESSION, value_scale(targets.values)
    return (MULTI_LABEL if isinstance(targets, MultiLabelTargets) else CLASSIFICATION), (0.0, 1.0)


def build_model(source: "SourceModel | keras.Model", splits: Splits, *, dropout: float = 0.2, seed: int = 0) -> TransferModel:
    """Put the head that the targets of the data ask for on a source model.

    One class for each example gives a softmax, several classes a sigmoid each, a number a linear output.

    Args:
        source: A source model, or a functional `keras.Model` from raw pixels to features.
        splits: The data; only the training targets and the class names are looked at.
        dropout: The share of features dropped in training.
        seed: Seed of the head's initial weights and of dropout.
    """
    targets = splits.train.targets
    if isinstance(targets, ClassTargets):
        return build_classifier(source, splits.classes, dropout=dropout, seed=seed)
    if isinstance(targets, MultiLabelTargets):
        return build_multi_label(source, splits.classes, dropout=dropout, seed=seed)
    if isinstance(targets, ValueTargets):
        return build_regressor(source, targets.values, dropout=dropout, seed=seed)
    raise ValueError(f"A model needs targets to learn. Received: {type(targets).__name__}")
