"""One pipeline from raw log to live rubric, as idempotent stages over the ledger.

``ingest -> label -> judge -> explain -> contrast (measure) -> weigh -> gate -> publish``. Nothing
here computes statistics or words: the stages do, and this module runs them in order, times
them and stores what they found.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gpa_agent.conversations.reading import BadLine, read_located
from gpa_agent.conversations.records import Conversation, PreferencePair, Record
from gpa_agent.errors import DataError
from gpa_agent.learning.embedded import gate_config
from gpa_agent.learning.finding import Finder, Found, Seen, Shuffler, model_of
from gpa_agent.learning.harm import Place, served_effects
from gpa_agent.learning.publishing import KEEP_Q, changes, last_served, only_live, settle
from gpa_agent.learning.report import (
    BadLineModel,
    IngestReport,
    LearnReport,
    StageReport,
    Untested,
)
from gpa_agent.learning.ripening import Ripening
from gpa_agent.learning.stages import Progress
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.learned import ChangedMeanwhile, ForgottenMeanwhile
from gpa_agent.ledger.rows import AspectRow, ContrastRow, RunRow
from gpa_agent.rubrics.records import Aspect, Contrast, ContrastModel, Rubric
from gpa_agent.rubrics.weighing import Weighed
from gpa_agent.settings import Settings

_CHUNK = 500
_KEPT_BAD_LINES = 100
COLLUDERS = 0.2
"""Share of one side's people in a running app that together must not get an item served."""
_ATTEMPTS = 3
"""Runs that people may be forgotten in, or decide otherwise in, before learning gives up."""


def ingest(
    ledger: Ledger,
    source: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 -- the word users know from other tools
    max_bad: float = 0.01,
    group_by: str | None = None,
    progress: Progress,
) -> IngestReport:
    """Read a log into the ledger, all of it or nothing.

    Args:
        ledger: Where records go; one transaction for the whole log.
        source: Path, ``"-"`` for standard input, or a binary stream.
        format: Name of the format; None to find it by looking.
        max_bad: Largest share of unusable lines that is tolerated, in [0, 1].
        group_by: Metadata field that names the group.
        progress: Called as records are read.

    Raises:
        DataError: More lines are unusable than ``max_bad`` allows, or none is usable.
    """
    started = time.perf_counter()
    counts = dict.fromkeys(("added", "extended", "unchanged", "conflict"), 0)
    pairs = turns = 0
    bad: list[BadLine] = []
    n_bad = n_read = 0
    name = "standard input" if source == "-" or not isinstance(source, str | Path) else str(source)
    lines = read_located(source, format=format, group_by=group_by)
    with ledger.ingesting(name) as batch:
        for chunk in _chunks(lines, _CHUNK):
            usable = [(line, r) for line, r in chunk if not isinstance(r, BadLine)]
            refused = [r for _, r in chunk if isinstance(r, BadLine)]
            outcomes = batch.add_all([r for _, r in usable])
            for (line, record), outcome in zip(usable, outcomes, strict=True):
                counts[outcome] += 1
                if outcome == "conflict":
                    refused.append(_conflict(name, line, record))
                elif outcome != "unchanged":
                    pairs += isinstance(record, PreferencePair)
                    turns += len(record.turns) if isinstance(record, Conversation) else 0
            n_bad += len(refused)
            bad.extend(refused[: _KEPT_BAD_LINES - len(bad)])
            n_read += len(chunk)
            progress("ingest", n_read, None)
        if n_bad > max_bad * n_read:
            raise DataError(_too_many_bad(n_bad, n_read, bad, max_bad))
    return IngestReport(
        conversations=counts["added"] - pairs,
        pairs=pairs,
        turns=turns,
        extended=counts["extended"],
        unchanged=counts["unchanged"],
        skipped=n_bad,
        bad=[BadLineModel(file=b.file, line=b.line, reason=b.reason) for b in bad],
        seconds=time.perf_counter() - started,
    )


def _chunks(
    lines: Iterable[tuple[int, Record | BadLine]], size: int
) -> Iterator[tuple[tuple[int, Record | BadLine], ...]]:
    iterator = iter(lines)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk


def _conflict(name: str, line: int, record: Record) -> BadLine:
    reason = (
        f"id {record.id!r} is known with different content; "
        "give the changed conversation an id of its own"
    )
    return BadLine(name, line, reason)


def _too_many_bad(n_bad: int, n_read: int, bad: list[BadLine], max_bad: float) -> str:
    shown = "; ".join(f"{b.file}:{b.line}: {b.reason}" for b in bad[:3])
    return (
        f"{n_bad} of {n_read} records cannot be used, more than the {max_bad:.1%} that --max-bad "
        f"allows; nothing was stored. First: {shown}. Mend them, or raise --max-bad."
    )


class Learned(NamedTuple):
    """What `learn` found: the report, and the figures behind it."""

    report: LearnReport
    weighed: Weighed


def learn(
    ledger: Ledger,
    settings: Settings,
    *,
    finder: Finder,
    progress: Progress,
    republish: str | None = None,
) -> Learned:
    """Run every stage over what the ledger holds and publish what passes.

    Args:
        ledger: The only truth; stages read what lacks their result.
        settings: What to compare, thresholds, how to publish.
        finder: The engine that finds differences and weighs them.
        progress: Called as stages advance.
        republish: Where given, what is there is weighed again for this reason: nothing new is
            served, and rubrics whose figures have changed are published anew, not only those
            whose guidance has.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _learn(ledger, settings, finder, progress, republish)
        except (ForgottenMeanwhile, ChangedMeanwhile):
            # What they said is gone from the ledger, and what they decided is in it.
            continue
    return _learn(ledger, settings, finder, progress, republish)


def _learn(
    ledger: Ledger, settings: Settings, finder: Finder, progress: Progress, republish: str | None
) -> Learned:
    started, began = time.perf_counter(), datetime.now(UTC)
    newest, epoch = ledger.last_event(), ledger.forget_epoch()
    found = finder.find(ledger, settings, progress)
    clock = time.perf_counter()
    # Whoever was told to stop is heard here for the last time.
    progress("publish", 0, None)
    ripening = Ripening(ledger, settings, model=model_of(finder.name))
    rubrics = _publish(ledger, found.weighed, settings, republish, epoch, ripening)
    published = StageReport(done=len(rubrics), seconds=time.perf_counter() - clock)
    report = _report(rubrics, found, settings).model_copy(
        update={
            "stages": {**found.stages, "publish": published},
            "engine": finder.name,
            "seconds": time.perf_counter() - started,
        }
    )
    _store_run(ledger, report, found.weighed, settings, began, epoch)
    ripening.keep()
    if republish is None:  # what is weighed again was learned from no event
        ledger.events_learned(newest)
    return Learned(report, found.weighed)


def learn_null(
    ledger: Ledger, settings: Settings, *, finder: Shuffler, times: int, progress: Progress
) -> list[int]:
    """How many aspects would be live if people's groups were dealt at random.

    The paper's check on its rubrics (random flips of group labels, Figure 5): an extractor that
    still finds items is finding noise.

    Args:
        ledger: The ledger, learned from before.
        settings: As for learning.
        finder: As for learning.
        times: How often groups are dealt anew.
        progress: Called as rounds are done.

    Returns:
        The number of aspects that would be live in each round.
    """
    rounds = finder.shuffled(ledger, settings, times, progress)
    return [sum(a.status == "approved" for r in w.rubrics for a in r.aspects) for w in rounds]


def _publish(
    ledger: Ledger,
    weighed: Weighed,
    settings: Settings,
    republish: str | None,
    epoch: int,
    ripening: Ripening,
) -> list[Rubric]:
    places = {(r.intent, r.group, r.other) for r in ledger.live_rubrics()}
    places |= {_place(r) for r in weighed.rubrics}
    # Before anything is decided on it: `publish` sees that it still stands so.
    standing = {place: ledger.standing(*place) for place in places}
    live = {k: Rubric.model_validate(s.live.body) for k, s in standing.items() if s.live}
    effects = served_effects(ledger, half_life_days=settings.half_life_days)
    unfound = _unfound(live, weighed, effects.harmed)
    colluders = settings.colluders
    if colluders is None:
        colluders = COLLUDERS if ledger.last_event().seq else 0.0
    lately = _lately(ledger, settings.half_life_days)
    settled: list[Rubric] = []
    for found in (*weighed.rubrics, *unfound):
        key = _place(found)
        before = live.get(key)
        decide = partial(
            settle,
            found,
            before,
            publish="nothing" if republish else settings.publish,
            held=standing[key].held,
            pinned=standing[key].pinned,
            lately=lately(key),
            harmed=effects.harmed.get(key, {}),
            borne_out=effects.borne_out.get(key, {}),
            unripe=ripening.unripe(key, found),
            colluders=colluders,
            keep=replace(gate_config(settings), max_q=min(KEEP_Q * settings.max_q, 1.0)),
        )
        rubric = decide()
        # What forgetting takes out goes at once.
        if changes(before, rubric) is not None and republish is None:
            rubric = decide(too_few=ripening.too_few(key))
        reason, serving = changes(before, rubric), only_live(rubric, before)
        if reason is None and before is not None and serving != before:
            reason = republish
        if reason is not None:
            stored = ledger.publish(
                serving.model_dump(mode="json"),
                reason=reason,
                epoch=epoch,
                expected=standing[key],
                harmed=effects.harmed.get(key, ()),
            )
            rubric = rubric.model_copy(update={"version": stored.version})
            ripening.changed(key)
        settled.append(rubric)
    return settled


def _place(rubric: Rubric) -> Place:
    return rubric.intent, rubric.contrast.group, rubric.contrast.other


def _lately(ledger: Ledger, half_life_days: float | None) -> Callable[[Place], dict[str, Aspect]]:
    """What a rubric serves no more, for as long as what was said for it counts half or more."""
    turned = ledger.turned()
    since = None if half_life_days is None else ledger.now() - timedelta(days=half_life_days)

    def lately(place: Place) -> dict[str, Aspect]:
        intent, group, other = place
        history = ledger.history(intent=intent, group=group, other=other)
        return last_served(history, turned=turned.get(place, {}), since=since)

    return lately


def _unfound(
    live: Mapping[Place, Rubric], weighed: Weighed, harmed: Container[Place]
) -> list[Rubric]:
    """What there is to say of live rubrics that a run found nothing about."""
    found_now = {_place(r) for r in weighed.rubrics}
    unfound: list[Rubric] = []
    for key, rubric in live.items():
        if key in found_now:
            continue
        if key not in weighed.undecided and Contrast(*key[1:]) in weighed.contrasts:
            # It could not be tested any more, so its evidence is lost: its items retire.
            unfound.append(rubric.model_copy(update={"aspects": ()}))
        elif key in harmed:
            # Nobody asked about it, and harm is harm: the rest of it stays as it is.
            same = tuple(a.model_copy(update={"status": "approved"}) for a in rubric.aspects)
            unfound.append(rubric.model_copy(update={"aspects": same}))
    return unfound


def _untested(weighed: Weighed) -> list[Untested]:
    return [
        Untested(
            intent=r.intent,
            contrast=ContrastModel(group=r.contrast.group, other=r.contrast.other),
            reason=r.untested,
        )
        for r in weighed.results
        if r.untested is not None
    ]


def _report(rubrics: list[Rubric], found: Found, settings: Settings) -> LearnReport:
    aspects = [a for r in rubrics for a in r.aspects]
    notable = sum(a.evidence is not None for a in aspects)
    weighed, seen = found.weighed, found.seen
    return LearnReport(
        rubrics=rubrics,
        tested=weighed.tested,
        candidates=sum(a.status == "candidate" for a in aspects),
        rejected=max(0, weighed.tested - notable),
        untested=_untested(weighed),
        calls=found.model.calls if found.model else 0,
        model=found.model,
        distilled=list(found.distilled),
        people=seen.people,
        anonymous=seen.anonymous,
        notes=[
            *found.notes,
            *_notes(seen, weighed, settings, others=found.notes),
            *_retired(aspects),
        ],
    )


def _retired(aspects: Sequence[Aspect]) -> list[str]:
    gone = sum(a.status == "retired" and (a.reason or "").startswith("was live") for a in aspects)
    if not gone:
        return []
    return [f"{gone} items that were live are retired; `gpa rubrics rollback` brings them back."]


def _notes(seen: Seen, weighed: Weighed, settings: Settings, *, others: Sequence[str]) -> list[str]:
    notes: list[str] = []
    if not seen.rows and not others:
        notes.append(
            "No judged answer: nothing to learn from. Users' next utterances, explicit judgments "
            "or preference pairs are what satisfaction is read from."
        )
    missing = sorted(set(settings.groups) - seen.people_of.keys())
    if missing and seen.rows:
        known = ", ".join(sorted(seen.people_of)) or "none"
        notes.append(
            f"No judged answer of group {', '.join(map(repr, missing))}; "
            f"groups with judged answers: {known}."
        )
    if not settings.groups and not settings.contrasts and not weighed.results:
        notes.append(
            f"No group has {settings.min_people} people with judged answers: nothing to compare."
        )
    if seen.anonymous:
        notes.append(
            f"{seen.anonymous} judged answers carry no user id: each of their conversations "
            "counts as one person, which overstates how many people there are if users come back."
        )
    return notes


def _run_id(ledger: Ledger, rubrics: Sequence[Rubric]) -> str:
    """A new id, or that of the latest run where it says what this and the one before it say.

    A worker weighs all day and mostly finds what it knew: of a stretch of equal runs the first
    and the last are kept.
    """
    now = frozenset(
        (r.intent, r.contrast.group, r.contrast.other, a.name, a.status)
        for r in rubrics
        for a in r.aspects
    )
    before = ledger.last_runs(2)
    if len(before) == 2 and all(found == now for _, found in before):
        return before[0][0]
    return uuid.uuid4().hex


def _store_run(
    ledger: Ledger,
    report: LearnReport,
    weighed: Weighed,
    settings: Settings,
    began: datetime,
    epoch: int,
) -> None:
    ledger.save_run(
        epoch=epoch,
        run=RunRow(
            id=_run_id(ledger, report.rubrics),
            started=began,
            finished=datetime.now(UTC),
            settings=settings.model_dump(mode="json"),
            summary=report.model_dump(mode="json", exclude={"rubrics"}),
            contrasts=tuple(
                ContrastRow(
                    r.intent,
                    r.contrast.group,
                    r.contrast.other,
                    len(r.p) + len(r.family_p),
                    {"people": list(r.people), "turns": list(r.turns), "untested": r.untested},
                )
                for r in weighed.results
            ),
            aspects=tuple(
                AspectRow(
                    r.intent,
                    r.contrast.group,
                    r.contrast.other,
                    a.name,
                    a.status,
                    a.model_dump(mode="json"),
                )
                for r in report.rubrics
                for a in r.aspects
            ),
        ),
    )
