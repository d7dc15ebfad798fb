"""Whether a text names somebody, told from capitals alone.

Names have no shape of their own and no list of them is complete, so this asks the reverse: which
words of English prose on answers have a capital letter? Those that begin a sentence, and a
few languages, units and tools. Any other is taken for a name; so is what begins a sentence where
it wants, says or owns something and is no word that people are spoken of by.

Headings In Title Case capitalise every word. There a name shows as two words side by side, or
one after "for" or "by", that are neither in ``naming.toml`` and the trait catalogue nor built
like an English noun or adjective.

What this cannot see is a name in small letters, one that stands alone at the beginning of a text,
and in title case a lone name after a noun ("Greeting Anna"). `tests/rubrics/test_naming.py` has
the figures.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from gpa_agent.rubrics.grammar import VERBS
from gpa_agent.rubrics.traits import catalogue

_UPPER: Final = "".join(c for c in map(chr, range(0x530)) if c.isupper())
"""Capital letters of Latin, Greek and Cyrillic; the Armenian ones follow."""
_LOWER: Final = "".join(c for c in map(chr, range(0x530)) if c.islower())
_CAPITALISED: Final = rf"[{_UPPER}](?:['\u2019][{_UPPER}])?[{_LOWER}]+[{_UPPER}{_LOWER}]*\b"
_INSIDE: Final = re.compile(
    rf"(?<![.!?:] )(?<=[\w,;(/'\"\u2019\u201d-] ){_CAPITALISED}|\b[{_UPPER}]{{6,}}\b"
)
"""A word with a capital letter that does not begin a sentence, or a long word of capitals."""
_QUOTED: Final = re.compile(rf"(?<=\w [\"'(\u2018\u201c]){_CAPITALISED}")
"""One that begins what is quoted or put in brackets within a sentence."""
_TITLED: Final = re.compile(
    rf"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Madam|Herr|Frau|Monsieur|Madame|Se[n\u00f1]ora?)\.? "
    rf"[{_UPPER}]"
)
_SAID: Final = re.compile(r"\b(?:my name|call me|known as [A-Z])\b", re.IGNORECASE)
_SUBJECT: Final = re.compile(
    rf"(?:^|[.!?:] )(?P<who>{_CAPITALISED})(?: and {_CAPITALISED} [a-z]+|"
    r" (?:(?:want|prefer|ask|like|need|expect|complain|dislike|thank|request|enjoy|mention|demand|"
    r"report|repeat|insist|object|call|add|explain)(?:s|ed)|(?:prais|hat|lov|describ|wish|not)(?:es|ed)|"
    r"says|said|wrote|writes|felt|feels|thought|thinks|found|finds))\b"
)
"""Who wants something, at the beginning of a sentence."""
_OWNER: Final = re.compile(rf"(?P<who>{_CAPITALISED})['\u2019]s\b")
"""Whose something is, at the beginning of a text."""
_WORD: Final = re.compile(r"[^\W\d_][\w'\u2019]*")
_SMALL: Final = frozenset(
    """
    a about across after an and as at before between by during for from in into like nor of on or
    over per than the to toward towards under upon versus via vs while with within without
    """.split()  # noqa: SIM905 -- as above
)
"""Words that a heading in title case may leave small."""
_TO_PEOPLE: Final = frozenset({"as", "by", "for", "from", "like", "to", "with"})
"""Those after which a single name may stand."""
_BUILT: Final = re.compile(
    r".{3,}(?:ings?|ions?|ity|ities|ness|ments?|ances?|ences?|ency|ancy|ical|ics|ives?|ous|able|"
    r"ible|ful|less|ships?|isms?|ural|onal|ary|ory|ized|ised|ated|wise|ists?|ically|tually|ately)"
)
"""Ends as English nouns and adjectives do, and few names."""
_ASKERS: Final = re.compile(r".{3,}(?:ers|ors|ants|ents|ees|ians|ists|ices)")
"""Ends as those do who ask, in the plural."""


def names_somebody(text: str, *, heading: bool = False) -> bool:
    """Whether a text holds what looks like the name of a person or a product.

    Args:
        text: English, as it would be shown or served, on one line.
        heading: Whether it may be in title case.

    Example:
        >>> names_somebody("Memory aids, greeting with Anna Kowalska")
        True
        >>> names_somebody("Amount of detail in Python examples")
        False
        >>> headings = ("Memory Aids for Anna", "Level of Detail")
        >>> [names_somebody(text, heading=True) for text in headings]
        [True, False]
    """
    if _TITLED.search(text) or _SAID.search(text) or _begins_with_somebody(text):
        return True
    if any(not _ordinary(found[0]) for found in _QUOTED.finditer(text)):
        return True
    if heading and _is_title(text):
        return _named_in_title(text)
    return bool(set(_INSIDE.findall(text)) - _words().known)


def _begins_with_somebody(text: str) -> bool:
    subjects = [found["who"] for found in _SUBJECT.finditer(text)]
    if (owner := _OWNER.match(text)) is not None:
        subjects.append(owner["who"])
    return any(not (_ordinary(w) or _ASKERS.fullmatch(w.casefold())) for w in subjects)


def _is_title(text: str) -> bool:
    """Whether every word but small ones has a capital letter, and there is more than one."""
    words = [w for w in _WORD.findall(text) if w.casefold() not in _SMALL]
    return len(words) > 1 and all(w[0].isupper() for w in words)


def _named_in_title(text: str) -> bool:
    words = _WORD.findall(text)
    strange = [not _ordinary(word) for word in words]
    return any(
        strange[k] and (strange[k - 1] or words[k - 1].casefold() in _TO_PEOPLE)
        for k in range(1, len(words))
    )


def _ordinary(word: str) -> bool:
    """Whether a word with a capital letter is likely no name."""
    lists, plain = _words(), word.casefold().removesuffix("'s").removesuffix("\u2019s")
    if word in lists.known or plain in lists.given:
        return word in lists.known
    stems = {plain}
    if len(plain) > 4:
        stems |= {plain.removesuffix("s"), plain.removesuffix("es")}
    return not stems.isdisjoint(lists.ordinary) or _BUILT.fullmatch(plain) is not None


class _Words(NamedTuple):
    """The lists of ``naming.toml``.

    Attributes:
        known: With a capital letter, and no names of people.
        ordinary: Small words, and those in which answers are spoken of: ours and the catalogue's.
        given: Given names that are English words, too.
    """

    known: frozenset[str]
    ordinary: frozenset[str]
    given: frozenset[str]


@cache
def _words() -> _Words:
    text = resources.files("gpa_agent.rubrics").joinpath("naming.toml").read_text(encoding="utf-8")
    lists = {key: frozenset(words.split()) for key, words in tomllib.loads(text).items()}
    traits = " ".join(f"{t.phrase} {t.more} {t.less} {t.definition}" for t in catalogue())
    spoken = lists["ordinary"] | _SMALL | VERBS | frozenset(_WORD.findall(traits.casefold()))
    return _Words(lists["known"], spoken, lists["given"])
