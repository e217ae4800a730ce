"""Personal data in texts that a pattern or a check digit gives away: found and replaced, with phonenumbers and python-stdnum.

Names, addresses and whatever else needs understanding are not found: that takes a language model, and still misses some.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tlkeras.errors import TlkerasError

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"\b\d(?:[ -]?\d){11,18}\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}\b")
_SSN = re.compile(r"\b\d{3}-\d{2}-\d{4}\b")
_IP = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")


@dataclass(frozen=True)
class Personal:
    """A piece of personal data: `text[start:stop]`; the kind is `EMAIL`, `PHONE`, `CARD`, `IBAN`, `SSN` or `IP`."""

    kind: str
    start: int
    stop: int


def find_personal(text: str, *, region: str | None = None) -> list[Personal]:
    """Return what is found in a text, in its order, no two overlapping.

    Args:
        text: The text.
        region: Two letters of a country whose phone numbers may stand without `+` and country code.

    Raises:
        TlkerasError: The extra `privacy` is not installed.
    """
    found: list[Personal] = []
    for one in _candidates(text, region):
        if not any(one.start < other.stop and other.start < one.stop for other in found):
            found.append(one)
    return sorted(found, key=lambda one: one.start)


def scrub(text: str, *, region: str | None = None) -> str:
    """Return a text with each piece of personal data replaced by its kind, as in `<EMAIL>`; see `find_personal`."""
    pieces, last = [], 0
    for one in find_personal(text, region=region):
        pieces += [text[last : one.start], f"<{one.kind}>"]
        last = one.stop
    return "".join([*pieces, text[last:]])


def _candidates(text: str, region: str | None) -> Iterator[Personal]:
    """Kinds that are proven by a check digit come before those that only look so."""
    try:
        import phonenumbers
        from stdnum import iban, luhn
        from stdnum.us import ssn
    except ImportError:
        raise TlkerasError("Finding personal data needs more packages. Install them: pip install 'tlkeras[privacy]'") from None
    patterns: list[tuple[str, re.Pattern[str], Callable[[str], bool]]] = [
        ("EMAIL", _EMAIL, lambda _: True),
        ("IBAN", _IBAN, iban.is_valid),
        ("CARD", _NUMBER, lambda number: luhn.is_valid(re.sub(r"[ -]", "", number))),
        ("SSN", _SSN, ssn.is_valid),
        ("IP", _IP, _is_address),
    ]
    for kind, pattern, proven in patterns:
        yield from (Personal(kind, *match.span()) for match in pattern.finditer(text) if proven(match.group()))
    for match in phonenumbers.PhoneNumberMatcher(text, region):
        yield Personal("PHONE", match.start, match.end)


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # `3::4` is an address to the letter, and hardly ever one in a text.
    written_out = "." in text or any(len(part) >= 3 for part in text.split(":"))
    return written_out and not (address.is_loopback or address.is_unspecified)
