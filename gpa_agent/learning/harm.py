"""What serving an item does: whether its turns please less, or more, than those of the held-out.

A served item shapes the very answers that it is judged by, so its own turns are no evidence about
it: the comparison with the held-out is (`learning/lift.py`). That an item pleased before the tastes
turned must not hide that it does not now, so stretches that reach back from now to many earlier
moments are looked at. Each such start has its share of the error rate, fixed beforehand, and its
own confidence sequence (`rubrics/sequential.py`): however often one looks, and over its whole life,
an item that does no harm is called harmful with probability of at most `ALPHA`, as far as the
sequence's asymptotics carry. One that does good is so called far more rarely, and of one that does
neither nothing is lost: hence 0.1.

Starts stand on a grid of blocks of `BLOCK` judged turns. While the life is longer than 32 blocks
the grid is made twice as coarse, so that there are at most 32 starts at any time. The first 32
share half of the error rate, those that a doubling adds share 1/6, 1/12, 1/20 ... of it, which
sums to 1. (Shin, Ramdas, Rinaldo, "E-detectors", arXiv 2203.03532, start a detector at every moment
likewise and bound the time between false alarms; shares that sum to 1 bound a whole life.)

What does good is told in the same way, from the turns of one half-life alone, since what pleased
long ago speaks for nothing: it keeps an item that is served to almost everybody, and so has hardly
any other evidence left.

An item that speaks to both groups of its contrast is looked at in both together (half of the error
rate) and in each (a quarter): one group's gain must not pay for the other's loss.

Measured (`benchmarks/looking_early.py`; simulated, an item that speaks to two groups, moods of
0.5 log-odds, a look after every 50 turns, 120 runs each). False alarms within 3,000 turns where
serving does nothing: 0 with 100 people of whom 20 are held out, 0 with moods of 1.0, 5 with 400
people of whom 20 are held out; 0 where it pleases more. Where the satisfaction of the tailored
falls from 0.75 to 0.45 after 1,000 turns, of 100 people with 20 held out: harm is found after 400
turns more (median; nine in ten of those found: 865), in 98% of runs, where the held-out stand at
0.75; where they stand at 0.60 it is found in 33% of runs within 3,000 turns: moods of 20 people
hide a difference of 0.15. With 200 people and the held-out at 0.65: in 92%, after 800 (1,775).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import Judgment
from gpa_agent.learning.lift import ENOUGH, Enough
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import StoredRubric
from gpa_agent.ledger.served import HOLDOUT
from gpa_agent.rubrics.records import Rubric
from gpa_agent.rubrics.sequential import Counts, difference, half_width
from gpa_agent.rubrics.snapshot import build_snapshot

ALPHA: Final = 0.1
"""Probability that an item that does no harm is ever called harmful."""

BLOCK: Final = 25
"""Judged turns between two starts that are looked at, in a young item's life."""

_STARTS: Final = 32

Place = tuple[str, str, str]
"""(intent, group, other) of a rubric."""


class _Watched(NamedTuple):
    """Items that were served to the same people at the same times.

    Attributes:
        since: The version their present life began with.
        at: When that was published.
        groups: Whom they speak to.
    """

    since: int
    at: datetime
    groups: frozenset[str]


class ServedTurn(NamedTuple):
    """A judged turn under a live rubric.

    Attributes:
        at: When it was answered.
        group: The group served.
        version: The rubric's version.
        person: Whose it is.
        held_out: Whether they got the plain answer.
        pleased: Whether it pleased; else it displeased.
    """

    at: datetime
    group: str
    version: int
    person: str
    held_out: bool
    pleased: bool


class Effect(NamedTuple):
    """A stretch up to now in which served turns please less, or more, than the holdout's.

    Attributes:
        value: Satisfaction of the tailored less that of the held-out.
        low: Lower end of its interval, simultaneous over all stretches and looks.
        high: Upper end; of the same sign.
        turns: Judged turns of the tailored in it.
        people: How many tailored people they are of.
        group: The group it is told of; None for all that the item speaks to.
    """

    value: float
    low: float
    high: float
    turns: int
    people: int
    group: str | None


Named = dict[Place, dict[str, str]]
"""By rubric, names of items and what speaks for it."""


class Effects(NamedTuple):
    """What serving does, as far as it can be told.

    Attributes:
        harmed: Items whose served turns please less than the holdout's, of late.
        borne_out: Items whose served turns please more.
    """

    harmed: Named
    borne_out: Named


def served_effects(
    ledger: Ledger, *, half_life_days: float | None = None, enough: Enough = ENOUGH
) -> Effects:
    """What serving each live item does.

    Args:
        ledger: Where served turns and versions are.
        half_life_days: Days, back from the newest turn, in which good must show; None: any.
        enough: What each arm needs in a stretch before anything is said of it.

    Returns:
        The items, and why. An item's life begins with the version that brought it, or its present
        guidance, and what went before says nothing.
    """
    live = [Rubric.model_validate(stored.body) for stored in ledger.live_rubrics()]
    watched = {_place(rubric): _watched(ledger, rubric) for rubric in live}
    since = min((w.at for items in watched.values() for w in items), default=None)
    turns = _turns(ledger, live, since)
    effects = Effects({}, {})
    for place, items in watched.items():
        for watch, names in items.items():
            lived = [t for t in turns[place] if t.version >= watch.since]
            harm = find_harm(lived, watch.groups, enough=enough)
            good = find_good(_late(lived, half_life_days), watch.groups, enough=enough)
            for found, named in ((harm, effects.harmed), (good, effects.borne_out)):
                if found is not None:
                    named.setdefault(place, {}).update(dict.fromkeys(names, _reason(found)))
    return effects


def _late(turns: Sequence[ServedTurn], days: float | None) -> Sequence[ServedTurn]:
    if days is None or not turns:
        return turns
    begin = turns[-1].at - timedelta(days=days)
    return [turn for turn in turns if turn.at >= begin]


def _place(rubric: Rubric) -> Place:
    return rubric.intent, rubric.contrast.group, rubric.contrast.other


def _watched(ledger: Ledger, rubric: Rubric) -> dict[_Watched, list[str]]:
    intent, group, other = _place(rubric)
    history = ledger.history(intent=intent, group=group, other=other)
    found: dict[_Watched, list[str]] = {}
    for aspect in rubric.aspects:
        if aspect.status == "live":
            first = _first(history, aspect.name)
            watch = _Watched(first.version, first.created_at, frozenset(aspect.guidance))
            found.setdefault(watch, []).append(aspect.name)
    return found


def _first(history: Sequence[StoredRubric], name: str) -> StoredRubric:
    """The version from which on an item was live with the guidance it has now."""
    guidance = _guidance(history[-1], name)
    first = history[-1]
    for stored in reversed(history):
        if _guidance(stored, name) != guidance:
            break
        first = stored
    return first


def _guidance(stored: StoredRubric, name: str) -> dict[str, str] | None:
    aspects = Rubric.model_validate(stored.body).aspects
    return next((a.guidance for a in aspects if a.name == name and a.status == "live"), None)


def _turns(
    ledger: Ledger, live: Sequence[Rubric], since: datetime | None
) -> dict[Place, list[ServedTurn]]:
    """Judged turns of known people under each live rubric, oldest first."""
    serving = build_snapshot(live, {}, revision=0).rubrics
    found = defaultdict[Place, list[ServedTurn]](list)
    for row in ledger.outcomes(since=since) if since else ():
        if row.person is None or row.version is None or row.judgment in (None, Judgment.NEITHER):
            continue
        rubric = serving.get((row.intent or "", row.group or ""))
        if rubric is not None:
            found[_place(rubric)].append(
                ServedTurn(
                    row.at,
                    row.group or "",
                    row.version,
                    row.person,
                    row.arm == HOLDOUT,
                    row.judgment is Judgment.SAT,
                )
            )
    for turns in found.values():
        turns.sort(key=lambda turn: turn.at)
    return found


def find_harm(
    turns: Sequence[ServedTurn], groups: frozenset[str], *, enough: Enough = ENOUGH
) -> Effect | None:
    """The stretch that shows most clearly that serving does harm, or None.

    Args:
        turns: Turns of an item's life, oldest first.
        groups: The groups it speaks to; turns of others say nothing.
        enough: What each arm needs in a stretch.
    """
    found = (e for e in _effects(turns, groups, enough) if e.high < 0)
    return min(found, key=lambda effect: effect.high, default=None)


def find_good(
    turns: Sequence[ServedTurn], groups: frozenset[str], *, enough: Enough = ENOUGH
) -> Effect | None:
    """The stretch that shows most clearly that serving does good, or None; as `find_harm`."""
    found = (e for e in _effects(turns, groups, enough) if e.low > 0)
    return max(found, key=lambda effect: effect.low, default=None)


def _effects(
    turns: Sequence[ServedTurn], groups: frozenset[str], enough: Enough
) -> Iterator[Effect]:
    for group, portion in _portions(groups):
        theirs = [t for t in turns if t.group == group or (group is None and t.group in groups)]
        yield from _stretches(theirs, portion, enough, group)


def _portions(groups: frozenset[str]) -> Iterator[tuple[str | None, float]]:
    """Whom to look at, and the portion of the error rate that goes with it."""
    if len(groups) == 1:
        yield None, 1.0
        return
    yield None, 0.5
    for group in sorted(groups):
        yield group, 0.5 / len(groups)


def _stretches(
    turns: Sequence[ServedTurn], portion: float, enough: Enough, group: str | None
) -> Iterator[Effect]:
    """Stretches up to now in which the arms differ, sequential intervals and all."""
    if len(turns) < 2 * enough.turns:
        return
    grid = _grid(len(turns))
    tailored, holdout = _by_stretch(turns, grid.step, len(grid.portions))
    found = difference(tailored, holdout)
    # Of an interval at 2 alpha, one end misses with alpha, and each question looks at one end.
    half = half_width(found, alpha=2 * ALPHA * portion * grid.portions)
    known = np.logical_and.reduce(
        [
            ((arm.judged > 0).sum(-1) >= enough.people) & (arm.judged.sum(-1) >= enough.turns)
            for arm in (tailored, holdout)
        ]
    )
    for i in np.flatnonzero(known & (np.abs(found.value) > half)):
        yield Effect(
            float(found.value[i]),
            max(-1.0, float(found.value[i] - half[i])),
            min(1.0, float(found.value[i] + half[i])),
            int(tailored.judged[i].sum()),
            int((tailored.judged[i] > 0).sum()),
            group,
        )


class _Grid(NamedTuple):
    """Starts that are looked at in a life of some length.

    Attributes:
        step: Turns between two starts.
        portions: (starts,) of the error rate.
    """

    step: int
    portions: NDArray[np.float64]


def _grid(turns: int) -> _Grid:
    """The starts of a life: a function of its length alone, so nothing is chosen afterwards."""
    blocks = -(-turns // BLOCK)
    coarse = max(0, (-(-blocks // _STARTS) - 1).bit_length())
    starts = np.arange(0, blocks, 2**coarse)
    # The doubling at which a start joins: 0 for the first 32, m for those from 32 * 2^(m-1) on.
    joined = np.array([int(s // _STARTS).bit_length() for s in starts])
    sharing = np.where(joined == 0, _STARTS, _STARTS / 2)
    return _Grid(BLOCK * 2**coarse, 1 / ((joined + 1) * (joined + 2) * sharing))


def _by_stretch(turns: Sequence[ServedTurn], step: int, starts: int) -> tuple[Counts, Counts]:
    """(starts, people) counts from each start up to now: of the tailored, of the held-out."""
    # Whoever changed arms, as the holdout was enlarged, is one person in each.
    people = {key: i for i, key in enumerate(dict.fromkeys((t.person, t.held_out) for t in turns))}
    rows = np.arange(len(turns)) // step
    columns = np.array([people[t.person, t.held_out] for t in turns])
    judged, pleased = np.zeros((2, starts, len(people)))
    np.add.at(judged, (rows, columns), 1)
    np.add.at(pleased, (rows, columns), [t.pleased for t in turns])
    judged, pleased = (np.cumsum(a[::-1], axis=0)[::-1] for a in (judged, pleased))
    held_out = np.array([out for _, out in people])
    return (
        Counts(pleased[:, ~held_out], judged[:, ~held_out]),
        Counts(pleased[:, held_out], judged[:, held_out]),
    )


def _reason(effect: Effect) -> str:
    whose = "" if effect.group is None else f" of {effect.group!r}"
    than = "more" if effect.value > 0 else "less"
    return (
        f"served turns{whose} please {than} than the holdout's: {effect.value:+.2f} "
        f"[{effect.low:+.2f}, {effect.high:+.2f}] over {effect.turns} turns of "
        f"{effect.people} people"
    )
