"""An inventory: what lies in a data set, read leniently, so that everything wrong with it can be said at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkeras.data.columns import TableOptions, choose_columns
from tlkeras.data.examples import ImageFiles, Skipped, Splits, Store, Texts
from tlkeras.data.folders import IMAGE_SUFFIXES
from tlkeras.data.health.finding import Offender
from tlkeras.data.joined import join_examples
from tlkeras.data.layout import PART_NAMES, Layout, scan_folder
from tlkeras.data.load import load_images, load_texts
from tlkeras.data.splits import PARTS
from tlkeras.data.table import Table
from tlkeras.data.table_files import TABLE_SUFFIXES, parse_table
from tlkeras.data.tables import read_text_file
from tlkeras.data.targets import ClassTargets


@dataclass(frozen=True)
class Inventory:
    """The rows of a data set, usable or not.

    Attributes:
        origin: The data, as it was named.
        store: The inputs of all rows.
        ids: The identity of each row, as in `Examples`.
        labels: The label of each row as it stands there; `""` where there is none.
        parts: The part that the data gives each row: `train`, `val` or `test`; `""` where it gives none.
        groups: The group of each row; `""` where there is none.
        class_names: The classes, those without any example included.
        skipped: What is no row: rows and files that could not be read or belong to no class.
        notes: What was decided on the way, in words.
        one_class_each: Whether each label is one class; not where there are several in a label, or values.
    """

    origin: str
    store: Store
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    class_names: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    one_class_each: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def modality(self) -> str:
        """`"image"` or `"text"`."""
        return self.store.modality

    @property
    def has_parts(self) -> bool:
        """Whether the data itself says what is for training and what for testing."""
        return len(set(self.parts)) > 1

    def offender(self, row: int, detail: str = "") -> Offender:
        """Return a row as what a finding lists."""
        return Offender(self.store.where(row), detail, row, self.ids[row])

    def without(self, left_out: Sequence[bool]) -> "Inventory":
        """Return the inventory without the rows that are marked."""
        keep = [row for row, out in enumerate(left_out) if not out]

        def pick(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[row] for row in keep)

        return Inventory(
            origin=self.origin,
            store=self.store.take(np.array(keep, np.int64)),
            ids=pick(self.ids),
            labels=pick(self.labels),
            parts=pick(self.parts),
            groups=pick(self.groups),
            class_names=self.class_names,
            skipped=self.skipped,
            notes=self.notes,
            one_class_each=self.one_class_each,
        )


def take_inventory(data: str, *, modality: str | None = None, options: TableOptions | None = None) -> Inventory:
    """List what lies in a data set, without refusing what is wrong with single rows and classes.

    Args:
        data: What `--data` of a recipe takes.
        modality: `"image"` or `"text"`; found out if not given.
        options: What the user says about the columns of a table.

    Raises:
        DataError: There is nothing that could be listed: no such file, no class folders, no table.
    """
    options = options or TableOptions()
    path = Path(data).expanduser()
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        table = parse_table(path, encoding=options.encoding)
        if (modality or ("image" if _names_pictures(table) else "text")) == "text":
            return _texts_of_table(table, options, data)
        modality = "image"
    modality = modality or guess_modality(path)
    if path.is_dir() and not any(file.suffix.lower() in TABLE_SUFFIXES for file in path.iterdir()):
        layout = scan_folder(path)
        return _texts_of(layout, data) if modality == "text" else _pictures_of(layout, data)
    return inventory_of(load_texts(data) if modality == "text" else load_images(data), data)


def guess_modality(folder: Path) -> str:
    """Say whether a folder seems to hold pictures (`"image"`) or texts (`"text"`), from the names of its files."""
    suffixes = {file.suffix.lower() for file in folder.rglob("*")} if folder.is_dir() else set()
    return "text" if suffixes & {*TABLE_SUFFIXES, ".txt"} and not suffixes & IMAGE_SUFFIXES else "image"


def _names_pictures(table: Table) -> bool:
    """Say whether a table holds pictures, or a column most of whose cells end like picture files."""
    endings = tuple(IMAGE_SUFFIXES)
    shares = (
        sum(cell.strip().lower().endswith(endings) for cell in table.column(name)) / max(1, len(table.rows))
        for name in table.columns
    )
    return bool(table.pictures) or any(share > 0.5 for share in shares)


def inventory_of(splits: Splits, origin: str) -> Inventory:
    """Return splits that are loaded already as an inventory."""
    parts = [getattr(splits, name) for name in PARTS]
    examples = join_examples(parts)
    given = not any("No parts were given" in note for note in splits.notes)
    groups = examples.metadata.get("group")
    return Inventory(
        origin=origin,
        store=examples.store,
        ids=tuple(examples.ids.tolist()),
        labels=tuple(examples.targets.cells(splits.classes)),
        parts=tuple(name if given else "" for name, part in zip(PARTS, parts, strict=True) for _ in range(len(part))),
        groups=tuple(groups.tolist()) if groups is not None else ("",) * len(examples),
        class_names=splits.classes,
        skipped=splits.skipped,
        notes=splits.notes,
        one_class_each=isinstance(examples.targets, ClassTargets),
    )


def _pictures_of(layout: Layout, origin: str) -> Inventory:
    found = [(part, file) for part, files in layout.parts.items() for file in files]
    store = ImageFiles(tuple(file.path for _, file in found))
    return _of_layout(layout, origin, store, found, layout.skipped)


def _texts_of(layout: Layout, origin: str) -> Inventory:
    kept, texts, skipped = [], [], list(layout.skipped)
    for part, file in ((part, file) for part, files in layout.parts.items() for file in files):
        try:
            texts.append(read_text_file(file.path))
            kept.append((part, file))
        except ValueError as error:
            skipped.append(Skipped(file.path, str(error)))
    paths = tuple(file.path for _, file in kept)
    store = Texts(tuple(texts), np.full(len(texts), -1, np.int64), origin, files=paths)
    return _of_layout(layout, origin, store, kept, skipped)


def _of_layout(layout: Layout, origin: str, store: Store, found: Sequence, skipped: Sequence[Skipped]) -> Inventory:
    several = len(layout.parts) > 1
    return Inventory(
        origin=origin,
        store=store,
        ids=tuple(file.id for _, file in found),
        labels=tuple(file.class_name for _, file in found),
        parts=tuple(part if several else "" for part, _ in found),
        groups=("",) * len(found),
        class_names=tuple(sorted({name for names in layout.class_folders.values() for name in names})),
        skipped=tuple(skipped),
        notes=layout.notes,
    )


def _texts_of_table(table: Table, options: TableOptions, origin: str) -> Inventory:
    roles = choose_columns(table, options, "text")
    pieces = zip(*(table.column(name) for name in roles.inputs), strict=True)
    texts = tuple("\n".join(filter(None, (cell.strip() for cell in cells))) for cells in pieces)
    labels = tuple(table.column(roles.labels[0]))
    parts = [PART_NAMES.get(cell.strip().casefold(), "") for cell in table.column(roles.split)] if roles.split else []
    return Inventory(
        origin=origin,
        store=Texts(texts, np.array(table.numbers, np.int64), origin=table.origin, files=table.files),
        ids=tuple(table.ids()),
        labels=labels,
        parts=tuple(part if part in PARTS else "" for part in parts) or ("",) * len(texts),
        groups=tuple(cell.strip() for cell in table.column(roles.group)) if roles.group else ("",) * len(texts),
        class_names=tuple(sorted({label for label in labels if label.strip()})),
        skipped=table.skipped,
        notes=(*table.notes, *roles.notes),
        one_class_each=len(roles.labels) == 1 and options.target in (None, "class"),
    )
