"""What users of a voiced world may want of an answer, and the words in which they say so.

A wish is something that no trait of the catalogue measures (local examples, what it costs,
whom to ask next ...) and has two poles: wanted, or wanted left out. The words lie in
``wishes.toml`` beside this module. `read_wishes` is the language both sides of a simulation
share: the users of `gpa_agent.testing.voiced_world` speak it, and the model of
`gpa_agent.testing.simulated_provider` reads it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from pydantic import TypeAdapter

from gpa_agent.testing.chance import pick

if TYPE_CHECKING:
    from random import Random


class Voiced(NamedTuple):
    """A wish that a text speaks of.

    Attributes:
        wish: Its name.
        wanted: True where it is wanted, False where it is wanted left out.
    """

    wish: str
    wanted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """One thing an answer may do for its reader."""

    name: str
    """Short; unique."""
    nouns: tuple[str, ...]
    """Noun phrases that name it, as the object of a sentence."""
    words: tuple[str, ...]
    """Words (regular expressions) that give it away; no other wish has them."""
    fulfilled: tuple[str, ...]
    """Sentences of an answer, any of which fulfils it."""
    praise: tuple[str, ...]
    """Remarks that it was good to have."""
    missed: tuple[str, ...]
    """Complaints that it was missing."""
    unwanted: tuple[str, ...]
    """Complaints that it was there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """Remarks with a place for any wish's noun phrase."""

    praise: tuple[str, ...]
    """It was there, and welcome."""
    missed: tuple[str, ...]
    """It was not there, and wanted."""
    unwanted: tuple[str, ...]
    """It was there, and not wanted."""
    spared: tuple[str, ...]
    """It was not there, and not wanted."""


@cache
def wishes() -> dict[str, Wish]:
    """All wishes by name, in the order of the file."""
    listed = TypeAdapter(tuple[Wish, ...]).validate_python(_data()["wish"])
    return {wish.name: wish for wish in listed}


@cache
def frames() -> Frames:
    """The remarks that fit every wish."""
    return TypeAdapter(Frames).validate_python(_data()["frames"])


def remark(wish: str, *, wanted: bool, present: bool, rng: Random) -> str:
    """What a user says of an answer because of one wish.

    Args:
        wish: Name of the wish.
        wanted: Whether this user wants it (or wants it left out).
        present: Whether the answer fulfils it.
        rng: Chooses the words.
    """
    return pick(rng, remarks(wish, wanted=wanted, present=present))


@cache
def remarks(wish: str, *, wanted: bool, present: bool) -> tuple[str, ...]:
    """Everything that users say of an answer because of one wish, as for `remark`."""
    about, fits = wishes()[wish], frames()
    own, shared = {
        (True, True): (about.praise, fits.praise),
        (True, False): (about.missed, fits.missed),
        (False, True): (about.unwanted, fits.unwanted),
        (False, False): ((), fits.spared),
    }[wanted, present]
    return own + tuple(f.format(noun=noun) for f in shared for noun in about.nouns)


@lru_cache(maxsize=65_536)
def read_wishes(text: str) -> tuple[Voiced, ...]:
    """The wishes a text speaks of, each with its pole, in the order they come.

    Which pole is meant is told from the sentence that holds the word, so that a question
    further on does not turn it around.

    Args:
        text: A remark, an expectation, a piece of guidance.

    Example:
        >>> read_wishes("Spare me the costs. Why does my loop end too soon?")
        (Voiced(wish='costs', wanted=False),)
    """
    found: dict[str, bool] = {}
    for sentence in _SENTENCE_ENDS.split(text):
        names = _names(sentence)
        if names:
            wanted = not _UNWANTED.search(sentence)
            found.update((name, wanted) for name in names if name not in found)
    return tuple(Voiced(name, wanted) for name, wanted in found.items())


def _names(sentence: str) -> list[str]:
    pattern, names = _reader()
    return [names[m.lastgroup or ""] for m in pattern.finditer(sentence)]


@cache
def _reader() -> tuple[re.Pattern[str], dict[str, str]]:
    """One pattern for the words of all wishes, and the wish of each of its groups."""
    groups = {f"w{n}": wish for n, wish in enumerate(wishes().values())}
    branches = (f"(?P<{group}>{'|'.join(wish.words)})" for group, wish in groups.items())
    pattern = re.compile(rf"\b(?:{'|'.join(branches)})\b", re.IGNORECASE)
    return pattern, {group: wish.name for group, wish in groups.items()}


@cache
def _data() -> dict[str, object]:
    text = resources.files("gpa_agent.testing").joinpath("wishes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")
_UNWANTED = re.compile(
    r"\b(?:without|left\b.*\bout|lea(?:ve|ving)\b.*\bout|spar(?:e|ed|ing)|skip|drop(?:ped)?|"
    r"free of|stop|avoid|too much|no use|no need|nobody|(?:do|did|does) not (?!help))\b",
    re.IGNORECASE,
)
