"""What a check needs a source model for: tokens, and label errors by its features."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tlkeras.data.examples import Examples
from tlkeras.data.health.finding import Finding
from tlkeras.data.health.inventory import Inventory
from tlkeras.data.targets import ClassTargets, natural_order
from tlkeras.errors import WeightsError
from tlkeras.evaluation.label_errors import find_label_errors

if TYPE_CHECKING:
    import tokenizers

    from tlkeras.sources.model import SourceModel

DEFAULT_SOURCES = {"image": "efficientnet_lite0", "text": "minilm_l6"}
"""Whose features are used, and whose tokens are counted: weights that come in a package."""

_log = logging.getLogger("tlkeras")


def label_error_findings(
    inventory: Inventory, usable: np.ndarray, source: "SourceModel", seed: int, on_progress: Callable[[int, int], None]
) -> list[Finding]:
    """Return the labels that are probably wrong, as a finding; nothing where there are none.

    Args:
        inventory: What was read.
        usable: Which rows can be used, bool, shape `(n,)`.
        source: Whose features the probe reads.
        seed: Seed of its folds.
        on_progress: Called with the examples whose features are done, and their number.
    """
    counts = Counter(label.strip() for label, good in zip(inventory.labels, usable, strict=True) if good)
    classes = natural_order(name for name, count in counts.items() if name and count >= 3)
    if not inventory.one_class_each or len(classes) < 2:
        _log.warning("Label errors are only looked for where each example has one class, and two classes have three examples.")
        return []
    rows = [row for row, good in enumerate(usable) if good and inventory.labels[row].strip() in classes]
    labels = np.array([classes.index(inventory.labels[row].strip()) for row in rows], np.int32)
    examples = Examples(np.array(inventory.ids)[rows], inventory.store.take(np.array(rows)), ClassTargets(labels))
    found = find_label_errors(examples, classes, source, seed=seed, on_progress=on_progress)
    if not len(found.rows):
        return []
    offenders = [
        inventory.offender(
            rows[row], f"labelled {classes[labels[row]]!r}, looks like {classes[suggested]!r} (its label: {confidence:.1%})"
        )
        for row, suggested, confidence in zip(found.rows, found.suggested, found.confidence, strict=True)
    ]
    return [
        Finding(
            "label_errors",
            "warning",
            "Labels that are probably wrong",
            len(offenders),
            "Look at them, the most suspicious first. Put wrong labels right, and delete the lines of right ones from the "
            "quarantine list.",
            tuple(offenders),
            quarantine=True,
            explanation=f"A probe on features of {source.name} that has not seen them says otherwise. It agrees with "
            f"{found.accuracy:.0%} of all labels; the lower this is, the less its suspicion means.",
        )
    ]


def load_source(name: str, modality: str, sequence_length: int) -> "SourceModel":
    """Load a source model by its name."""
    from tlkeras.sources.image import load_image_source
    from tlkeras.sources.text import load_text_source

    return load_text_source(name, sequence_length=sequence_length) if modality == "text" else load_image_source(name)


def load_tokenizer(name: str) -> "tokenizers.Tokenizer | None":
    """Return the tokenizer of a source whose files are installed, without its network; None for others."""
    from tlkeras.sources.packaged import MINILM_L6, weights_file
    from tlkeras.sources.tokenizer import tokenizer_from_file

    if name == DEFAULT_SOURCES["text"]:
        try:
            return tokenizer_from_file(weights_file(MINILM_L6, "tokenizer.json"))
        except WeightsError as error:
            _log.warning("Nothing is said about the length of texts in tokens: %s", error)
            return None
    return load_source(name, "text", 128).tokenizer
