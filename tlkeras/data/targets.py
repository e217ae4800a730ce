"""What is to be predicted for some examples: one class, several classes, a value, or nothing."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Targets(Protocol):
    """What is to be predicted for each of some examples."""

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> "Targets":
        """Return the chosen rows, in that order."""
        ...

    def strata(self) -> np.ndarray:
        """Return what a stratified split keeps in proportion, int64, shape `(n,)`."""
        ...

    def cells(self, classes: Sequence[str]) -> list[str]:
        """Return each target as it stands in a table: `cat`, `cat|dog`, `3.5`, or nothing."""
        ...


@dataclass(frozen=True)
class ClassTargets:
    """One class for each example: `labels` is int32, shape `(n,)`, an index into `Splits.classes`."""

    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "ClassTargets":
        """Return the chosen rows, in that order."""
        return ClassTargets(self.labels[indices])

    def strata(self) -> np.ndarray:
        """Return the class of each example."""
        return self.labels.astype(np.int64)

    def cells(self, classes: Sequence[str]) -> list[str]:
        """Return the name of each class."""
        return [classes[label] for label in self.labels.tolist()]


@dataclass(frozen=True)
class MultiLabelTargets:
    """Any number of classes for each example: `labels` is uint8, shape `(n, classes)`, 1 where the class applies."""

    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "MultiLabelTargets":
        """Return the chosen rows, in that order."""
        return MultiLabelTargets(self.labels[indices])

    def strata(self) -> np.ndarray:
        """Return the rarest class that each example has, the number of classes where it has none."""
        frequent_first = np.argsort(-self.labels.sum(axis=0, dtype=np.int64), kind="stable")
        strata = np.full(len(self.labels), self.labels.shape[1], np.int64)
        for place in frequent_first.tolist():
            strata[self.labels[:, place] == 1] = place
        return strata

    def cells(self, classes: Sequence[str]) -> list[str]:
        """Return the names of each example's classes, joined by bars."""
        return ["|".join(classes[place] for place in np.flatnonzero(row).tolist()) for row in self.labels]


@dataclass(frozen=True)
class ValueTargets:
    """One number for each example: `values` is float32, shape `(n,)`, finite, in the units of the data."""

    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, indices: np.ndarray) -> "ValueTargets":
        """Return the chosen rows, in that order."""
        return ValueTargets(self.values[indices])

    def strata(self) -> np.ndarray:
        """Return the fifth of the values that each lies in, 0 to 4; fewer bins where there are fewer than 25 examples."""
        bins = max(1, min(5, len(self.values) // 5))
        edges = np.quantile(self.values, np.arange(1, bins) / bins) if len(self.values) else np.empty(0)
        return np.searchsorted(edges, self.values, side="right").astype(np.int64)

    def cells(self, classes: Sequence[str]) -> list[str]:
        """Return each number, in as few digits as tell it from every other float32."""
        return [str(np.float32(value)) for value in self.values]


@dataclass(frozen=True)
class NoTargets:
    """Nothing to be predicted: `size` examples without labels, a pool for self-training or adaptation."""

    size: int

    def __len__(self) -> int:
        return self.size

    def take(self, indices: np.ndarray) -> "NoTargets":
        """Return as many rows as were chosen."""
        return NoTargets(len(indices))

    def strata(self) -> np.ndarray:
        """Return zeros: nothing tells the examples apart."""
        return np.zeros(self.size, np.int64)

    def cells(self, classes: Sequence[str]) -> list[str]:
        """Return empty cells."""
        return [""] * self.size


def natural_order(names: Iterable[str]) -> list[str]:
    """Return names sorted, numbers within them by their value, so that `2` and `page 2` come before `10` and `page 10`."""

    def key(name: str) -> tuple[list[tuple[int, int, str]], str]:
        pieces = re.split(r"([0-9]+)", name)
        return [(0, int(piece[:300]), "") if place % 2 else (1, 0, piece) for place, piece in enumerate(pieces)], name

    return sorted(names, key=key)
