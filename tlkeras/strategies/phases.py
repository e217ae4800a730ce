"""A phase of training, as data."""

from dataclasses import dataclass
from typing import Literal, get_args

from tlkeras.errors import unknown
from tlkeras.strategies.after import require_steps
from tlkeras.strategies.penalties import NONE, Penalties

Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Phase:
    """What is trained, from where, how and for how long; a strategy is a list of phases.

    Attributes:
        name: Shown in the table and the history.
        trainable: Which blocks: `"head"`, `"top:2"` (the head and the two highest blocks of the source), `"top:50%"`, names or
            patterns separated by commas, or `"all"`.
        initialise: `"pretrained"` goes on from the weights that are there, `"random"` draws new ones first.
        solver: `"gradient"` trains with Keras; `"closed_form"` solves the head alone on the frozen features as a regularized
            linear model, its strength chosen on the validation examples.
        learning_rate: The peak, for the gradient solver.
        schedule: `"constant"`, `"cosine"` (a tenth of the steps warms up, then down to zero), `"one_cycle"`, `"slanted"` (see
            `tlkeras.training.schedules`) or `"plateau"` (halved when the validation loss has not improved for two epochs).
        epochs: Passes over the training examples, at most.
        patience: Epochs without a better validation accuracy (or, at the same accuracy, loss) after which the phase ends.
        batch_norm: What BatchNormalization in *trainable* blocks does: `"frozen"` keeps statistics, scale and offset;
            `"affine_only"` trains scale and offset; `"train"` trains both and moves the statistics.
        weights: Which weights of the chosen blocks of the source: `"all"`, `"bias"` (BitFit, Ben-Zaken et al. 2021) or `"norm"`
            (scale and offset of normalizations); the head trains whole.
        layer_decay: What the learning rate is multiplied by from each block to the one below it; 1 for one rate everywhere.
        adapters: 0, or the rank of low-rank adapters (LoRA; Hu et al. 2021) that train instead of the chosen blocks of the
            source and are merged into them when the phase ends; the head trains whole.
        penalties: What is added to the loss in training; for the gradient solver.
        ema: 0, or the momentum of a moving average of the weights, such as 0.99; validation sees the average, and it is kept.
        after: What follows, in this order, and is kept where it is better on validation: `"soup"` averages the weights of the
            best epochs (greedy soup), `"wise_ft"` those of the beginning and the end of the phase, `"recalibrate"` computes the
            statistics of BatchNormalization anew.
        strength: The inverse strength of regularization of a head that is solved, one of `tlkeras.training.head.STRENGTHS`,
            instead of the one that is best on validation.
        keep: `"best"` ends with the weights of the best epoch, `"last"` with those of the last.
        augment: `"none"`, or a level of `tlkeras.data.augment.LEVELS`; for the gradient solver.
        clip_norm: Gradients with a larger norm, over all weights together, are shortened to it; 0 for none.
        precision: What the trained blocks of the source compute in, for the gradient solver; weights and exports are float32
            always. `"auto"` takes 16 bits on GPUs with tensor cores; see `tlkeras.training.precision`.
    """

    name: str
    trainable: str = "head"
    initialise: Literal["pretrained", "random"] = "pretrained"
    solver: Literal["gradient", "closed_form"] = "gradient"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "one_cycle", "slanted", "plateau", "constant"] = "cosine"
    epochs: int = 10
    patience: int = 3
    batch_norm: Literal["frozen", "affine_only", "train"] = "frozen"
    weights: Literal["all", "bias", "norm"] = "all"
    layer_decay: float = 1.0
    adapters: int = 0
    penalties: Penalties = NONE
    ema: float = 0.0
    after: tuple[str, ...] = ()
    strength: float | None = None
    keep: Literal["best", "last"] = "best"
    augment: str = "none"
    clip_norm: float = 1.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.solver == "closed_form" and self.trainable != "head":
            raise ValueError(f"The closed-form solver fits the head only. Received: trainable={self.trainable!r}")
        if self.solver == "closed_form" and self.augment != "none":
            raise ValueError(f"The closed-form solver reads the examples as they are. Received: augment={self.augment!r}")
        if not self.learning_rate > 0:
            raise ValueError(f"A learning rate is a number above 0. Received: {self.learning_rate}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"The decay of the rate by depth is above 0 and at most 1. Received: {self.layer_decay}")
        if self.adapters < 0:
            raise ValueError(f"The rank of adapters is 1 or more, or 0 for none. Received: {self.adapters}")
        if self.adapters and (self.weights, self.batch_norm, self.initialise) != ("all", "frozen", "pretrained"):
            raise ValueError(
                "Adapters are all that a phase trains below the head, of pre-trained weights. Received: "
                f"weights={self.weights!r}, batch_norm={self.batch_norm!r}, initialise={self.initialise!r}"
            )
        if self.penalties.need_reference and (self.adapters or self.initialise == "random"):
            raise ValueError(
                "l2_sp and distillation hold on to pre-trained weights that train. Received: "
                f"adapters={self.adapters}, initialise={self.initialise!r}"
            )
        if not 0 <= self.ema < 1:
            raise ValueError(f"The momentum of the moving average is at least 0 and below 1. Received: {self.ema}")
        require_steps(self.after)
        if self.after and self.adapters:
            raise ValueError(
                f"Adapters multiply, so their averages mean nothing: only ema goes with them. Received: {self.after}"
            )
        if not 0 <= self.clip_norm < float("inf"):
            raise ValueError(f"The norm that gradients are clipped at is above 0, or 0 for none. Received: {self.clip_norm}")
        if self.precision not in get_args(Precision):
            raise unknown("precision", self.precision, get_args(Precision), ", ".join(get_args(Precision)))
        if self.epochs < 1:
            raise ValueError(f"A phase takes at least one epoch. Received: {self.epochs}")
        if self.patience < 1:
            raise ValueError(f"Patience is at least one epoch. Received: {self.patience}")
