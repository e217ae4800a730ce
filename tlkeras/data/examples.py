"""Examples and splits: the rows that training, evaluation and export work on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from tlkeras.data.cells import take_texts
from tlkeras.data.encoded import EncodedColumn
from tlkeras.data.image_files import read_image_file
from tlkeras.data.targets import ClassTargets, MultiLabelTargets, NoTargets, Targets, ValueTargets
from tlkeras.errors import DataError

__all__ = [
    "ClassTargets",
    "EncodedImages",
    "Examples",
    "ImageArrays",
    "ImageFiles",
    "MultiLabelTargets",
    "NoTargets",
    "Skipped",
    "Splits",
    "Store",
    "Targets",
    "Texts",
    "ValueTargets",
    "cannot_read",
]


class Store(Protocol):
    """Where the inputs of some examples lie; rows are read by index, nothing is loaded beforehand."""

    @property
    def modality(self) -> str:
        """`"image"` or `"text"`."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> "Store":
        """Return a store of the chosen rows, in that order; reads nothing."""
        ...

    def where(self, index: int) -> str:
        """Say where row `index` comes from, for messages: `photos/cat/1.jpg` or `reviews.csv, row 7`."""
        ...


@dataclass(frozen=True)
class ImageFiles:
    """Pictures in files, decoded on the fly by `tlkeras.data.decode`."""

    paths: tuple[str, ...]
    modality: str = "image"

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: np.ndarray) -> "ImageFiles":
        """Return the chosen rows, in that order."""
        return replace(self, paths=tuple(self.paths[i] for i in indices))

    def where(self, index: int) -> str:
        """Say where row `index` comes from."""
        return self.paths[index]

    def encoded(self, index: int) -> bytes:
        """Return the bytes of a picture.

        Raises:
            ValueError: See `read_image_file`.
        """
        return read_image_file(self.paths[index])


@dataclass(frozen=True)
class EncodedImages:
    """Encoded pictures in a table or catalogue, read by row; `names` says where each comes from."""

    pictures: EncodedColumn
    names: tuple[str, ...]
    modality: str = "image"

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: np.ndarray) -> "EncodedImages":
        """Return the chosen rows, in that order."""
        return replace(self, pictures=self.pictures.take(indices), names=tuple(self.names[i] for i in indices))

    def where(self, index: int) -> str:
        """Say where row `index` comes from."""
        return self.names[index]

    def encoded(self, index: int) -> bytes:
        """Return the bytes of a picture.

        Raises:
            ValueError: There is none in this row.
        """
        data = self.pictures[index]
        if not data:
            raise ValueError("there is no picture in this row")
        return data


@dataclass(frozen=True)
class ImageArrays:
    """Pictures in memory: `pixels` is uint8, shape `(n, height, width, 3)` or `(n, height, width)`, RGB in `[0, 255]`."""

    pixels: np.ndarray
    origin: str = "array"
    modality: str = "image"

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: np.ndarray) -> "ImageArrays":
        """Return the chosen rows, in that order."""
        return replace(self, pixels=self.pixels[indices])

    def where(self, index: int) -> str:
        """Say where row `index` comes from."""
        return f"{self.origin}, row {index}"


@dataclass(frozen=True)
class Texts:
    """Texts, read by place.

    Attributes:
        texts: The texts: a tuple, or `Cells`, which may lie in a file.
        rows: The row of each in its file, int64, shape `(n,)`; -1 for a text that is the whole file.
        origin: The file that they come from.
        files: The file of each, where there are several.
    """

    texts: Sequence[str]
    rows: np.ndarray
    origin: str = "list"
    modality: str = "text"
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: np.ndarray) -> "Texts":
        """Return the chosen rows, in that order."""
        files = tuple(self.files[i] for i in indices) if self.files else ()
        return replace(self, texts=take_texts(self.texts, indices), rows=self.rows[indices], files=files)

    def where(self, index: int) -> str:
        """Say where row `index` comes from."""
        file = self.files[index] if self.files else self.origin
        return f"{file}, row {self.rows[index]}" if self.rows[index] >= 0 else file


def cannot_read(store: Store, row: int, error: Exception) -> DataError:
    """Return the error for a picture of a store that cannot be read any more, with its name and the reason."""
    return DataError(f"Cannot read {store.where(row)}: {error}. Replace or remove the file and run again.")


@dataclass(frozen=True)
class Examples:
    """The rows of one split; cheap to hold, because pixels stay in their files.

    Attributes:
        ids: Stable identities, shape `(n,)`, str: a path relative to the data, or a row.
        store: Where the inputs lie.
        targets: What is to be predicted.
        metadata: Further columns, each of shape `(n,)`: `digest` (of the content, str) and, where the data gives them,
            `split` and `group` (str) and `time` (float64; dates as seconds since 1970).
    """

    ids: np.ndarray
    store: Store
    targets: Targets
    metadata: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> np.ndarray:
        """The class indices, int32, shape `(n,)`.

        Raises:
            TypeError: The examples have no single class each.
        """
        if not isinstance(self.targets, ClassTargets):
            raise TypeError(f"`labels` needs one class for each example. Received: {type(self.targets).__name__}")
        return self.targets.labels

    def take(self, indices: Sequence[int] | np.ndarray) -> "Examples":
        """Return the chosen rows, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Examples(
            ids=self.ids[chosen],
            store=self.store.take(chosen),
            targets=self.targets.take(chosen),
            metadata={name: column[chosen] for name, column in self.metadata.items()},
        )


LeftOut = Callable[[str], bool]
"""Says of an identity whether its example is left out, before anything is split."""

IN_QUARANTINE = "in quarantine"
"""The reason of what is left out because a quarantine list says so."""


def nothing_left_out(identity: str) -> bool:
    """Leave nothing out."""
    return False


@dataclass(frozen=True)
class Skipped:
    """One input that is not used: where it is and why.

    `stray` is true of what is no example in the first place: a file of another kind, one beside the class folders, a link.
    """

    where: str
    reason: str
    stray: bool = False


@dataclass(frozen=True)
class Splits:
    """Training, validation and test examples of one data set, and their classes.

    Attributes:
        classes: The class names; an example's label is an index into them. Empty where values are predicted.
        fingerprint: A sha256 hex digest of identities, contents, labels, classes and split membership.
        notes: What was decided on the way, in words: a split that was made, a column that was guessed.
        skipped: Inputs that were left out, with the reason.
        unlabelled: Examples of the same kind without labels, if the data has any.
    """

    train: Examples
    val: Examples
    test: Examples
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unlabelled: Examples | None = None

    @property
    def modality(self) -> str:
        """`"image"` or `"text"`."""
        return self.train.store.modality
