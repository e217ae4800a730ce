"""What a phase may add to its loss, as data."""

from dataclasses import dataclass, fields

from tlkeras.errors import unknown


@dataclass(frozen=True)
class Penalties:
    """What is added to the loss in training; the loss on validation stays that of the task.

    Attributes:
        l2_sp: Half of it times the sum of squares of what the pre-trained weights that train have moved (L2-SP; Li et al. 2018;
            they took 0.01). These weights get no weight decay then.
        distillation: Times the squared distance of the pooled features from those of the frozen copy, over the squares of the
            latter (DELTA without attention; Li et al. 2019).
        l1: Times the sum of absolute values of new kernels: the head's, and all where a phase draws random weights.
        l2: Half of it times their sum of squares.
        dropout: The share of features dropped before the head, instead of the model's own.
        label_smoothing: The share of the target that is spread over all classes (Szegedy et al. 2016).
    """

    l2_sp: float = 0.0
    distillation: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    dropout: float | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no penalty."""
        for name in ("l2_sp", "distillation", "l1", "l2"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"The penalty {name} is a number of at least 0. Received: {getattr(self, name)}")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"{name} is a share of at least 0 and below 1. Received: {getattr(self, name)}")

    @property
    def need_reference(self) -> bool:
        """Whether the weights that the source began with must be kept."""
        return bool(self.l2_sp or self.distillation)


NONE = Penalties()


def parse_penalties(text: str | None) -> Penalties:
    """Return penalties from what a command line gives, as in `"l2_sp=0.01,label_smoothing=0.1"`.

    Raises:
        ValueError: A penalty does not exist, has no number, or the number is out of range.
    """
    names = [item.name for item in fields(Penalties)]
    values: dict[str, float] = {}
    for item in (text or "").split(","):
        name, _, number = (part.strip() for part in item.partition("="))
        if not name:
            continue
        if name not in names:
            raise unknown("penalty", name, names, ", ".join(names))
        try:
            values[name] = float(number)
        except ValueError:
            raise ValueError(f"A penalty is given as name=number. Received: {item.strip()!r}, as in {name}=0.01") from None
    return Penalties(**values)
