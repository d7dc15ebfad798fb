"""What a ledger has to make pairs of; nothing is asked and nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from gpa_agent.alignment.pair import Pair, Split
from gpa_agent.alignment.pairs.config import PairsConfig
from gpa_agent.alignment.pairs.picking import Claim, Picker
from gpa_agent.alignment.pairs.twins import Candidate, Sides, candidate, place, recorded
from gpa_agent.conversations.records import GENERAL_INTENT
from gpa_agent.errors import UsageError
from gpa_agent.learning.editing import live_rubrics
from gpa_agent.learning.sampling import is_held_out

if TYPE_CHECKING:
    from gpa_agent.ledger.answers import JudgedAnswer, RecordedPair
    from gpa_agent.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What pairs are made of."""

    pairs: tuple[Pair, ...]
    """Preference pairs of the log."""
    candidates: tuple[Candidate, ...]
    """Judged turns that need a twin, by subject."""
    judged: int
    """Judged turns that were looked at."""
    recorded: int
    """Preference pairs that were looked at."""
    skipped: Counter[str]
    """What makes no pair, by reason."""
    names: tuple[str, ...]
    """The groups that are compared, and those that were met."""


class _Looked(NamedTuple):
    """Something that was looked at.

    Attributes:
        kind: ``judged`` or ``recorded``.
        made: What can be made of it, or why nothing can.
    """

    kind: str
    made: Pair | Candidate | str


def gather(ws: Workspace, config: PairsConfig) -> Gathered:
    """Pick what makes pairs.

    Args:
        ws: A workspace that has learned.
        config: Which turns.

    Raises:
        UsageError: There is nothing to make pairs of, or a group is not known.
        StoreError: The ledger cannot be read.
    """
    names = frozenset(ws.settings.groups) or ws.ledger.group_names()
    reader = _Reader(ws, config, _asked_for(config, names))
    picker = Picker[Pair | Candidate](per_person=config.per_person)
    looked, skipped = Counter[str](), Counter[str]()
    for kind, made in chain(reader.recorded(), reader.judged()):
        looked[kind] += 1
        reason = made if isinstance(made, str) else picker.add(made, _claim(made))
        skipped.update([reason] if reason else [])
    picked = sorted(picker, key=lambda one: one.subject)
    gathered = Gathered(
        pairs=tuple(one for one in picked if isinstance(one, Pair)),
        candidates=tuple(one for one in picked if isinstance(one, Candidate)),
        judged=looked["judged"],
        recorded=looked["recorded"],
        skipped=skipped,
        names=tuple(sorted(names | reader.seen)),
    )
    _check(gathered, anything_live=reader.anything_live)
    return gathered


def split_of(owner: str, config: PairsConfig) -> Split:
    """The part a person's pairs are in; the same in every run.

    Args:
        owner: The person's keyed hash, or where nobody is named the conversation or pair.
        config: The share that is held out.
    """
    return "holdout" if is_held_out(owner, config.holdout) else "train"


class _Reader:
    """Reads the ledger and says of everything what can be made of it.

    Args:
        ws: The workspace.
        config: Which turns.
        groups: The groups that get pairs; None for all.
    """

    def __init__(self, ws: Workspace, config: PairsConfig, groups: frozenset[str] | None) -> None:
        live = live_rubrics(ws.ledger)
        self.anything_live = bool(live)
        self.seen: set[str] = set()
        self._ledger = ws.ledger
        self._config = config
        self._groups = groups
        self._sides = Sides(live)
        self._fallback = GENERAL_INTENT if ws.labelling().one_intent else None

    def recorded(self) -> Iterator[_Looked]:
        """Preference pairs of the log."""
        for page in self._ledger.recorded_pairs():
            yield from (_Looked("recorded", self._pair(pair)) for pair in page)

    def judged(self) -> Iterator[_Looked]:
        """Judged turns."""
        for page in self._ledger.judged_answers():
            yield from (_Looked("judged", self._candidate(turn)) for turn in page)

    def _pair(self, pair: RecordedPair) -> Pair | str:
        placed = place(pair.group, pair.intent, groups=self._groups)
        if isinstance(placed, str):
            return placed
        return recorded(pair, placed, split=split_of(pair.person or pair.id, self._config))

    def _candidate(self, turn: JudgedAnswer) -> Candidate | str:
        placed = place(turn.group, turn.intent or self._fallback, groups=self._groups)
        if isinstance(placed, str):
            return placed
        self.seen.add(placed.group)
        return candidate(turn, placed, self._sides, min_confidence=self._config.min_confidence)


def _asked_for(config: PairsConfig, names: frozenset[str]) -> frozenset[str] | None:
    unknown = sorted(set(config.groups) - names)
    if unknown:
        known = ", ".join(map(repr, sorted(names))) or "none"
        raise UsageError(f"no group {unknown[0]!r} is compared here; the groups are: {known}")
    return frozenset(config.groups) or names or None


def _check(gathered: Gathered, *, anything_live: bool) -> None:
    """Say what is missing where nothing can come of it."""
    if gathered.pairs or gathered.candidates:
        return
    if not gathered.judged and not gathered.recorded:
        raise UsageError(
            "there is no judged answer and no preference pair to make pairs of: read a log and "
            "learn from it with 'gpa learn LOG'"
        )
    if not anything_live:
        raise UsageError(
            "no rubric is live, so nothing says how the groups' answers should differ: learn with "
            "'gpa learn', and approve what waits with 'gpa rubrics approve INTENT'"
        )


def _claim(one: Pair | Candidate) -> Claim:
    """What the log itself says ranks before what was read from it."""
    if isinstance(one, Pair):
        texts = (*_texts(one), one.chosen[0].content, one.rejected[0].content)
        return Claim(one.group, one.owner, texts, -2.0, one.subject)
    texts = (*_texts(one), one.turn.answer, one.turn.judgment.name)
    rank = -1.0 if one.turn.explicit else 1.0 - one.turn.confidence
    return Claim(one.placed.group, one.owner, texts, rank, one.subject)


def _texts(one: Pair | Candidate) -> tuple[str, ...]:
    return tuple(message.content for message in one.prompt)
