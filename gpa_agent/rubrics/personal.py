"""Personal data in a text that is about to be shown or served.

Guidance speaks to a group, so whatever points at one person has no place in it. What points at a
person directly has a shape: an address, a number with a checksum, a date of birth. Our own
patterns look for these always. Where the extra ``privacy`` is installed, Presidio's pattern
recognisers look too: national numbers of some countries, phone numbers as each country writes
them. Only those that are patterns are used: no language model is loaded and nothing is fetched
(Presidio's own e-mail and web address recognisers would download a list of suffixes, so ours
serve instead). Names of people have no shape; see `naming`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MIN_PRESIDIO: Final = (2, 2)
_RECOGNISERS: Final = (
    "CreditCardRecognizer",
    "CryptoRecognizer",
    "IbanRecognizer",
    "IpRecognizer",
    "PhoneRecognizer",
    "UsSsnRecognizer",
)
"""Presidio's recognisers that need neither a language model nor the network. Its dates are left
out: guidance may say how to write a date."""
_LONG_DIGITS: Final = re.compile(r"\d(?:[ -]?\d){12,18}")
_IBAN: Final = re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}\b")
_STREET: Final = (
    r"street|st\.|road|rd\.|avenue|ave\.|lane|drive|boulevard|blvd\.?|square|court|terrace|"
    r"stra(?:ss|ß)e|str\.|platz|allee|rue|via|calle|plaza"
)


class _Shape(NamedTuple):
    what: str
    pattern: re.Pattern[str]


def _shape(what: str, pattern: str) -> _Shape:
    return _Shape(what, re.compile(pattern, re.IGNORECASE))


_SHAPES: Final = (
    _shape("an e-mail address", r"[\w.+-]+\s?(?:@|\(at\)|\[at\])\s?[\w-]+\.\w"),
    _shape(
        "an e-mail address",
        r"\b[\w.+-]+ at [\w-]+(?: dot |\.)\w+\b(?= *(?:$|for|with|[.,;]))",
    ),
    _shape(
        "a phone number",
        r"\+\d(?:[ ().-]{0,2}\d){6}|\b\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b|"
        r"\b0\d{2,4}[ /-]\d{3}[ -]?\d{3,5}\b",
    ),
    _shape("a network address", r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    _shape("a network address", r"\b(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b"),
    _shape("a social security number", r"\b\d{3}-\d{2}-\d{4}\b"),
    _shape("a postal address", rf"\b\d{{1,5}}[a-z]? (?:[\w'-]+ ){{1,3}}(?:{_STREET})(?!\w)"),
    _shape("a postal address", rf"\b[\w-]*(?:{_STREET}) ?(?:\w+ ){{0,2}}\d{{1,4}}[a-z]?\b,"),
    _shape(
        "a postal address",
        r"\b[\w-]+(?:strasse|straße) \d{1,4}|\bp\.? ?o\.? box \d|"
        r"\b[a-z]{1,2}\d{1,2}[a-z]? \d[a-z]{2}\b",
    ),
    _shape(
        "a date of birth",
        r"\b(?:born|birthday|birth ?date|date of birth|d\.?o\.?b\.?)\b[^.]{0,20}\d|"
        r"\baged? \d{1,3}\b",
    ),
)


def personal_data(text: str) -> str | None:
    """What in a text points at one person.

    Args:
        text: As it would be shown or served.

    Returns:
        What it is, never the data itself; None where nothing was found.

    Example:
        >>> personal_data("Write to ann@example.com.")
        'an e-mail address'
        >>> personal_data("Use at most 3 steps of 10 to 15 words.")
    """
    if any(_luhn(m[0]) for m in _LONG_DIGITS.finditer(text)):
        return "a card number"
    if any(_mod_97(m[0]) for m in _IBAN.finditer(text)):
        return "an account number"
    shape = next((s for s in _SHAPES if s.pattern.search(text)), None)
    if shape is not None:
        return shape.what
    return next((found for look in _presidio() if (found := look(text))), None)


def checked_with() -> str:
    """How texts are checked, as a sentence for a report."""
    if _presidio():
        return "Texts from the model were checked for personal data by patterns and by Presidio."
    return (
        "Texts from the model were checked for personal data by patterns only; "
        "pip install 'gpa-agent[privacy]' adds Presidio's recognisers."
    )


def _luhn(number: str) -> bool:
    """Whether digits carry the checksum of a payment card (ISO/IEC 7812-1)."""
    digits = [int(c) for c in number if c.isdigit()]
    doubled = [d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0 and any(digits)


def _mod_97(account: str) -> bool:
    """Whether letters and digits carry the checksum of an IBAN (ISO 13616)."""
    packed = account.replace(" ", "").upper()
    return any(_is_iban(packed[:end]) for end in range(15, min(len(packed), 34) + 1))


def _is_iban(packed: str) -> bool:
    turned = packed[4:] + packed[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


@cache
def _presidio() -> Sequence[Callable[[str], str | None]]:
    """One function for each of Presidio's recognisers; none where it is not installed."""
    try:
        installed = tuple(int(part) for part in version("presidio-analyzer").split(".")[:2])
    except PackageNotFoundError:
        return ()
    if installed < _MIN_PRESIDIO:
        return ()
    recognisers = import_module("presidio_analyzer.predefined_recognizers")
    return [_looking(getattr(recognisers, name)()) for name in _RECOGNISERS]


def _looking(recogniser: Any) -> Callable[[str], str | None]:  # noqa: ANN401 -- of an extra
    entities: list[str] = recogniser.supported_entities

    def look(text: str) -> str | None:
        hits = recogniser.analyze(text, entities, None)
        return f"a {entities[0].replace('_', ' ').lower()}" if hits else None

    return look
