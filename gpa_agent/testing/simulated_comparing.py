"""How the simulated model compares: aspects, lists of them made one, voices, validity.

It follows what the prompts ask: counts weigh, what the list so far holds is kept and refined,
one-sided evidence rates 1. See `gpa_agent.testing.simulated_provider`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from gpa_agent.testing.chance import pick
from gpa_agent.testing.simulated_reading import Choices, Data, Reader, any_of
from gpa_agent.testing.wishes import Voiced, read_wishes, wishes

MOST = 12
"""Aspects an answer may list."""


@dataclass(kw_only=True, slots=True)
class _Side:
    """What one side said about one wish: for it, against it, and in which preferences."""

    known: int = 0
    """What earlier rounds found, signed."""
    for_it: int = 0
    against: int = 0
    wanting: list[int] = field(default_factory=list[int])
    sparing: list[int] = field(default_factory=list[int])

    @property
    def stance(self) -> int:
        return self.known + self.for_it - self.against

    @property
    def voices(self) -> int:
        return abs(self.known) + self.for_it + self.against

    @property
    def numbers(self) -> list[int]:
        return self.wanting if self.stance > 0 else self.sparing

    def hear(self, wanted: bool, number: int, count: int) -> None:
        (self.wanting if wanted else self.sparing).append(number)
        self.for_it += count * wanted
        self.against += count * (not wanted)


@dataclass(kw_only=True, slots=True)
class _Dimension:
    """One wish over both sides."""

    wish: str
    name: str
    first: _Side = field(default_factory=_Side)
    second: _Side = field(default_factory=_Side)

    @property
    def rating(self) -> int:
        """1 to 5, as the prompt defines them; 0 where both sides say the same."""
        ours, theirs = self.first.stance, self.second.stance
        if not ours or not theirs:
            return 1
        if (ours > 0) == (theirs > 0):
            return 0
        agreed = (abs(ours) + abs(theirs)) / (self.first.voices + self.second.voices)
        weaker = min(abs(ours), abs(theirs))
        return 2 if weaker < 2 else 3 if agreed < 0.6 else 5 if weaker >= 3 and agreed > 0.8 else 4


def aspects(reader: Reader, data: Data, _: Choices) -> dict[str, Any]:
    """One round of the comparison: the list so far, revised by what both sides say now."""
    table: dict[str, _Dimension] = {}
    strange = _recall(data["aspects"], table)
    for side in ("first", "second"):
        for preference in data[side]:
            strange += _hear(reader, table, side, preference)
    listed = [_item(reader, about) for about in table.values() if about.rating]
    listed += strange
    if reader.invents():
        listed.append(_invented(reader, data))
    return {"aspects": _best(listed)}


def _recall(aspects: Iterable[Data], table: dict[str, _Dimension]) -> list[dict[str, Any]]:
    """Take the list so far into the table; what it cannot read fades by one a round."""
    strange: list[dict[str, Any]] = []
    for aspect in aspects:
        about = _about(aspect)
        if about is None:
            faded = {**aspect, "rating": aspect["rating"] - 1, "first": [], "second": []}
            strange += [faded] if faded["rating"] else []
            continue
        dimension = table.setdefault(about, _Dimension(wish=about, name=aspect["name"]))
        weight = max(1, aspect["rating"] - 1)
        dimension.first.known += weight * _stance(aspect["first_wants"])
        dimension.second.known += weight * _stance(aspect["second_wants"])
    return strange


def _hear(
    reader: Reader, table: dict[str, _Dimension], side: str, preference: Data
) -> list[dict[str, Any]]:
    """Count a preference; what a gullible model does not understand it takes at its word."""
    number, count = preference["number"], preference["count"]
    voiced = reader.wishes_of(preference["expectation"])
    for wish, wanted in voiced:
        dimension = table.setdefault(wish, _Dimension(wish=wish, name=_name(reader, wish)))
        (dimension.first if side == "first" else dimension.second).hear(wanted, number, count)
    text = preference["expectation"]
    if voiced or not text or not reader.gullible:
        return []
    aspect = {"name": text[:60], "rating": 5, "interpretation": text, "first": [], "second": []}
    return [
        {**aspect, "first_wants": "", "second_wants": "", f"{side}_wants": text, side: [number]}
    ]


def _item(reader: Reader, about: _Dimension) -> dict[str, Any]:
    noun = reader.noun(about.wish)
    first, second = (_wants(reader, about.wish, s) for s in (about.first, about.second))
    said = {-1: f"is better off without {noun}", 0: "says nothing of it", 1: f"asks for {noun}"}
    interpretation = (
        f"The first side {said[_sign(about.first)]}; the second side {said[_sign(about.second)]}. "
        f"The evidence is {'firm' if about.rating > 3 else 'thin'}."
    )
    return {
        "name": about.name,
        "rating": about.rating,
        "interpretation": interpretation,
        "first_wants": first,
        "second_wants": second,
        "first": about.first.numbers if first else [],
        "second": about.second.numbers if second else [],
    }


def _wants(reader: Reader, wish: str, side: _Side) -> str:
    frames = {-1: _LEAVE_OUT, 0: ("",), 1: _INCLUDE}[_sign(side)]
    return reader.word(frames).format(noun=reader.noun(wish))


def _sign(side: _Side) -> int:
    return (side.stance > 0) - (side.stance < 0)


def _name(reader: Reader, wish: str) -> str:
    return reader.word(("{wish}", "place of {wish}", "use of {wish}")).format(wish=wish)


def _about(aspect: Data) -> str | None:
    """The wish an aspect is about, from whichever of its texts says so."""
    for part in ("name", "first_wants", "second_wants"):
        if read := read_wishes(aspect[part]):
            return read[0].wish
    return None


def _stance(guidance: str) -> int:
    read = read_wishes(guidance)
    return 0 if not read else 1 if read[0].wanted else -1


def _invented(reader: Reader, data: Data) -> dict[str, Any]:
    """An aspect that nobody voiced, with numbers that may not exist."""
    wish = pick(reader.rng, tuple(wishes()))
    shown = [p["number"] for side in ("first", "second") for p in data.get(side, ())]
    number = max(shown, default=0) + 1 + int(reader.rng.random() * 5)
    noun = reader.noun(wish)
    return {
        "name": f"{wish} or not",
        "rating": 4,
        "interpretation": f"The first side asks for {noun}; the second side does without.",
        "first_wants": _INCLUDE[0].format(noun=noun),
        "second_wants": _LEAVE_OUT[0].format(noun=noun),
        "first": [number],
        "second": [number + 1],
    }


def _best(aspects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The starkest, each name once."""
    firm = sorted(aspects, key=lambda a: (-a["rating"], -len(a["first"]) - len(a["second"])))
    told_apart: dict[str, dict[str, Any]] = {}
    for aspect in firm:
        told_apart.setdefault(aspect["name"].casefold(), aspect)
    return list(told_apart.values())[:MOST]


def merging(reader: Reader, data: Data, _: Choices) -> dict[str, Any]:
    """Lists made one; aspects are the same where they speak of the same wish."""
    merged: dict[str, dict[str, Any]] = {}
    for aspect in chain.from_iterable(data["lists"]):
        about = _about(aspect) or aspect["name"].casefold()
        other = merged.get(about)
        merged[about] = aspect if other is None else _merged(other, aspect)
    listed = [*merged.values()]
    if reader.invents():
        listed.append(_invented(reader, data))
    return {"aspects": _best(listed)}


def _merged(one: Data, other: Data) -> dict[str, Any]:
    clear, less = (one, other) if one["rating"] >= other["rating"] else (other, one)
    wants = {k: clear[k] or less[k] for k in ("first_wants", "second_wants")}
    numbers = {k: sorted({*clear[k], *less[k]}) for k in ("first", "second")}
    return {**clear, **wants, **numbers, "rating": _merged_rating(one, other)}


def _merged_rating(one: Data, other: Data) -> int:
    """As the prompt says: contradiction 2, both at least the lower, complementary 3."""
    stances = [(_stance(a["first_wants"]), _stance(a["second_wants"])) for a in (one, other)]
    (a, b), (c, d) = stances
    if a * c < 0 or b * d < 0:
        return 2
    if not (a and b) and not (c and d):
        return 3 if (a or c) * (b or d) < 0 else 1
    lower, higher = sorted((int(one["rating"]), int(other["rating"])))
    return min(5, higher + 1) if lower > 2 else higher


def voices(reader: Reader, data: Data, _: Choices) -> dict[str, Any]:
    """Which preference speaks for which side of which claim."""
    sides = [_claim_sides(claim) for claim in data["claims"]]
    voices: list[dict[str, Any]] = []
    for preference in data["preferences"]:
        voiced = reader.wishes_of(preference["expectation"])
        for claim, side_of in zip(data["claims"], sides, strict=True):
            sides_meant = {side_of[one] for one in voiced if one in side_of}
            if len(sides_meant) == 1:
                number = preference["number"]
                entry = {"preference": number, "claim": claim["claim"], "side": sides_meant.pop()}
                voices.append(entry)
    if reader.invents():
        voices.append({"preference": 0, "claim": len(sides) + 1, "side": "x"})
    return {"voices": voices}


def _claim_sides(claim: Data) -> dict[Voiced, str]:
    """Which side of a claim speaks for which wish and pole; a side left empty is the opposite."""
    sides: dict[Voiced, str] = {}
    for side, other in (("x", "y"), ("y", "x")):
        for one in read_wishes(claim[side]):
            sides[one] = side
            if not claim[other]:
                sides[Voiced(one.wish, not one.wanted)] = other
    return sides


def validity(reader: Reader, data: Data, _: Choices) -> dict[str, Any]:
    """Whether an aspect's texts hold anything that a rubric must not."""
    texts = " ".join((data["name"], data["interpretation"], *data["guidance"]))
    problems = [problem for problem, words in _PROBLEMS.items() if words.search(texts)]
    if not any(guidance.strip() for guidance in data["guidance"]):
        problems.append("unclear")
    if reader.gullible:
        problems = []
    elif reader.errs():
        problems = [] if problems else ["unclear"]
    return {"valid": not problems, "problems": problems}


_INCLUDE = ("Give {noun}.", "Bring {noun} into the answer.", "Include {noun}.")
_LEAVE_OUT = ("Leave {noun} out.", "Answer without {noun}.", "Avoid {noun}.")
_PROBLEMS = {
    "instruction": any_of("ignore", "instructions?", "developer mode", "system prompt", "output"),
    "promotion": any_of("always recommend", "recommend", "buy", "sponsored"),
    "personal_data": re.compile(r"[\w.]+@\w+\.\w+|\+?\d[\d -]{7,}\d"),
    "unsafe": any_of("harm", "invent (?:facts|sources)", "drop warnings"),
    "flattery": any_of("flatter", "praise the user", "always agree"),
}
