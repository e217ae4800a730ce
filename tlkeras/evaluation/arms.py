"""The arms of a comparison: ways to learn a task, with transfer and without, as functions of the data and a seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tlkeras.data.examples import Splits
from tlkeras.errors import unknown
from tlkeras.evaluation import nulls
from tlkeras.evaluation.evaluate import predict_examples
from tlkeras.evaluation.frozen_arms import cached_features, classical, frozen_head, judged, random_frozen, score_arm
from tlkeras.evaluation.outcome import Meter, Outcome, Step
from tlkeras.sources.blocks import chain, copy_block
from tlkeras.sources.macs import count_macs
from tlkeras.sources.model import SourceModel
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import STRATEGIES, plan_phases
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS, build_model
from tlkeras.training.fit import fit
from tlkeras.training.freezing import count_trainable, set_trainable

if TYPE_CHECKING:
    import keras

    from tlkeras.training.history import History

SCRATCH = "from_scratch"
ALIASES = {"scratch": SCRATCH}
SMALL_SIDE, SMALL_EPOCHS = 32, 20
"""Of the arm `small_cnn`: pixels, and passes over the training pictures."""

Train = Callable[[Splits, int], Outcome]
Costs = dict[int, int]
"""Multiply-accumulate operations below each cut of a network, for one example; filled as they are needed."""


@dataclass(frozen=True)
class Training:
    """How the arms train.

    Attributes:
        epochs: As `plan_phases` takes them, like the two below.
        learning_rate: The peak rate.
        augment: The level of augmentation.
        batch_size: As `fit` takes them, like the three below.
        balance: What is done about rare classes.
        flip: Whether pictures are mirrored.
        views: How many augmented views there are.
    """

    epochs: int = 12
    learning_rate: float = 1e-3
    augment: str = "none"
    batch_size: int = 32
    balance: str = "auto"
    flip: bool = False
    views: int = 4


@dataclass(frozen=True)
class Arm:
    """A way to learn a task.

    Attributes:
        name: As it is shown.
        transfer: Whether it starts from pre-trained weights.
        train: From splits and a seed to the outcome on the test examples.
    """

    name: str
    transfer: bool
    train: Train


def make_arms(names: Sequence[str], source: SourceModel, training: Training) -> dict[str, Arm]:
    """Return arms by name, in that order.

    Args:
        names: Keys of `STRATEGIES`, `"scratch"`, or those without a strategy: `"random_frozen"` (a linear model on the frozen
            features of random weights), `"small_cnn"` and `"pixels"` for pictures, `"tf_idf"` for texts.
        source: The pre-trained source model; it stays as it is.
        training: How to train.

    Raises:
        ValueError: A name is unknown, or for the other modality.
    """
    costs: Costs = {}
    features = cached_features(source)
    own: dict[str, Train] = {"random_frozen": partial(random_frozen, source)}
    if source.modality == "image":
        own |= {"small_cnn": partial(_small_cnn, training), "pixels": classical}
    else:
        own |= {"tf_idf": classical}
    arms = {}
    for name in (ALIASES.get(name, name) for name in names):
        if name == "feature_extraction":
            arms[name] = Arm(name, True, partial(frozen_head, source, features, training.balance))
        elif name in STRATEGIES:
            arms[name] = Arm(name, name != SCRATCH, partial(_strategy, source, name, None, costs, training))
        elif name in own:
            arms[name] = Arm(name, False, own[name])
        else:
            raise unknown("arm", name, [*ALIASES, *STRATEGIES, *own], "tlkeras compare NAME --help")
    return arms


def depth_arms(shares: Sequence[int], source: SourceModel, training: Training) -> dict[int, Arm]:
    """Return an arm for each share of the blocks, in per cent, that is trained after the head; 0 fits the head alone."""
    arms: dict[int, Arm] = {}
    costs: Costs = {}
    for share in shares:
        trainable = f"top:{share}%" if share else "head"
        arms[share] = Arm(trainable, True, partial(_strategy, source, "fine_tune", trainable, costs, training))
    return arms


def _strategy(
    source: SourceModel, strategy: str, trainable: str | None, costs: Costs, training: Training, splits: Splits, seed: int
) -> Outcome:
    blocks = tuple(copy_block(block) for block in source.blocks)  # training must leave the source as it is for the next arm
    own = replace(source, blocks=blocks, network=chain(blocks, name=source.network.name))
    phases = plan_phases(
        strategy, trainable=trainable, epochs=training.epochs, learning_rate=training.learning_rate, augment=training.augment
    )
    return _train(build_model(own, splits, seed=seed), phases, costs, training, splits, seed)


def _small_cnn(training: Training, splits: Splits, seed: int) -> Outcome:
    """Train a network that fits small pictures from random weights: what a sceptic would do instead of transfer."""
    model = build_model(_small_network(), splits, dropout=0.5, seed=seed)
    phases = plan_phases(SCRATCH, epochs=max(SMALL_EPOCHS, training.epochs), augment=training.augment)
    return _train(model, phases, {}, training, splits, seed)


def _small_network() -> "keras.Model":
    from keras import Input, Model, layers

    image = Input((SMALL_SIDE, SMALL_SIDE, 3))
    x = layers.Rescaling(1 / 255)(image)
    for width in (16, 32, 64):
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    return Model(image, x, name="small_cnn")


def _train(
    model: TransferModel, phases: Sequence[Phase], costs: Costs, training: Training, splits: Splits, seed: int
) -> Outcome:
    macs = [_macs(model, phase, costs, splits) for phase in phases]
    options = {name: getattr(training, name) for name in ("batch_size", "balance", "flip", "views")}
    with Meter() as meter:
        history = fit(model, splits, phases, seed=seed, **options)
    set_trainable(model, phases[-1])
    trained = None if phases[-1].adapters else count_trainable(model)
    examples, _ = judged(splits, seed)
    predicted = nulls.predictions(model.task, predict_examples(model, examples))
    steps = _steps(history, phases, macs, meter.seconds, TASKS[model.task].metric_name)
    return replace(score_arm(model.task, predicted, splits, examples, meter), trained=trained, steps=steps)


def _macs(model: TransferModel, phase: Phase, costs: Costs, splits: Splits) -> tuple[float, float]:
    """Operations for the frozen part, which runs once, and for each epoch: a step is one forward and two such backward."""
    cut, size = set_trainable(model, phase), model.source.input_size
    for place in (0, cut):
        if place not in costs:  # the operations below each cut; those below 0 stand for the whole
            part = chain(model.segments[:place], name="below") if place else model.network
            costs[place] = count_macs(part, size)
    below = costs[cut] if cut else 0
    train, val = len(splits.train), len(splits.val)
    each = (costs[0] - below) * (3 * train + val) if phase.solver == "gradient" else 0
    return float(below * (train + val)), float(each)


def _steps(
    history: "History", phases: Sequence[Phase], macs: Sequence[tuple[float, float]], seconds: float, metric: str
) -> tuple[Step, ...]:
    """The rows of a history with what they had cost so far; what no row accounts for came before the first."""
    by_name = {phase.name: (phase.solver == "gradient", each) for phase, (_, each) in zip(phases, macs, strict=True)}
    spent = seconds - sum(float(row["seconds"]) for row in history.rows)
    # The frozen part is computed for all phases in one pass, up to the highest of their cuts.
    counted, epochs, steps = max(once for once, _ in macs), 0, []
    for row in history.rows:
        is_epoch, each = by_name[row["phase"]]
        counted, spent, epochs = counted + each, spent + float(row["seconds"]), epochs + is_epoch
        losses = (float(row["loss"]), float(row["val_loss"]), float(row[metric]), float(row[f"val_{metric}"]))
        steps.append(Step(epochs, spent, counted, *losses))
    return tuple(steps)
