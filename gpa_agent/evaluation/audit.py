"""The audit: everything that `gpa audit` tells, as one frozen model.

Read from the ledger alone and put together in one pass over the served turns, so memory grows with
people and hours, not with turns. Names of intents, groups and aspects are all that it holds of
anybody's words; reasons are ours, with their figures taken out where they are counted by kind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from gpa_agent.evaluation.course import Course, Point
from gpa_agent.evaluation.items import Items, items_of
from gpa_agent.learning import editing
from gpa_agent.learning.lift import Enough, Lift, Tally
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.pacing import PER_HOUR
from gpa_agent.ledger.served import OutcomeRow
from gpa_agent.rubrics.records import ContrastModel, Rubric
from gpa_agent.workspace import Workspace

_MOST: Final = 10
_FIGURES: Final = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?%?|(?<!\w)(['\"])(?:(?!\1).)*\1(?!\w)")
"""Numbers, and names in quotes: what differs between reasons of one kind."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Slice(_Frozen):
    """Some of the served turns."""

    name: str
    """The intent or the group served."""
    lift: Lift


class CellSlice(_Frozen):
    """Turns of one intent and group under a rubric."""

    intent: str
    group: str
    lift: Lift


class Worst(_Frozen):
    """The group that serving did least for."""

    group: str | None = None
    lift: float | None = None
    interval: tuple[float, float] | None = None
    untold: str | None = None
    """Why it cannot be told."""


class Elsewhere(_Frozen):
    """Turns answered under the rubric of an intent that was not their own."""

    served: str
    own: str
    turns: int


class OffIntent(_Frozen):
    """How often a rubric was applied where the intent is not its own."""

    applied: int
    """Turns answered under a rubric."""
    known: int
    """Those whose conversation's intent the app states or the stages told later."""
    elsewhere: int
    """Those of them where it is another."""
    share: float | None
    """``elsewhere`` of ``known``; None where none is known."""
    pairs: tuple[Elsewhere, ...]
    """The most frequent ones."""


class Count(_Frozen):
    """How often something happened."""

    kind: str
    count: int


class Refused(_Frozen):
    """Why aspects of the latest run are not served."""

    kind: str
    """The reason, without its figures."""
    status: str
    """``candidate`` was never served, ``approved`` waits, ``retired`` is served no more."""
    count: int


class Degraded(_Frozen):
    """Turns in which a part of ours failed and the app's own answer was kept."""

    turns: int
    share: float | None
    """Of all served turns."""
    reasons: tuple[Count, ...]


class LearnedVersion(_Frozen):
    """A version of a rubric that was published in the period."""

    intent: str
    contrast: ContrastModel
    version: int
    at: datetime
    reason: str
    live: tuple[str, ...]
    """Names of its aspects."""


class Queue(_Frozen):
    """What waits to be learned from."""

    waiting: int
    oldest: datetime | None
    """When the oldest event that waits happened."""
    done: int
    shed: int
    """Events not waited for because too many waited; ``gpa learn`` reads their turns."""
    failed: int
    """Events of conversations on which a stage fails; the next worker tries them again."""


class Waiting(_Frozen):
    """An item that changed too much to be served without a person's word."""

    intent: str
    contrast: ContrastModel
    aspect: str
    reason: str


class Audit(_Frozen):
    """Is it better? Everything ``gpa audit`` tells; ``--json`` prints it as it is."""

    at: datetime
    since: datetime | None
    """Turns and versions before then are left out; None: everything counts."""
    first: datetime | None
    """When the first turn of the period was served."""
    last: datetime | None
    turns: int
    """Served turns, judged or not."""
    anonymous: int
    """Those of nobody known: never held out, and left out of every comparison."""
    overall: Lift
    """Over all turns of known people, tailored in fact or not."""
    guided: Lift
    """Over those where a rubric was at hand, applied or (held out) not."""
    worst_group: Worst
    intents: tuple[Slice, ...]
    groups: tuple[Slice, ...]
    cells: tuple[CellSlice, ...]
    course: tuple[Point, ...]
    """The lift over all turns so far, as time went by."""
    off_intent: OffIntent
    items: Items
    refusals: tuple[Refused, ...]
    degraded: Degraded
    learned: tuple[LearnedVersion, ...]
    """Newest first."""
    queue: Queue
    to_approve: tuple[Waiting, ...]
    notes: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell: no turn served, nothing ever learned."""
        return not (self.turns or self.learned or self.items.live or self.refusals)


def audit(
    workspace: Workspace, *, since: datetime | None = None, now: datetime | None = None
) -> Audit:
    """Tell what serving did, and how the loop stands.

    Args:
        workspace: Whose.
        since: Count only turns and versions from then on. The intervals hold for a period that
            was fixed beforehand, not for one that was chosen for what it shows.
        now: The time of the report; else the clock's.
    """
    ledger, settings = workspace.ledger, workspace.settings
    enough = Enough(people=settings.min_people, turns=settings.min_turns)
    seen = _Seen()
    for row in ledger.outcomes(since=since):
        seen.add(row)
    rubrics = editing.all_rubrics(ledger)
    groups = _slices(seen.groups, enough)
    overall, queue = seen.overall.lift(enough), _queue(ledger)
    return Audit(
        at=now or datetime.now(UTC),
        since=since,
        first=seen.course.first,
        last=seen.course.last,
        turns=seen.turns,
        anonymous=seen.anonymous,
        overall=overall,
        guided=seen.guided.lift(enough),
        worst_group=_worst(groups),
        intents=_slices(seen.intents, enough),
        groups=groups,
        cells=tuple(
            CellSlice(intent=intent, group=group, lift=tally.lift(enough))
            for (intent, group), tally in sorted(seen.cells.items())
        ),
        course=seen.course.points(enough),
        off_intent=seen.off_intent(),
        items=items_of(rubrics, workspace.encoder),
        refusals=_refusals(rubrics),
        degraded=seen.degraded(),
        learned=_learned(ledger, rubrics, since),
        queue=queue,
        to_approve=_to_approve(rubrics),
        notes=tuple(_notes(seen, overall, queue, since)),
    )


class _Seen:
    """Sums over served turns."""

    def __init__(self) -> None:
        self.turns = self.anonymous = 0
        self.overall, self.guided, self.course = Tally(), Tally(), Course()
        self.intents: dict[str, Tally] = {}
        self.groups: dict[str, Tally] = {}
        self.cells: dict[tuple[str, str], Tally] = {}
        self.failures = Counter[str]()
        self.failed = 0
        self.applied = 0
        self.served_for = Counter[tuple[str, str]]()

    def add(self, row: OutcomeRow) -> None:
        self.turns += 1
        self.anonymous += row.person is None
        self.overall.add(row)
        self.course.add(row)
        if row.intent is not None:
            self.intents.setdefault(row.intent, Tally()).add(row)
        if row.group is not None:
            self.groups.setdefault(row.group, Tally()).add(row)
        if row.version is not None:
            self.guided.add(row)
            if row.intent is not None and row.group is not None:
                self.cells.setdefault((row.intent, row.group), Tally()).add(row)
        if row.degraded is not None:
            self.failed += 1
            self.failures.update(_kind(part) for part in set(row.degraded.split("; ")))
        if row.aspects and row.mode != "plain" and row.intent is not None:
            self.applied += 1
            if row.own_intent is not None:
                self.served_for[row.intent, row.own_intent] += 1

    def off_intent(self) -> OffIntent:
        """Where rubrics were applied, against what the conversations were about."""
        known = self.served_for.total()
        elsewhere = Counter({(s, o): n for (s, o), n in self.served_for.items() if s != o})
        return OffIntent(
            applied=self.applied,
            known=known,
            elsewhere=elsewhere.total(),
            share=elsewhere.total() / known if known else None,
            pairs=tuple(
                Elsewhere(served=served, own=own, turns=n)
                for (served, own), n in elsewhere.most_common(_MOST)
            ),
        )

    def degraded(self) -> Degraded:
        """Failures of ours by reason; a turn may have several."""
        return Degraded(
            turns=self.failed,
            share=self.failed / self.turns if self.turns else None,
            reasons=tuple(Count(kind=k, count=n) for k, n in self.failures.most_common()),
        )


def _slices(tallies: Mapping[str, Tally], enough: Enough) -> tuple[Slice, ...]:
    return tuple(Slice(name=n, lift=t.lift(enough)) for n, t in sorted(tallies.items()))


def _worst(groups: tuple[Slice, ...]) -> Worst:
    told = [(s.lift.lift, s) for s in groups if s.lift.lift is not None]
    if not told:
        return Worst(untold="no group has enough judged turns in both arms")
    lift, worst = min(told, key=lambda found: found[0])
    return Worst(group=worst.name, lift=lift, interval=worst.lift.interval)


def _kind(reason: str) -> str:
    return _FIGURES.sub("…", reason)


def _refusals(rubrics: Sequence[Rubric]) -> tuple[Refused, ...]:
    kinds = Counter(
        (_kind(aspect.reason), aspect.status)
        for rubric in rubrics
        for aspect in rubric.aspects
        if aspect.status != "live" and aspect.reason
    )
    return tuple(
        Refused(kind=kind, status=status, count=n) for (kind, status), n in kinds.most_common()
    )


def _to_approve(rubrics: Sequence[Rubric]) -> tuple[Waiting, ...]:
    return tuple(
        Waiting(
            intent=rubric.intent,
            contrast=rubric.contrast,
            aspect=aspect.name,
            reason=aspect.reason or "publishing waits for approval (publish=review)",
        )
        for rubric in rubrics
        for aspect in rubric.aspects
        if aspect.status == "approved"
    )


def _learned(
    ledger: Ledger, rubrics: list[Rubric], since: datetime | None
) -> tuple[LearnedVersion, ...]:
    found = [
        LearnedVersion(
            intent=stored.intent,
            contrast=ContrastModel(group=stored.group, other=stored.other),
            version=stored.version,
            at=stored.created_at,
            reason=stored.reason,
            live=tuple(a["name"] for a in stored.body["aspects"] if a["status"] == "live"),
        )
        for rubric in rubrics
        for stored in ledger.history(
            intent=rubric.intent, group=rubric.contrast.group, other=rubric.contrast.other
        )
        if since is None or stored.created_at >= since
    ]
    return tuple(sorted(found, key=lambda v: (v.at, v.version), reverse=True))


def _queue(ledger: Ledger) -> Queue:
    counts = ledger.count_events()
    return Queue(
        waiting=counts["waiting"],
        oldest=ledger.oldest_waiting(),
        done=counts["done"],
        shed=counts["shed"],
        failed=counts["failed"],
    )


def _notes(seen: _Seen, overall: Lift, queue: Queue, since: datetime | None) -> list[str]:
    notes: list[str] = []
    if not seen.turns:
        when = "" if since is None else " in this period"
        notes.append(f"No turn was served{when}: nothing to compare.")
    elif overall.untold:
        notes.append(f"No lift is told: {overall.untold}.")
    if seen.anonymous:
        notes.append(
            f"{seen.anonymous} of {seen.turns} served turns name no user: they are never held out "
            "and are left out of every comparison."
        )
    if queue.shed:
        notes.append(
            f"{queue.shed} events were not waited for (more than queue_limit waited, or one person "
            f"had more than {PER_HOUR} in an hour); `gpa learn` reads their turns."
        )
    if queue.failed:
        notes.append(
            f"{queue.failed} events are of conversations that learning fails on: the log says with "
            "what error, and a worker that is started anew tries them again."
        )
    if since is not None:
        notes.append(
            "The intervals hold for a period fixed beforehand, not for one chosen for what it "
            "shows."
        )
    return notes
