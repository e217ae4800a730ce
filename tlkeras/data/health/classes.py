"""Findings about classes and labels: missing, tiny, alike, uneven, or told apart by something that is not in the picture."""

import difflib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tlkeras.data.checks import FileCheck
from tlkeras.data.health.finding import Finding, Offender, listed
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.table_splits import POOL

FEWEST = 3
"""A class needs an example for each part of a split."""

FEW = 20
"""Of a class with fewer examples, a test on 15 % says next to nothing."""

UNEVEN, VERY_UNEVEN = 5, 50
_MOST_COMPARED = 400
_SHORTCUT = 0.2


def examine_classes(inventory: Inventory, usable: Sequence[bool]) -> Iterator[Finding]:
    """Yield what is wrong with the classes of an inventory.

    Args:
        inventory: The rows.
        usable: Which of them can be read.
    """
    rows = [row for row in range(len(inventory)) if usable[row]]
    labels = [inventory.labels[row].strip() for row in rows]
    yield from _unlabelled(inventory)
    if not inventory.one_class_each:
        return
    counts = dict.fromkeys(map(str.strip, inventory.class_names), 0) | Counter(label for label in labels if label)
    yield from _number_of_classes(counts)
    yield from _alike(inventory)
    yield from _small_classes(counts)
    yield from _uneven(counts)
    yield from _different_parts(inventory, rows)


def examine_shortcuts(inventory: Inventory, checks: Sequence[FileCheck]) -> Iterator[Finding]:
    """Yield what tells the classes of pictures apart without looking at them: format, size, or colour against grey."""
    rows = [row for row, check in enumerate(checks) if check.header and check.reason is None and inventory.labels[row]]
    labels = [inventory.labels[row] for row in rows]
    if not inventory.one_class_each or len(set(labels)) < 2 or len(labels) < 2 * FEW:
        return
    chance = max(Counter(labels).values()) / len(labels)
    properties = {
        "file format": [getattr(checks[row].header, "kind", "") for row in rows],
        "size": [f"{getattr(checks[row].header, 'width', 0)} x {getattr(checks[row].header, 'height', 0)}" for row in rows],
        "colour mode": [getattr(checks[row].header, "mode", "") for row in rows],
    }
    for name, values in properties.items():
        best: dict[str, Counter[str]] = defaultdict(Counter)
        for value, label in zip(values, labels, strict=True):
            best[value][label] += 1
        hits = sum(max(counter.values()) for counter in best.values()) / len(labels)
        if len(best) <= max(4, len(labels) // 20) and hits - chance >= _SHORTCUT:
            yield Finding(
                key="shortcut",
                severity="warning",
                title=f"The {name} alone tells {hits:.0%} of the labels",
                count=0,
                remedy="Save all pictures in one format, size and colour mode, or mix the sources of each class.",
                offenders=tuple(
                    Offender(value, ", ".join(f"{label} {count}" for label, count in counter.most_common(3)))
                    for value, counter in sorted(best.items(), key=lambda item: -sum(item[1].values()))[:10]
                ),
                explanation=f"Guessing the largest class is right for {chance:.0%}. A network may learn this instead of what "
                "the pictures show, and fail on others.",
            )


def _unlabelled(inventory: Inventory) -> Iterator[Finding]:
    empty = [row for row, label in enumerate(inventory.labels) if not label.strip() and inventory.parts[row] != POOL]
    padded = [row for row, label in enumerate(inventory.labels) if label.strip() and label != label.strip()]
    if empty:
        yield Finding(
            "no_label",
            "warning",
            "Rows without a label",
            len(empty),
            "Fill the label in, or leave it: these rows are not used.",
            tuple(inventory.offender(row) for row in empty),
        )
    if padded:
        yield Finding(
            "padded_labels",
            "note",
            "Labels with blanks around them",
            len(padded),
            "Nothing needs to be done here: they are stripped. Other tools would see classes of their own.",
            tuple(inventory.offender(row, repr(inventory.labels[row])) for row in padded),
        )


def _number_of_classes(counts: Mapping[str, int]) -> Iterator[Finding]:
    empty = [name for name, count in counts.items() if not count]
    filled = len(counts) - len(empty)
    if empty:
        yield Finding(
            "empty_classes",
            "error",
            "Classes without a readable example",
            len(empty),
            "Add examples, or remove these folders.",
            tuple(Offender(name) for name in empty),
        )
    if filled < 2:
        yield Finding(
            "one_class",
            "error",
            "Fewer than two classes have examples",
            0,
            "Classification needs at least two. Add examples of another class; if there is only one kind of thing to be "
            "recognised, add a class of everything else.",
            tuple(Offender(name, examples_in_words(count)) for name, count in counts.items() if count),
        )


def _alike(inventory: Inventory) -> Iterator[Finding]:
    names = sorted({name for name in (*inventory.class_names, *inventory.labels) if name.strip()})
    forms = defaultdict(list)
    for name in {name.strip() for name in names}:
        folded = unicodedata.normalize("NFKC", name).casefold()
        forms["".join(letter for letter in folded if letter.isalnum())].append(name)
    twins = [sorted(group) for group in forms.values() if len(group) > 1]
    if twins:
        yield Finding(
            "twin_classes",
            "error",
            "Class names that differ in case, blanks, punctuation or Unicode form only",
            len(twins),
            "Give each class one name.",
            tuple(Offender(" / ".join(ascii(name) if not name.isascii() else name for name in group)) for group in twins),
        )
    near = _similar(sorted(max(group, key=len) for group in forms.values()))
    if near:
        yield Finding(
            "similar_classes",
            "warning",
            "Class names that are spelt almost alike",
            len(near),
            "If a pair is one class misspelt, give it one name.",
            tuple(Offender(f"{one} / {other}") for one, other in near),
        )


def _similar(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of long names that differ in a letter or two, digits aside."""
    if len(names) > _MOST_COMPARED:
        return []
    long = [name for name in names if len(name) >= 5]
    return [
        (one, other)
        for place, one in enumerate(long)
        for other in long[place + 1 :]
        if abs(len(one) - len(other)) <= 2
        and [c for c in one if c.isdigit()] == [c for c in other if c.isdigit()]
        and difflib.SequenceMatcher(None, one.casefold(), other.casefold()).ratio() > 0.85
    ]


def _small_classes(counts: Mapping[str, int]) -> Iterator[Finding]:
    filled = {name: count for name, count in counts.items() if count}
    if len(filled) < 2:
        return
    for key, severity, low, high, remedy in (
        ("too_small_classes", "error", 1, FEWEST, "Add examples, merge them with other classes, or remove them."),
        ("small_classes", "warning", FEWEST, FEW, "Add examples where you can; expect wide intervals in the result."),
    ):
        few = sorted((count, name) for name, count in filled.items() if low <= count < high)
        if few:
            yield Finding(
                key,
                severity,  # type: ignore[arg-type]
                f"Classes with fewer than {high} examples",
                len(few),
                remedy,
                tuple(Offender(name, examples_in_words(count)) for count, name in few),
                explanation="An example is needed in each of train, val and test." if severity == "error" else "",
            )


def _uneven(counts: Mapping[str, int]) -> Iterator[Finding]:
    filled = sorted(((count, name) for name, count in counts.items() if count), reverse=True)
    if len(filled) < 2 or filled[0][0] < UNEVEN * filled[-1][0]:
        return
    ratio = filled[0][0] / filled[-1][0]
    yield Finding(
        "uneven_classes",
        "warning" if ratio >= VERY_UNEVEN else "note",
        f"The largest class is {ratio:.0f} times the smallest",
        0,
        "Look at balanced accuracy and at each class rather than at accuracy; class weights or more examples of the small "
        "classes help.",
        # The smallest comes right after the largest: a terminal shows only the first ones.
        tuple(Offender(name, examples_in_words(count)) for count, name in (filled[0], *filled[:0:-1][:3], *filled[1:-3][:2])),
        explanation=f"Always guessing {filled[0][1]!r} would be right for {filled[0][0] / sum(c for c, _ in filled):.0%}.",
    )


def _different_parts(inventory: Inventory, rows: Sequence[int]) -> Iterator[Finding]:
    if not inventory.has_parts:
        return
    held = defaultdict(set)
    for row in rows:
        if inventory.labels[row].strip():
            held[inventory.parts[row]].add(inventory.labels[row].strip())
    held.pop("", None)
    everywhere = set().union(*held.values())
    missing = [(part, name) for part, names in sorted(held.items()) for name in sorted(everywhere - names)]
    if missing:
        yield Finding(
            "different_classes",
            "error",
            "Classes that are missing in a part",
            len(missing),
            "Add examples of them to that part, or remove them from the others.",
            tuple(
                Offender(name, f"not in {part}" + (": unseen when it is tested" if part == "train" else ""))
                for part, name in missing
            ),
            explanation=f"The parts hold {', '.join(f'{part}: {len(names)}' for part, names in sorted(held.items()))} classes; "
            f"missing are {listed([name for _, name in missing])}.",
        )


def examples_in_words(count: int) -> str:
    """Return `1 example`, `2 examples` and so on."""
    return f"{count:,} example{'' if count == 1 else 's'}"
