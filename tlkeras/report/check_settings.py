"""The flags of `tlkeras check`; apart from the rest, because every help text needs them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class CheckSettings:
    """Everything that can be set; each field is a flag of `tlkeras check`."""

    kind: Literal["pictures", "texts"] | None = None
    """Whether the data holds pictures or texts; found out if not given."""
    output: Path | None = None
    """Folder for the report; `saved_models/check/<name of the data>` if not given."""
    deep: bool = False
    """Also look for label errors, by a probe on the features of a source model."""
    personal: bool = False
    """Also look for personal data in texts (mail, phone, card, account, IP) and write them scrubbed; extra `privacy`."""
    region: str | None = None
    """With --personal: country, as in US, whose phone numbers may stand without + and country code."""
    source: str | None = None
    """Source model for the features and the tokens; one whose weights come in a package if not given."""
    sequence_length: int = 128
    """Longest text in tokens; what is longer would be cut."""
    splits: Path | None = None
    """A splits.csv, to be checked with the data."""
    quarantine: Path | None = None
    """A quarantine.csv of an earlier check; what it lists is left out."""
    image_column: str | None = None
    """Column of a table that holds the pictures; guessed if not given."""
    text_column: str | None = None
    """Column of a table that holds the texts; guessed if not given."""
    label_column: str | None = None
    """Column that holds the labels; guessed if not given."""
    split_column: str | None = None
    """Column that says train, val or test; guessed if not given."""
    group_column: str | None = None
    """Column whose equal values belong together."""
    time_column: str | None = None
    """Column by which a split would put the newest last."""
    target: Literal["class", "labels", "value"] | None = None
    """What is to be predicted; one class, or several labels where cells hold lists, if not given."""
    label_separator: str | None = None
    """What separates several labels in a cell; found if not given."""
    encoding: str | None = None
    """Encoding of a table; UTF-8 if not given."""
