"""From explained turns to cases: who speaks for which side, and who finds or tests.

People are dealt once and for all to the part that claims are found on or to the part they are
tested on, by a hash of the conversation they were first seen in (of those of one log, the one
with the smallest id): no key, no order of lines and no later conversation changes it, so that
learning goes on where it stopped. Only turns that voiced something count. Of a person in a
group and intent at most so many are looked at, and of a group in an intent, those with the
smallest hashes: nobody crowds out the others, and memory and cost stay bounded however long
the log (the paper's rubrics settle at about 1,000 conversations). A turn knows what it was
served and how much it still counts for its age.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import GENERAL_INTENT, Judgment
from gpa_agent.learning.blocks import Block, block_of
from gpa_agent.learning.finding import Seen
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import HeardRow, turn_input
from gpa_agent.rubrics.ageing import age_weights
from gpa_agent.rubrics.fold import Voiced
from gpa_agent.rubrics.records import EVERYBODY_ELSE, Contrast

FINDING = 1000
"""Turns of a group and intent that claims are found on, at most."""
TESTING = 4000
"""Turns of a group and intent that claims are tested on, at most."""
_OF_A_PERSON = 20
"""Turns of one person in a group and intent, at most."""


class Turn(NamedTuple):
    """A judged turn that voiced something.

    Attributes:
        input_id: ``t:<conversation>:<idx>``.
        group: The person's group in this turn, where known.
        voiced: The preference; its person is a keyed hash, or the conversation where nobody is
            named.
        at: When the answer was given, where known.
        served: What it was served; None for nothing.
        weight: How much it counts for its age, in (0, 1].
    """

    input_id: str
    group: str | None
    voiced: Voiced
    at: datetime | None = None
    served: Block | None = None
    weight: float = 1.0

    def silent_of(self, name: str) -> bool:
        """Whether it says nothing of an aspect, because it was given under it.

        Args:
            name: Name of the aspect.
        """
        block = self.served
        return block is not None and (block.pushes_everything or name in block.aspects)


@dataclass(kw_only=True)
class Heard:
    """Explained turns by intent, each list in an order that only content decides."""

    finding: dict[str, list[Turn]] = field(default_factory=dict[str, list[Turn]])
    """What claims are found on."""
    testing: dict[str, list[Turn]] = field(default_factory=dict[str, list[Turn]])
    """What claims are tested on."""
    seen: Seen
    persons: dict[str, str] = field(default_factory=dict[str, str])
    """Who voiced the preferences that were asked about, by id; forgotten ones are not there."""

    def intents(self) -> tuple[str, ...]:
        """The intents that occur, sorted."""
        return tuple(sorted(self.finding.keys() | self.testing.keys()))


def hear(
    ledger: Ledger,
    source: str,
    *,
    one_intent: bool,
    share: float,
    half_life_days: float | None = None,
    asked_about: Collection[str] = (),
) -> Heard:
    """Read what a model explained.

    Args:
        ledger: Its ``explain`` stage done.
        source: The explanations' source.
        one_intent: Whether turns that name no intent belong to the one intent ``general``.
        share: Share of people that claims are found on, in (0, 1).
        half_life_days: Days in which a turn loses half its weight, counted back from the newest;
            None: none does.
        asked_about: Ids of preferences whose people are to be told, looked at or not.
    """
    finders = _finders(ledger.earliest_conversations(), share)
    kept: dict[tuple[str, str | None, bool], _Smallest] = {}
    persons: dict[str, str] = {}
    people: set[str] = set()
    cells: set[tuple[str, str]] = set()
    rows = anonymous = 0
    newest: datetime | None = None
    for row in ledger.heard(source):
        person = row.person or f"turn:{row.conversation}"
        people.add(person)
        rows += 1
        anonymous += row.person is None
        if row.preference is not None and row.preference in asked_about:
            persons[row.preference] = person
        newest = max(filter(None, (newest, row.at)), default=None)
        if row.group is not None:
            cells.add((person, row.group))
        intent = row.intent or (GENERAL_INTENT if one_intent else None)
        finds = finders.get(person) if row.person else _is_finder(row.conversation, share)
        if intent is None or row.preference is None:
            continue
        cell = kept.setdefault(
            (intent, row.group, bool(finds)), _Smallest(FINDING if finds else TESTING)
        )
        cell.add(_turn(row, row.preference, person))
    seen = Seen(rows, len(people), anonymous, dict(Counter(g for _, g in cells)))
    heard = Heard(seen=seen, persons=persons)
    for (intent, _, finds), smallest in kept.items():
        part = heard.finding if finds else heard.testing
        part.setdefault(intent, []).extend(smallest.turns())
    for part in (heard.finding, heard.testing):
        for turns in part.values():
            turns.sort(key=lambda t: _hash(t.input_id))
        _aged(part.values(), newest, half_life_days, now=ledger.now())
    return heard


def _turn(row: HeardRow, preference: str, person: str) -> Turn:
    voiced = Voiced(
        id=preference,
        person=person,
        pleased=row.judgment is Judgment.SAT,
        expectation=row.expectation or "",
        reason=row.reason or "",
    )
    input_id = turn_input(row.conversation, row.idx)
    return Turn(input_id, row.group, voiced, row.at, block_of(row.served))


def _aged(
    parts: Iterable[list[Turn]], newest: datetime | None, half_life: float | None, *, now: datetime
) -> None:
    """Weigh turns by their age, counted back from the newest turn there is, or from now."""
    for turns in parts:
        times = [*(t.at for t in turns), newest]
        weights = age_weights(times, half_life_days=half_life, now=now)
        turns[:] = [t._replace(weight=float(w)) for t, w in zip(turns, weights, strict=False)]


def _finders(earliest: Mapping[str, str], share: float) -> dict[str, bool]:
    return {person: _is_finder(conversation, share) for person, conversation in earliest.items()}


def _is_finder(conversation: str, share: float) -> bool:
    return int.from_bytes(_hash(f"part:{conversation}")[:8]) < share * 2**64


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class _Smallest:
    """The turns with the smallest hashes: so many at most, and so many of a person."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns: list[tuple[bytes, Turn]] = []
        self._full: bytes | None = None

    def add(self, turn: Turn) -> None:
        entry = (_hash(turn.input_id), turn)
        if self._full is not None and entry[0] > self._full:
            return
        self._turns.append(entry)
        if len(self._turns) > 1.5 * self._most:
            self._prune()

    def turns(self) -> list[Turn]:
        self._prune()
        return [turn for _, turn in self._turns]

    def _prune(self) -> None:
        said = Counter[str]()
        kept: list[tuple[bytes, Turn]] = []
        for entry in sorted(self._turns, key=lambda e: e[0]):
            person = entry[1].voiced.person
            said[person] += 1
            if said[person] <= _OF_A_PERSON:
                kept.append(entry)
        self._turns = kept[: self._most]
        # Once full, what comes behind the last one kept can never get in.
        self._full = self._turns[-1][0] if len(self._turns) == self._most else None


class Sided(NamedTuple):
    """One contrast of one intent: its turns, sides told apart.

    Attributes:
        intent: The intent.
        contrast: The contrast.
        first: Finding turns of the first-named side.
        other: Finding turns of the other side.
        testing: Testing turns of both sides.
        on_first: (testing,) whether a testing turn is of the first-named side.
    """

    intent: str
    contrast: Contrast
    first: tuple[Voiced, ...]
    other: tuple[Voiced, ...]
    testing: tuple[Turn, ...]
    on_first: NDArray[np.bool_]

    @property
    def place(self) -> tuple[str, str, str]:
        """(intent, group, other)."""
        return self.intent, self.contrast.group, self.contrast.other


def sided(heard: Heard, contrasts: Sequence[Contrast]) -> Iterator[Sided]:
    """Every contrast in every intent."""
    for intent in heard.intents():
        for contrast in contrasts:
            finding = heard.finding.get(intent, [])
            testing = tuple(t for t in heard.testing.get(intent, ()) if _stands(t.group, contrast))
            yield Sided(
                intent,
                contrast,
                tuple(t.voiced for t in finding if t.group == contrast.group),
                tuple(
                    t.voiced
                    for t in finding
                    if t.group != contrast.group and _stands(t.group, contrast)
                ),
                testing,
                np.array([t.group == contrast.group for t in testing], dtype=bool),
            )


def _stands(group: str | None, contrast: Contrast) -> bool:
    return contrast.other == EVERYBODY_ELSE or group in contrast


def deal_groups(heard: Heard, rng: np.random.Generator) -> Heard:
    """Deal groups anew among people (a person of two groups counts as two)."""
    parts = (heard.finding, heard.testing)
    cells = {(t.voiced.person, t.group or "") for p in parts for ts in p.values() for t in ts}
    # People in the order of their turns, which content decides: their hashes differ by workspace.
    first_seen: dict[tuple[str, str], bytes] = {}
    for part in parts:
        for turns in part.values():
            for t in turns:
                cell = (t.voiced.person, t.group or "")
                first_seen[cell] = min(first_seen.get(cell, b"\xff" * 32), _hash(t.input_id))
    ordered = sorted(cells, key=lambda c: (first_seen[c], c[1]))
    dealt = rng.permutation(np.array([g for _, g in ordered], dtype=object))
    new = dict(zip(ordered, dealt, strict=True))

    def dealt_part(part: dict[str, list[Turn]]) -> dict[str, list[Turn]]:
        return {
            intent: [t._replace(group=new[t.voiced.person, t.group or ""] or None) for t in turns]
            for intent, turns in part.items()
        }

    return replace(heard, finding=dealt_part(heard.finding), testing=dealt_part(heard.testing))
