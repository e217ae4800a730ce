"""The examples of a run that a report shows: pictures as addresses, tokens with how much each spoke for the answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlkeras.report.numbers import number
from tlkeras.report.page import picture_address
from tlkeras.report.run_record import RunRecord

KINDS = {
    "confident_mistake": ("Confident mistakes", "Wrong, and sure of it. Look for wrong labels first, then for what misled it."),
    "confused_pair": ("Classes it mixes up", "Examples of the pairs of classes that are taken for one another most often."),
    "unsure_hit": ("Lucky hits", "Right, but barely: what it finds hard."),
}
SHOWN = 12
"""Examples of a kind that a page shows; all are in `gallery.json`."""
STEPS = 4
"""Shades of an attribution."""
LONGEST = 600
"""Characters of a text that are shown."""
MARKS = frozenset(("[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>"))
"""Tokens that stand for no piece of the text."""
CLOSING, OPENING = frozenset(".,;:!?)]}'’%"), frozenset("([{'’$")
"""What no space stands before, and after."""


def gallery(run: RunRecord) -> list[dict[str, Any]]:
    """Return the kinds that there are, each with its heading, an explanation and its examples."""
    groups = []
    for kind, (heading, about) in KINDS.items():
        items = [one for one in run.gallery if one.get("kind") == kind]
        if items:
            shown = [_item(run, one) for one in items[:SHOWN]]
            groups.append({"heading": heading, "about": about, "items": shown, "more": len(items) - len(shown)})
    return groups


def _item(run: RunRecord, one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "where": one.get("where") or one.get("id", ""),
        "address": _address(str(one.get("where") or "")),
        "target": one.get("target", ""),
        "predicted": one.get("predicted", ""),
        "probability": number(one.get("probability"), share=True),
        "picture": picture_address(run.path, str(one.get("image") or "")),
        "explanation": picture_address(run.path, str(one.get("explanation") or "")),
        "text": str(one.get("text") or "")[:LONGEST],
        "tokens": joined(shades(one.get("tokens") or ())),
        "neighbours": [
            {
                "target": near.get("target", ""),
                "where": near.get("id", ""),
                "similarity": number(near.get("similarity")),
                "picture": picture_address(run.path, str(near.get("image") or "")),
                "text": str(near.get("text") or "")[:160],
            }
            for near in (one.get("neighbours") or ())[:5]
        ],
    }


def _address(where: str) -> str:
    """Return the address of the file that an example came from, which opens on the machine that has it; empty without one."""
    path = Path(where.rpartition(", row ")[0] or where)
    return path.resolve().as_uri() if where and path.is_file() else ""


def shades(tokens: Sequence[Sequence[Any]]) -> list[tuple[str, int]]:
    """Return tokens with a shade from -4 (spoke against the answer) to 4 (for it), by the strongest of them."""
    strongest = max((abs(float(value)) for _, value in tokens), default=0.0)
    if not strongest:
        return [(str(token), 0) for token, _ in tokens]
    return [(str(token), round(STEPS * float(value) / strongest)) for token, value in tokens]


def joined(tokens: Sequence[tuple[str, int]]) -> list[tuple[str, int, bool]]:
    """Return tokens as they are read: pieces of words without their signs, and whether a space stands before each.

    WordPiece marks what goes on a word (`##ing`), SentencePiece what begins one (`▁go`); marks of the ends are left out.
    """
    kept = [(token, shade) for token, shade in tokens if token not in MARKS]
    begins = any(token.startswith("▁") for token, _ in kept)
    found: list[tuple[str, int, bool]] = []
    before = ""
    for token, shade in kept:
        goes_on = token.startswith("##") or token[:1] in CLOSING or before in OPENING
        space = bool(found) and (token.startswith("▁") if begins else not goes_on)
        found.append((token.removeprefix("▁").removeprefix("##"), shade, space))
        before = token
    return found
