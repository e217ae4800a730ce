"""An inventory: what lies in a data set, read leniently, so that everything wrong with it can be said at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlkeras.data.archives import called_by_archive
from tlkeras.data.columns import Roles, TableOptions, choose_columns
from tlkeras.data.examples import ImageFiles, Skipped, Splits, Store, Texts
from tlkeras.data.folders import IMAGE_SUFFIXES
from tlkeras.data.health.finding import Offender
from tlkeras.data.image_tables import PictureRows, locate_pictures
from tlkeras.data.joined import join_examples
from tlkeras.data.labels import Labels, pick_labels, read_labels
from tlkeras.data.layout import Found, Layout, scan_folder
from tlkeras.data.load import find_data, load_images, picture_folder, read_data_table
from tlkeras.data.location import Location
from tlkeras.data.part_names import PART_NAMES
from tlkeras.data.samples import load_image_sample, load_text_sample
from tlkeras.data.splits import PARTS
from tlkeras.data.table import Table
from tlkeras.data.table_splits import POOL
from tlkeras.data.tables import read_text_file, texts_of_table
from tlkeras.data.targets import ClassTargets


@dataclass(frozen=True)
class Inventory:
    """The rows of a data set, usable or not.

    Attributes:
        origin: The data, as it was named.
        store: The inputs of all rows.
        ids: The identity of each row, as in `Examples`.
        labels: The label of each row as it stands there; `""` where there is none.
        parts: The part that the data gives each row: `train`, `val`, `test` or `unlabelled`; `""` where it gives none.
        groups: The group of each row; `""` where there is none.
        class_names: The classes, those without any example included.
        skipped: What is no row: rows and files that could not be read or belong to no class.
        notes: What was decided on the way, in words.
        one_class_each: Whether each label is one class; not where there are several in a label, or values.
        times: The time of each row as it stands there; nothing where no column of times was named.
        targets: What is to be predicted, where that is several labels or a value.
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
    times: tuple[str, ...] = ()
    targets: Labels | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def modality(self) -> str:
        """`"image"` or `"text"`."""
        return self.store.modality

    @property
    def has_parts(self) -> bool:
        """Whether the data itself says what is for training and what for testing."""
        return len(set(self.parts) & set(PARTS)) > 1

    def offender(self, row: int, detail: str = "") -> Offender:
        """Return a row as what a finding lists."""
        return Offender(self.store.where(row), detail, row, self.ids[row])

    def without(self, left_out: Sequence[bool]) -> "Inventory":
        """Return the inventory without the rows that are marked."""
        keep = [row for row, out in enumerate(left_out) if not out]

        def pick(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[row] for row in keep)

        return replace(
            self,
            store=self.store.take(np.array(keep, np.int64)),
            ids=pick(self.ids),
            labels=pick(self.labels),
            parts=pick(self.parts),
            groups=pick(self.groups),
            times=pick(self.times) if self.times else (),
            targets=self.targets and pick_labels(self.targets, keep),
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
    location, inside = find_data(data, modality or "image")
    if location.kind == "sample":
        load = load_text_sample if modality == "text" else load_image_sample
        return inventory_of(load(location.name), data)
    with called_by_archive(data, inside):
        return _list(data, location, inside, modality, options)


def _list(data: str, location: Location, inside: Path | None, modality: str | None, options: TableOptions) -> Inventory:
    if location.kind == "folder":
        layout = scan_folder(location.path)
        texts = (modality or guess_modality(location.path)) == "text"
        return _texts_of(layout, data) if texts else _pictures_of(layout, data)
    if location.kind == "file":
        load_images(data)  # says what is wrong with it
    table = read_data_table(location, options)
    if (modality or ("image" if _names_pictures(table) else "text")) == "text":
        return _texts_of_table(table, options, data)
    rows = locate_pictures(table, options, folder=picture_folder(location), inside=inside)
    return _pictures_of_table(rows, options, data)


def guess_modality(folder: Path) -> str:
    """Say whether a folder seems to hold pictures (`"image"`) or texts (`"text"`), from the names of its files."""
    suffixes = {file.suffix.lower() for file in folder.rglob("*")}
    return "text" if ".txt" in suffixes and not suffixes & IMAGE_SUFFIXES else "image"


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
    found = _found(layout)
    store = ImageFiles(tuple(file.path for _, file in found))
    return _of_layout(layout, origin, store, found, layout.skipped)


def _texts_of(layout: Layout, origin: str) -> Inventory:
    kept, texts, skipped = [], [], list(layout.skipped)
    for part, file in _found(layout):
        try:
            texts.append(read_text_file(file.path))
            kept.append((part, file))
        except ValueError as error:
            skipped.append(Skipped(file.path, str(error), stray="not a .txt file" in str(error)))
    paths = tuple(file.path for _, file in kept)
    store = Texts(tuple(texts), np.full(len(texts), -1, np.int64), origin, files=paths)
    return _of_layout(layout, origin, store, kept, skipped)


def _found(layout: Layout) -> list[tuple[str, Found]]:
    parts = {**layout.parts, POOL: layout.pool}
    return [(part, file) for part, files in parts.items() for file in files]


def _of_layout(
    layout: Layout, origin: str, store: Store, found: Sequence[tuple[str, Found]], skipped: Sequence[Skipped]
) -> Inventory:
    several = len(layout.parts) > 1
    return Inventory(
        origin=origin,
        store=store,
        ids=tuple(file.id for _, file in found),
        labels=tuple(file.class_name for _, file in found),
        parts=tuple(part if several or part == POOL else "" for part, _ in found),
        groups=("",) * len(found),
        class_names=tuple(sorted({name for names in layout.class_folders.values() for name in names})),
        skipped=tuple(skipped),
        notes=layout.notes,
    )


def _texts_of_table(table: Table, options: TableOptions, origin: str) -> Inventory:
    roles = choose_columns(table, options, "text")
    return _of_table(table, roles, options, origin, texts_of_table(table, roles.inputs), table.ids().tolist())


def _pictures_of_table(rows: PictureRows, options: TableOptions, origin: str) -> Inventory:
    inventory = _of_table(rows.table, rows.roles, options, origin, rows.store, rows.ids)
    faults = [(row, fault) for row, fault in enumerate(rows.faults) if fault]
    sound = inventory.without([bool(fault) for fault in rows.faults])
    skipped = [Skipped(rows.table.where(row), fault) for row, fault in faults]
    return replace(sound, skipped=(*sound.skipped, *skipped), notes=(*sound.notes, *rows.notes))


def _of_table(table: Table, roles: Roles, options: TableOptions, origin: str, store: Store, ids: Sequence[str]) -> Inventory:
    labels = tuple(table.column(roles.labels[0]))
    words = [PART_NAMES.get(cell.strip().casefold(), "") for cell in table.column(roles.split)] if roles.split else []
    lists = any(label.strip().startswith("[") for label in labels)
    one_class_each = len(roles.labels) == 1 and options.target in (None, "class") and not lists
    targets = None
    if not one_class_each:
        wanted = [word != POOL for word in words] or [True] * len(labels)
        targets = read_labels(table, roles.labels, wanted, target=options.target, separator=options.separator)
        one_class_each = isinstance(targets.targets, ClassTargets)
        labels = tuple(targets.targets.cells(targets.classes)) if len(roles.labels) > 1 else labels
    return Inventory(
        origin=origin,
        store=store,
        ids=tuple(ids),
        labels=labels,
        parts=tuple(words) or ("",) * len(labels),
        groups=tuple(cell.strip() for cell in table.column(roles.group)) if roles.group else ("",) * len(labels),
        class_names=tuple(sorted({label for label in labels if label.strip()})),
        skipped=table.skipped,
        notes=(*table.notes, *roles.notes),
        one_class_each=one_class_each,
        times=tuple(cell.strip() for cell in table.column(roles.time)) if roles.time else (),
        targets=None if one_class_each else targets,
    )
