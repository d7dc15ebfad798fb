"""When may a rubric change? Not whenever a weighing says so, since there are so many of them.

The running app weighs anew after every few turns. Two things follow from that, and two rules.

**Whoever looks often enough finds something.** A q-value at 0.05 is a promise for one look. So
what was not found at a contrast's first weighing opens where its q-value is at most a tenth of
the mark (`CLEARLY`), or where it has passed at every weighing since one that had at most two
thirds of today's evidence (`GROWN`).

**A version must not tell that somebody joined.** What evidence opens or retires waits until the
turns of at least ``min_people`` people are new since the rubric last changed. How many these are at
least follows from how many people had how many turns then and now: nobody's name is kept for it.

The first publication of a contrast waits for nothing, and neither do harm, forgetting and what a
person decides. Measured in `docs/decisions/0015-weighed-again-and-again.md`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from gpa_agent.conversations.records import GENERAL_INTENT, UNKNOWN
from gpa_agent.learning.model_preferences import preference_source
from gpa_agent.learning.stages import MEASURE_STAGE
from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.ageing import OLDEST_HALF_LIVES
from gpa_agent.rubrics.records import EVERYBODY_ELSE, Aspect, Evidence, Rubric
from gpa_agent.rubrics.traits import CATALOGUE_VERSION
from gpa_agent.settings import Settings

CLEARLY: Final = 0.1
"""Share of the largest q-value with which an item need not wait."""
GROWN: Final = 1.5
"""How many times the turns that first showed an item must there be, where it only just passes."""
RIPENING_STAGE: Final = "ripening"
"""Where how things stood is kept."""
RIPENING_VERSION: Final = "ripening-1"
"""Changes with the form of what is kept."""

Place = tuple[str, str, str]
"""(intent, group, other) of a rubric."""
Heard = Counter[int]
"""How many people have how many judged turns of a contrast."""


class Passing(NamedTuple):
    """Since when an item has passed at every weighing.

    Attributes:
        turns: Judged turns behind it at the first of them; 0 where that was the contrast's first.
        at: When that was.
    """

    turns: int
    at: datetime


class Stand(NamedTuple):
    """How things stood with a contrast when it was last weighed.

    Attributes:
        passing: What passed, by `print_of`.
        heard: Who had been heard when its rubric last changed; None where it never did.
    """

    passing: Mapping[str, Passing]
    heard: Heard | None


def print_of(aspect: Aspect) -> str:
    """Names an item and what it asks for, without saying either: 16 hexadecimal digits."""
    said = json.dumps([aspect.name, sorted(aspect.guidance.items())])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def passing_since(
    found: Rubric, before: Mapping[str, Passing] | None, *, now: datetime
) -> dict[str, Passing]:
    """Since when what passes now has passed, by `print_of`.

    Args:
        found: A run's rubric: what passes is ``approved``.
        before: The same at the weighing before this one; None where this is the first.
        now: The time.
    """
    passing = {print_of(a): a.evidence for a in found.aspects if a.status == "approved"}
    return {
        name: Passing(0, now) if before is None else before.get(name, Passing(_turns(e), now))
        for name, e in passing.items()
        if e is not None
    }


def unripe(
    found: Rubric,
    passing: Mapping[str, Passing],
    *,
    max_q: float,
    now: datetime,
    half_life_days: float | None,
) -> dict[str, str]:
    """What passes, but has not done so for long enough to open, with the reason.

    Args:
        found: A run's rubric: what passes is ``approved``.
        passing: As `passing_since` says.
        max_q: The gate's mark.
        now: The time.
        half_life_days: Days in which turns lose half their weight; None: they lose none.
    """
    waiting: dict[str, str] = {}
    for aspect in found.aspects:
        since, evidence = passing.get(print_of(aspect)), aspect.evidence
        if since is None or evidence is None or evidence.q_value <= CLEARLY * max_q:
            continue
        needed = GROWN * _left(since, now, half_life_days)
        if _turns(evidence) < needed:
            waiting[aspect.name] = (
                f"it has passed since {since.turns} judged turns stood behind it; it opens when it "
                f"still passes with {needed:.0f}, or with a q of {CLEARLY * max_q:.3g} at most"
            )
    return waiting


def _turns(evidence: Evidence) -> int:
    return sum(evidence.turns.values())


def _left(since: Passing, now: datetime, half_life_days: float | None) -> float:
    """What the turns of then weigh by now."""
    if half_life_days is None:
        return since.turns
    lives = (now - since.at).total_seconds() / 86400 / half_life_days
    return since.turns * math.pow(2.0, -min(max(lives, 0.0), OLDEST_HALF_LIVES))


def newly_heard(then: Heard, now: Heard) -> int:
    """How many people's turns are new, at least.

    Whoever has no new turn has as many turns as then. So there are no more of those than can be
    paired, then and now, with equal numbers of turns; everybody else said something new.
    """
    return (now - then).total()


class Ripening:
    """What may change in one run, and what is kept of it for the next.

    Args:
        ledger: Where it is kept.
        settings: ``min_people``, ``max_q`` and ``half_life_days``.
        model: The model that explained the turns; None: they were measured.
    """

    def __init__(self, ledger: Ledger, settings: Settings, *, model: str | None) -> None:
        self._ledger, self._settings, self._model = ledger, settings, model
        kept = ledger.stage_values(RIPENING_STAGE, RIPENING_VERSION)
        self._before = {_place(place): _read(value) for place, value in kept.items()}
        # What is kept goes when somebody is forgotten who spoke there; no look is the first for it.
        for place in ledger.tested_contrasts():
            self._before.setdefault(place, Stand({}, None))
        self._now = dict(self._before)
        self._turns: dict[tuple[str, str | None], Counter[str]] | None = None

    def unripe(self, place: Place, found: Rubric) -> dict[str, str]:
        """Names of what a run found that may not open yet, with the reason."""
        now, before = self._ledger.now(), self._before.get(place)
        passing = passing_since(found, before.passing if before else None, now=now)
        self._now[place] = Stand(passing, before.heard if before else None)
        return unripe(
            found,
            passing,
            max_q=self._settings.max_q,
            now=now,
            half_life_days=self._settings.half_life_days,
        )

    def too_few(self, place: Place) -> str | None:
        """Why nothing may change for its evidence, where too few people were heard since.

        Where nobody was, what changes it tells of nobody.
        """
        before, needed = self._before.get(place), self._settings.min_people
        if before is None or before.heard is None:
            return None
        new = newly_heard(before.heard, self._heard(place))
        if not 0 < new < needed:
            return None
        return f"fewer than {needed} people have said something new since the rubric last changed"

    def changed(self, place: Place) -> None:
        """Note that a rubric changes now."""
        passing = self._now[place].passing if place in self._now else {}
        self._now[place] = Stand(passing, self._heard(place))

    def keep(self) -> None:
        """Keep how things stand."""
        changed = [
            (json.dumps(place), _written(stand))
            for place, stand in self._now.items()
            if stand != self._before.get(place)
        ]
        if changed:
            self._ledger.add_stage_results(RIPENING_STAGE, RIPENING_VERSION, changed)

    def _heard(self, place: Place) -> Heard:
        """Who has been heard by now: reads all rows, once in a run that changes something."""
        if self._turns is None:
            self._turns = _turns_of_people(self._ledger, self._model)
        intent, *sides = place
        people = Counter[str]()
        for (of, group), turns in self._turns.items():
            if of == intent and (EVERYBODY_ELSE in sides or group in sides):
                people += turns
        return Counter(people.values())


def _turns_of_people(
    ledger: Ledger, model: str | None
) -> dict[tuple[str, str | None], Counter[str]]:
    """Judged turns of each person in each intent and group."""
    found = defaultdict[tuple[str, str | None], Counter[str]](Counter)
    if model is None:
        for row in ledger.judged_rows(MEASURE_STAGE, CATALOGUE_VERSION):
            person = row.person or f"{row.kind}:{row.subject_id}"
            found[_known(row.intent), row.group][person] += 1
    else:
        for said in ledger.heard(preference_source(model)):
            person = said.person or f"turn:{said.conversation}"
            found[_known(said.intent), said.group][person] += 1
    return found


def _known(intent: str | None) -> str:
    return GENERAL_INTENT if intent in (None, UNKNOWN) else intent


def _place(text: str) -> Place:
    intent, group, other = json.loads(text)
    return intent, group, other


def _read(value: bytes) -> Stand:
    body = json.loads(value)
    heard = body["heard"]
    return Stand(
        {n: Passing(t, datetime.fromisoformat(at)) for n, (t, at) in body["passing"].items()},
        None if heard is None else Counter({int(turns): n for turns, n in heard.items()}),
    )


def _written(stand: Stand) -> bytes:
    passing = {name: (since.turns, since.at.isoformat()) for name, since in stand.passing.items()}
    return json.dumps({"passing": passing, "heard": stand.heard}).encode()
