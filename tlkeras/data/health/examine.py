"""Everything that is looked at without a network: files, pictures, texts, classes, copies, groups."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.checks import FileCheck, inspect_encoded, picture_columns
from tlkeras.data.contents import content_digests
from tlkeras.data.duplicates import normalise_text
from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Texts
from tlkeras.data.health.classes import examine_classes, examine_shortcuts
from tlkeras.data.health.finding import MANY, Finding, Offender
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.health.leaks import examine_copies, examine_groups
from tlkeras.data.health.pictures import examine_pictures, inspect_arrays
from tlkeras.data.health.targets import examine_targets
from tlkeras.data.health.texts import examine_texts
from tlkeras.data.health.times import examine_times
from tlkeras.data.targets import NoTargets
from tlkeras.data.units import near_copies

if TYPE_CHECKING:
    import tokenizers

FEW_EXAMPLES = 50
"""Of fewer examples than this, hardly anything can be learnt or measured."""


def examine(
    inventory: Inventory,
    *,
    tokenizer: "tokenizers.Tokenizer | None" = None,
    sequence_length: int = 128,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Finding], np.ndarray]:
    """Read every example once, in parallel, and find what is wrong.

    Args:
        inventory: What lies in the data.
        tokenizer: Texts: that of the source model; without it, nothing is said about tokens.
        sequence_length: Texts: the most tokens that the network reads.
        on_progress: Called with the number of pictures or texts read, and of all.

    Returns:
        The findings, and which rows can be used, bool, shape `(n,)`.
    """
    store = inventory.store
    findings = list(_left_out(inventory))
    checks: Sequence[FileCheck] = ()
    if isinstance(store, Texts):
        usable = np.array([bool(text.strip()) for text in store.texts], bool)
        findings += examine_texts(inventory, tokenizer=tokenizer, sequence_length=sequence_length, on_progress=on_progress)
    elif isinstance(store, (ImageFiles, EncodedImages, ImageArrays)):
        checks = inspect_arrays(store) if isinstance(store, ImageArrays) else inspect_encoded(store, on_progress=on_progress)
        usable = np.array([check.reason is None for check in checks], bool)
        findings += examine_pictures(inventory, checks)
        findings += examine_shortcuts(inventory, checks)
    else:
        raise TypeError(f"Pictures or texts are examined. Received: {type(store).__name__}")
    rows = np.flatnonzero(usable)
    findings += examine_classes(inventory, usable.tolist())
    findings += examine_targets(inventory, usable.tolist())
    findings += examine_times(inventory)
    findings += _copies(inventory, rows, checks)
    findings += examine_groups(inventory, rows.tolist())
    if 0 < len(rows) < FEW_EXAMPLES:
        advice = "Add examples; until then take the result as a trial of the tool."
        findings.append(Finding("few_examples", "warning", f"There are {len(rows)} usable examples in all", 0, advice))
    return findings, usable


def _left_out(inventory: Inventory) -> Iterator[Finding]:
    broken = [skipped for skipped in inventory.skipped if not skipped.stray]
    stray = [skipped for skipped in inventory.skipped if skipped.stray]
    if broken:
        yield Finding(
            "broken_rows",
            "error" if len(broken) > MANY * (len(inventory) + len(broken)) else "warning",
            "Rows or files that cannot be used",
            len(broken),
            "Put them right, or set them aside with the quarantine list.",
            # They have no identity among the examples: the list names them by their place.
            tuple(Offender(one.where, one.reason, id=one.where) for one in broken),
            quarantine=True,
        )
    if stray:
        yield Finding(
            "stray",
            "warning",
            "Files that belong to no class",
            len(stray),
            "Move them into a class folder if they are examples; nothing is trained on them where they are.",
            tuple(Offender(one.where, one.reason) for one in stray),
        )


def _copies(inventory: Inventory, rows: np.ndarray, checks: Sequence[FileCheck]) -> Iterator[Finding]:
    columns = picture_columns(checks) if checks else {}
    examples = Examples(np.array(inventory.ids), inventory.store, NoTargets(len(inventory)), columns).take(rows)
    digests = content_digests(examples)
    if isinstance(examples.store, Texts):  # case and punctuation make no other text
        digests = np.unique([normalise_text(text) for text in examples.store.texts], return_inverse=True)[1].reshape(-1)
    yield from examine_copies(inventory, rows, digests, near_copies([examples]))
