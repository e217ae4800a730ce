"""`tlkeras check`: read everything once, say what is wrong and what to do; nothing is changed."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlkeras.data.columns import TableOptions
from tlkeras.data.examples import Examples
from tlkeras.data.health.examine import examine
from tlkeras.data.health.finding import Finding, worst_first
from tlkeras.data.health.inventory import Inventory, take_inventory
from tlkeras.data.quarantine import Quarantined, in_quarantine, read_quarantine
from tlkeras.data.split_files import parts_in_file
from tlkeras.data.targets import NoTargets, natural_order
from tlkeras.errors import DataError
from tlkeras.report.deep import DEFAULT_SOURCES, label_error_findings, load_source, load_tokenizer
from tlkeras.report.personal import personal_findings
from tlkeras.report.thumbnails import with_thumbnails

Progress = Callable[[str, int, int], None]

_log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class CheckReport:
    """What a check of data has found.

    Attributes:
        origin: The data, as it was named.
        modality: `"image"` or `"text"`; empty where nothing could be read.
        examples: How many there are, those that cannot be used included.
        usable: How many can be used.
        classes: The usable examples of each class in each part; the part is `all` where the data has none.
        findings: What was found, errors first.
        notes: What was decided on the way, in words.
        seconds: How long it took.
        deep: Whether label errors were looked for.
        quarantine: What had been set aside before and was not looked at.
        scrubbed: Text, label and part of every example without personal data, where there was any.
    """

    origin: str
    modality: str
    examples: int
    usable: int
    classes: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    seconds: float
    deep: bool
    quarantine: tuple[Quarantined, ...] = ()
    scrubbed: tuple[tuple[str, str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no error was found."""
        return not self.count("error")

    @property
    def verdict(self) -> str:
        """What it comes to, in one sentence."""
        errors, warnings = self.count("error"), self.count("warning")
        if errors:
            return f"Not ready to train on: {_number(errors, 'error')} to mend or set aside, {_number(warnings, 'warning')}."
        if warnings:
            return f"Can be trained on; {_number(warnings, 'warning')} to look at first."
        return "Nothing wrong was found."

    def count(self, severity: str) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check_data(
    data: str | Path,
    *,
    modality: str | None = None,
    options: TableOptions | None = None,
    splits: str | Path | None = None,
    quarantine: str | Path | None = None,
    source: str | None = None,
    sequence_length: int = 128,
    deep: bool = False,
    personal: bool = False,
    region: str | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> CheckReport:
    """Read a data set once and say what is wrong with it, where, and what to do; nothing is changed.

    Args:
        data: What `--data` of a recipe takes: a folder, a table, `"sample"` …
        modality: `"image"` or `"text"`; found out if not given.
        options: Texts and pictures in tables: which columns hold what.
        splits: A `splits.csv` to be checked with the data.
        quarantine: A list of examples to leave out, as `quarantine.csv` of an earlier check.
        source: The source model whose tokens are counted and, if `deep`, whose features are used.
        sequence_length: Texts: the most tokens that the network will read.
        deep: Also look for label errors, with a probe on frozen features: takes a network, and some time.
        personal: Also look for personal data in texts; see `tlkeras.data.personal`.
        region: Two letters of a country whose phone numbers may stand without `+` and country code.
        seed: Seed of the probe's folds.
        on_progress: Called with what is being done, how much of it is done, and of how much.

    Raises:
        ValueError: There is no such file or folder.
        DataError: `splits` or `quarantine` cannot be used.
        TlkerasError: `deep` is asked for and its package or weights are missing.

    Example:
        report = tl.check_data("photos/")
        print(report.verdict, *(finding.headline for finding in report.findings))
    """
    started = time.monotonic()
    try:
        inventory = take_inventory(str(data), modality=modality, options=options)
    except DataError as error:
        if "does not exist" in str(error):  # a slip in the command, which says nothing about any data
            raise ValueError(str(error)) from None
        finding = Finding("unreadable_data", "error", "The data cannot be read", 0, str(error))
        return CheckReport(str(data), "", 0, 0, {}, (finding,), (), time.monotonic() - started, False)
    aside = read_quarantine(quarantine) if quarantine else ()
    if aside:
        out = in_quarantine(inventory.ids, aside)
        inventory = inventory.without(out.tolist())
        _log.info("%d examples are in quarantine and left out", out.sum())
    if splits:
        examples = Examples(np.array(inventory.ids), inventory.store, NoTargets(len(inventory)))
        inventory = replace(inventory, parts=tuple(parts_in_file(splits, examples)))
    findings, usable = _examine(inventory, source, sequence_length, deep, seed, on_progress)
    about_people, scrubbed = personal_findings(inventory, region=region) if personal else ([], ())
    findings += about_people
    return CheckReport(
        origin=str(data),
        modality=inventory.modality,
        examples=len(inventory) - sum(finding.count for finding in findings if finding.key == "not_pictures"),
        usable=int(usable.sum()),
        classes=_class_table(inventory, usable),
        findings=with_thumbnails(worst_first(findings), inventory.store),
        notes=inventory.notes,
        seconds=time.monotonic() - started,
        deep=deep,
        quarantine=aside,
        scrubbed=scrubbed,
    )


def _examine(
    inventory: Inventory, source: str | None, sequence_length: int, deep: bool, seed: int, on_progress: Progress | None
) -> tuple[list[Finding], np.ndarray]:
    def reading(done: int, total: int) -> None:
        if on_progress:
            on_progress("Reading", done, total)

    def features(done: int, total: int) -> None:
        if on_progress:
            on_progress("Computing features", done, total)

    name = source or DEFAULT_SOURCES[inventory.modality]
    loaded = load_source(name, inventory.modality, sequence_length) if deep else None
    tokenizer = None
    if inventory.modality == "text":
        tokenizer = loaded.tokenizer if loaded else load_tokenizer(name)
    findings, usable = examine(inventory, tokenizer=tokenizer, sequence_length=sequence_length, on_progress=reading)
    if loaded:
        findings += label_error_findings(inventory, usable, loaded, seed, features)
    return findings, usable


def _class_table(inventory: Inventory, usable: np.ndarray) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    read = inventory.targets
    if read is not None:
        for labels, part, good in zip(getattr(read.targets, "labels", ()), inventory.parts, usable.tolist(), strict=False):
            for place in np.flatnonzero(labels).tolist() if good else ():
                counts[read.classes[place]][part or "all"] += 1
        return {name: dict(counts[name]) for name in read.classes}
    if not inventory.one_class_each:
        return {}
    for label, part, good in zip(inventory.labels, inventory.parts, usable.tolist(), strict=True):
        if good and label.strip():
            counts[label.strip()][part or "all"] += 1
    return {name: dict(counts[name]) for name in natural_order(counts)}


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}" if count else f"no {noun}s"
