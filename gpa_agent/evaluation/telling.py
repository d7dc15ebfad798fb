"""An audit in words and tables: what the text and the page both say, each in its own dress."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from gpa_agent.evaluation.audit import Audit, Queue
from gpa_agent.learning.lift import Arm, Lift
from gpa_agent.rubrics.records import Contrast, ContrastModel

TOO_FEW = "too few"
_NEWEST = 20
"""Versions listed; the report itself has all."""


class Section(NamedTuple):
    """A part of the report.

    Attributes:
        name: Names the part, for charts.
        title: Its heading.
        says: Sentences.
        columns: Headings of its table; empty where it has none.
        rows: The table.
    """

    name: str
    title: str
    says: tuple[str, ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def sections(told: Audit) -> list[Section]:
    """All parts of the report, in order.

    Args:
        told: The audit.
    """
    return [
        _lift(told),
        _satisfaction(told),
        _off_intent(told),
        _items(told),
        _refusals(told),
        _degraded(told),
        _learned(told),
        _to_approve(told),
        _queue(told),
    ]


def period(told: Audit) -> str:
    """What the report covers, in a line."""
    if told.first is None or told.last is None:
        return "no turn served" if told.since is None else f"no turn served since {day(told.since)}"
    turns = f"{told.turns} served turns, {moment(told.first)} to {moment(told.last)}"
    return turns if told.since is None else f"{turns} (since {day(told.since)})"


def signed(value: float, interval: tuple[float, float] | None) -> str:
    """A difference with its interval, in parts of one."""
    low, high = interval or (value, value)
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def share(value: float | None) -> str:
    """A share in percent."""
    return "-" if value is None else f"{value:.1%}"


def moment(at: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def day(at: datetime) -> str:
    """A date."""
    return f"{at:%Y-%m-%d}"


def contrast(compared: ContrastModel) -> str:
    """A contrast as it is read."""
    return str(Contrast(compared.group, compared.other))


def slices(told: Audit) -> list[tuple[str, Lift]]:
    """Everything a lift is told of, by what it is called."""
    return [
        ("all turns", told.overall),
        ("where a rubric was at hand", told.guided),
        *((f"intent {s.name}", s.lift) for s in told.intents),
        *((f"group {s.name}", s.lift) for s in told.groups),
        *((f"rubric for {c.group} in {c.intent}", c.lift) for c in told.cells),
    ]


def _lift(told: Audit) -> Section:
    worst = told.worst_group
    if worst.group is None or worst.lift is None:
        least = f"Worst group: not told, {worst.untold}."
    else:
        least = f"Worst group: {worst.group}, {signed(worst.lift, worst.interval)}."
    return Section(
        "lift",
        "Lift: satisfaction of tailored less that of held-out people",
        (_verdict(told.overall), least),
        ("turns", "lift [95%]"),
        tuple((name, _figure(found)) for name, found in slices(told)),
    )


def _verdict(found: Lift) -> str:
    if found.lift is None or found.interval is None:
        return f"Is it better? Not told: {found.untold}."
    low, high = found.interval
    said = "yes" if low > 0 else "no, it is worse" if high < 0 else "not shown yet"
    return f"Is it better? {said[:1].upper()}{said[1:]}: {signed(found.lift, found.interval)}."


def _figure(found: Lift) -> str:
    if found.lift is None:
        return f"{TOO_FEW}: {found.untold}"
    return signed(found.lift, found.interval)


def _satisfaction(told: Audit) -> Section:
    rows = [
        (name, who, *_arm(arm))
        for name, found in slices(told)
        for who, arm in (("tailored", found.tailored), ("held out", found.holdout))
    ]
    return Section(
        "satisfaction",
        "Satisfaction: share of judged turns that pleased",
        (
            "Intervals are over people and hold at any number of looks.",
            "Each holds for itself: of twenty slices, one may miss.",
        ),
        ("turns", "arm", "pleased", "95%", "judged", "people", "neither", "unjudged"),
        tuple(rows),
    )


def _arm(arm: Arm) -> tuple[str, ...]:
    low, high = arm.interval or (None, None)
    counts = (arm.judged, arm.people, arm.neither, arm.unjudged)
    told = (
        (TOO_FEW, "-")
        if arm.satisfaction is None
        else (share(arm.satisfaction), f"{share(low)} to {share(high)}")
    )
    return (*told, *(str(n) for n in counts))


def _off_intent(told: Audit) -> Section:
    found = told.off_intent
    said = (
        f"{found.elsewhere} of {found.known} turns answered under a rubric belong to another "
        f"intent by what their conversation is about ({share(found.share)}); "
        f"what {found.applied - found.known} more belong to is not known."
    )
    return Section(
        "off_intent",
        "Rubrics applied where the intent is not their own",
        (said if found.applied else "No turn was answered under a rubric.",),
        ("rubric's intent", "conversation's intent", "turns"),
        tuple((p.served, p.own, str(p.turns)) for p in found.pairs),
    )


def _items(told: Audit) -> Section:
    items = told.items
    said = (
        f"{items.live} live items; {items.junk} junk ({share(items.junk_share)}: no evidence, or "
        f"words that the guard refuses); {items.duplicates} duplicates "
        f"({share(items.duplicate_share)})."
    )
    return Section(
        "items",
        "Live items",
        (said if items.live else "Nothing is live.",),
        ("intent", "contrast", "item", "flaw"),
        tuple(
            (f.intent, contrast(f.contrast), f.aspect, f"{f.kind}: {f.why}") for f in items.flaws
        ),
    )


def _refusals(told: Audit) -> Section:
    return Section(
        "refusals",
        "What the latest run found and is not served, by reason",
        () if told.refusals else ("Nothing was refused.",),
        ("reason", "status", "aspects"),
        tuple((r.kind, r.status, str(r.count)) for r in told.refusals),
    )


def _degraded(told: Audit) -> Section:
    found = told.degraded
    said = f"{found.turns} of {told.turns} served turns ({share(found.share)})."
    return Section(
        "degraded",
        "Degraded turns: a part of ours failed, the app's own answer was kept",
        (said,),
        ("reason", "turns"),
        tuple((r.kind, str(r.count)) for r in found.reasons),
    )


def _learned(told: Audit) -> Section:
    count, when = len(told.learned), "" if told.since is None else f" since {day(told.since)}"
    if not count:
        said = "No version was published."
    elif count > _NEWEST:
        said = f"{count} versions were published; the newest {_NEWEST}:"
    else:
        said = f"{count} versions were published."
    return Section(
        "learned",
        f"What was learned{when}",
        (said,),
        ("published", "intent", "contrast", "version", "why", "serves"),
        tuple(
            (
                moment(v.at),
                v.intent,
                contrast(v.contrast),
                str(v.version),
                v.reason,
                ", ".join(v.live) or "nothing",
            )
            for v in told.learned[:_NEWEST]
        ),
    )


def _to_approve(told: Audit) -> Section:
    return Section(
        "to_approve",
        "Items that wait for a person",
        ("`gpa rubrics approve` serves them.",) if told.to_approve else ("None.",),
        ("intent", "contrast", "item", "why"),
        tuple((w.intent, contrast(w.contrast), w.aspect, w.reason) for w in told.to_approve),
    )


def _queue(told: Audit) -> Section:
    return Section("queue", "Queue", tuple(_waiting(told.queue, told.at)))


def _waiting(queue: Queue, now: datetime) -> Iterable[str]:
    if queue.waiting and queue.oldest is not None:
        age = _age(now - queue.oldest)
        yield f"{queue.waiting} events wait to be learned from, the oldest for {age}."
    else:
        yield "Nothing waits to be learned from."
    yield (
        f"{queue.done} events are done; {queue.shed} were not waited for, as too many waited or "
        "came from one person."
    )
    if queue.failed:
        yield f"{queue.failed} failed: a worker that is started anew tries them again."


def _age(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
