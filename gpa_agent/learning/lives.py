"""The life of an item: when it was first seen, why it waited, when it was served and why not.

Read from what is kept anyway: every run says what it made of every aspect, and every version
of a rubric says what was served and why it replaced the one before. A run that only repeats
what was known adds nothing; new figures behind the same reason are no news either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gpa_agent.errors import UsageError
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.learned import Sighting
from gpa_agent.ledger.rows import StoredRubric
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric

What = Literal["candidate", "approved", "seed", "live", "changed", "retired"]

_FIGURES = re.compile(r"\d+(\.\d+)?(e-?\d+)?")


class Moment(BaseModel):
    """One thing that happened to an item."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    what: What
    """``candidate`` failed a test, ``approved`` waits for a person, ``seed`` is served without
    evidence, ``live`` with it, ``changed`` is served with other guidance, ``retired`` no more."""
    version: int | None = None
    """The version of the rubric that made it so; None where nothing served has changed."""
    reason: str | None = None
    """Why, where something says so."""


class Life(BaseModel):
    """Everything that happened to an item of one contrast."""

    model_config = ConfigDict(frozen=True)

    intent: str
    contrast: ContrastModel
    name: str
    held: bool
    """Whether a person has taken it out: it stays out until somebody approves it."""
    moments: tuple[Moment, ...]
    """Oldest first; the last one is how it stands."""


def lives(
    ledger: Ledger, *, intent: str, name: str | None = None, group: str | None = None
) -> list[Life]:
    """Tell the lives of an intent's items.

    Args:
        ledger: Where runs and versions are.
        intent: The intent.
        name: One item; None for all.
        group: A group of the contrast; None for every contrast.

    Returns:
        By contrast; those that were ever served first, then by name.

    Raises:
        UsageError: There is no such intent or item.
    """
    told: list[Life] = []
    events: list[Sighting | StoredRubric] = [*ledger.versions(intent), *ledger.sightings(intent)]
    places = sorted({(e.group, e.other) for e in events if group in (None, e.group, e.other)})
    for place in places:
        here = sorted((e for e in events if (e.group, e.other) == place), key=_at)
        held = ledger.held(intent, *place)
        told += _lives_of(intent, ContrastModel(group=place[0], other=place[1]), here, held)
    if name is not None:
        told = [life for life in told if life.name == name]
    if not told:
        raise UsageError(
            f"nothing is known of {'intent' if name is None else 'item'} "
            f"{intent if name is None else name!r}; `gpa rubrics list` names what there is"
        )
    return told


def _at(event: Sighting | StoredRubric) -> datetime:
    return event.at if isinstance(event, Sighting) else event.created_at


def _lives_of(
    intent: str,
    contrast: ContrastModel,
    events: Iterable[Sighting | StoredRubric],
    held: frozenset[str],
) -> list[Life]:
    moments: dict[str, list[Moment]] = {}
    served: dict[str, Aspect] = {}
    for event in events:
        if isinstance(event, Sighting):
            _see(moments.setdefault(event.name, []), event)
        else:
            served = _publish(moments, served, event)
    told = [
        Life(intent=intent, contrast=contrast, name=n, held=n in held, moments=tuple(m))
        for n, m in moments.items()
    ]
    return sorted(told, key=lambda life: (not _was_served(life.moments), life.name))


def _was_served(moments: Sequence[Moment]) -> bool:
    return any(m.version is not None for m in moments)


def _see(moments: list[Moment], seen: Sighting) -> None:
    """Add what a run said, where it is news."""
    last = moments[-1] if moments else None
    if seen.status == "live":
        return  # the version that made it so has said it
    if last is not None and last.what == seen.status:
        if seen.status == "retired" and last.version is not None and last.at >= seen.began:
            # This run took it out itself and knows why; the version only says that it is gone.
            moments[-1] = last.model_copy(update={"reason": seen.reason})
            return
        if seen.status == "retired" or _same(last.reason, seen.reason):
            return
    moments.append(
        Moment.model_validate({"at": seen.at, "what": seen.status, "reason": seen.reason})
    )


def _same(reason: str | None, other: str | None) -> bool:
    """Whether two reasons differ in their figures alone."""
    return _FIGURES.sub("#", reason or "") == _FIGURES.sub("#", other or "")


def _publish(
    moments: dict[str, list[Moment]], before: dict[str, Aspect], stored: StoredRubric
) -> dict[str, Aspect]:
    """Add what a version changed; returns what it serves."""
    now = {a.name: a for a in Rubric.model_validate(stored.body).aspects if a.status == "live"}
    for name in [*now, *(n for n in before if n not in now)]:
        what = _became(before.get(name), now.get(name))
        if what is not None:
            moments.setdefault(name, []).append(
                Moment(
                    at=stored.created_at, what=what, version=stored.version, reason=stored.reason
                )
            )
    return now


def _became(before: Aspect | None, now: Aspect | None) -> What | None:
    if now is None:
        return "retired"
    what: What = "seed" if now.evidence is None else "live"
    if before is None or (before.evidence is None) != (now.evidence is None):
        return what
    return "changed" if before.guidance != now.guidance else None
