"""Personal data in the texts of a check: which rows, and the same texts without it."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tlkeras.data.examples import Texts
from tlkeras.data.health.finding import Finding
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.personal import find_personal, scrub
from tlkeras.files import safe_cell, write_file

SCRUBBED = "scrubbed.csv"
Row = tuple[str, str, str]


def personal_findings(inventory: Inventory, *, region: str | None = None) -> tuple[list[Finding], tuple[Row, ...]]:
    """Return the texts that hold personal data as a finding, and every text without it, with its label and part.

    Args:
        inventory: What was read; nothing is found in pictures.
        region: See `find_personal`.
    """
    store = inventory.store
    if not isinstance(store, Texts):
        return [], ()
    offenders, kinds = [], Counter[str]()
    for row, text in enumerate(store.texts):
        found = Counter(one.kind for one in find_personal(text, region=region))
        if found:
            kinds.update(found)
            offenders.append(inventory.offender(row, ", ".join(f"{count} x {kind}" for kind, count in sorted(found.items()))))
    if not offenders:
        return [], ()
    texts = (scrub(text, region=region) for text in store.texts)
    rows = tuple(zip(texts, inventory.labels, (part or "" for part in inventory.parts), strict=True))
    finding = Finding(
        "personal_data",
        "warning",
        "Texts that hold personal data",
        len(offenders),
        f"Train on {SCRUBBED} beside this report, in which each piece is replaced by its kind, as in <EMAIL>; or remove them.",
        tuple(offenders),
        explanation="A model can give away what it was trained on. Found: "
        + ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
        + ". Names and addresses are not looked for.",
    )
    return [finding], rows


def write_scrubbed(rows: Sequence[Row], path: Path) -> None:
    """Write the columns `text`, `label` and, where the data is divided, `split`."""
    divided = any(part for _, _, part in rows)

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["text", "label", *(["split"] if divided else [])])
            for text, label, part in rows:
                writer.writerow([safe_cell(text), safe_cell(label), *([part] if divided else [])])

    write_file(path, write)
