"""From what a run found to what is served: which rubrics change, and into what.

Pure decisions. A new version appears only when what is served changes (which aspects, and
their guidance); new figures for the same aspects are in the run's record, not a new version.
A hand-written aspect (imported, without evidence) stays until a run finds evidence on its
trait or somebody rejects it; an aspect somebody rejected or rolled back stays out until it
is approved again, and one somebody rolled back to stays as it is until it is rejected; one that
the harm watch wants gone goes at once.

What has not passed for long enough waits, and so does everything where too few people were heard
since the last change (`learning/ripening.py`; the reason starts ``waits: ``).

Three things are not published by themselves, but wait for a person (``approved``, with a reason
that starts ``quarantined: ``; `docs/decisions/0012-quarantine.md`): a finding that a few people
acting together could have brought about, a large jump against what is live or was lately, and
other words for what a person rolled back to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from gpa_agent.ledger.rows import StoredRubric
from gpa_agent.rubrics.gate import Q_ABOVE, GateConfig, refusal
from gpa_agent.rubrics.records import CLAIMED, Aspect, Rubric

HELD = "a person took it out (rejected or rolled back); approve it to serve it again"
PINNED = "a person rolled back to what is live; approve it to serve this instead"
QUARANTINED = "quarantined: "
"""How the reason of an aspect begins that a person has to approve also under ``auto``."""
WAITS = "waits: "
"""How the reason of an aspect begins that opens by itself later; who approves it need not wait."""
MAX_LIVE = 12
"""Items a rubric serves at most: more than a dozen wishes is a style guide that models skim."""
_FULL = f"the rubric serves {MAX_LIVE} items already, those with the clearest evidence"
KEEP_Q = 2.0
"""How many times the q-value that serves an item may it have to stay served. An item that hovers
about the mark would else come and go with every run, and each time begin again with nothing."""
_SMALL = 4
"""Live items below which replacing most of a rubric is no jump: of three, two are soon most."""

_NOBODY: Final[Mapping[str, str]] = MappingProxyType({})
_NOTHING: Final[Mapping[str, Aspect]] = MappingProxyType({})


def settle(
    found: Rubric,
    live: Rubric | None,
    *,
    publish: Literal["auto", "review", "nothing"],
    held: Collection[str],
    pinned: Collection[str] = (),
    lately: Mapping[str, Aspect] = _NOTHING,
    harmed: Mapping[str, str] = _NOBODY,
    borne_out: Mapping[str, str] = _NOBODY,
    unripe: Mapping[str, str] = _NOBODY,
    too_few: str | None = None,
    colluders: float = 0.0,
    keep: GateConfig | None = None,
) -> Rubric:
    """Decide the status of everything a run found and of what was live before.

    Args:
        found: The run's rubric: passing aspects are ``approved``, those with the clearest evidence
            first.
        live: What is served now for the same intent and contrast.
        publish: ``auto`` makes approved aspects live, unless they are quarantined; ``review``
            leaves them approved, unless the same guidance is live already; ``nothing`` does so
            too, and what ``auto`` would quarantine is quarantined.
        held: Names of aspects a person has taken out.
        pinned: Names of aspects a person has rolled back to: they stay as they are.
        lately: As `last_served` says: what turns it to its opposite is a jump too.
        harmed: Aspects that are to retire, also where this run's evidence would pass, each with
            its reason.
        borne_out: Aspects that are live and whose served turns please more than the holdout's: they
            stay where this run has too little evidence left to find them.
        unripe: Aspects that pass and may not open yet under ``auto``, each with its reason.
        too_few: Why nothing may open or retire for its evidence this time; None: it may.
        colluders: The share of one side's people, in [0, 1], that a finding must not rest on; one
            person's share is the least.
        keep: The gate that an item has to pass to stay served, where it is wider than the one
            that serves it; only the q-value is told apart.

    Returns:
        The rubric with final statuses and the live version's number, each name once; aspects that
        were live and have lost their evidence are ``retired``, with the reason. What to serve of it
        says `only_live`.
    """
    served = _served(live)
    found_now = [_steadied(a, served.get(a.name), keep) for a in found.aspects]
    aspects = [_taken_out(a, served, held, harmed) for a in found_now]
    aspects = [_pinned(a, served.get(a.name)) if a.name in pinned else a for a in aspects]
    jump = None
    if publish != "review":
        aspects = [_suspected(a, served.get(a.name), colluders) for a in aspects]
        loose = {n: a for n, a in served.items() if n not in harmed and n not in pinned}
        jump = _jump(aspects, loose, lately)
    waits = dict(unripe) if publish != "review" else {}
    if too_few is not None:
        waits = dict.fromkeys((a.name for a in aspects), too_few)
    anew = publish == "auto"
    aspects = [_opened(a, served.get(a.name), jump, waits.get(a.name), anew=anew) for a in aspects]
    stay = {*borne_out, *pinned} if jump is None and too_few is None else served.keys()
    aspects = _carried(aspects, served, harmed, stay)
    version = live.version if live else 0
    return found.model_copy(
        update={"aspects": tuple(_limited(aspects, served)), "version": version}
    )


def _served(rubric: Rubric | None) -> dict[str, Aspect]:
    return {a.name: a for a in rubric.aspects if a.status == "live"} if rubric else {}


def _with(aspect: Aspect, status: str, reason: str | None) -> Aspect:
    return aspect.model_copy(update={"status": status, "reason": reason})


def _kept(aspect: Aspect) -> Aspect:
    return _with(aspect, "live", None)


def _steadied(aspect: Aspect, before: Aspect | None, keep: GateConfig | None) -> Aspect:
    """Let what is served pass where only its q-value has gone a little over the mark."""
    hovers = (
        keep is not None
        and before is not None
        and before.guidance == aspect.guidance
        and aspect.status == "candidate"
        and aspect.evidence is not None
        and (aspect.reason or "").startswith(Q_ABOVE)
        and not refusal(
            aspect.evidence,
            rating=aspect.rating,
            guidance=aspect.guidance,
            protected=False,
            config=keep,
        )
    )
    return _with(aspect, "approved", None) if hovers else aspect


def _served_already(aspect: Aspect, before: Aspect | None) -> bool:
    """Whether the same thing is asked of the model as before: nothing new to approve."""
    return aspect.status == "approved" and before is not None and before.guidance == aspect.guidance


def _taken_out(
    aspect: Aspect,
    served: Mapping[str, Aspect],
    held: Collection[str],
    harmed: Mapping[str, str],
) -> Aspect:
    if aspect.name in harmed:
        return _with(aspect, "retired", _why_gone(harmed[aspect.name], aspect.name in served))
    if aspect.status == "approved" and aspect.name in held:
        return _with(aspect, "retired", HELD)
    return aspect


def _pinned(aspect: Aspect, before: Aspect | None) -> Aspect:
    """Quarantine what would be asked instead of what a person rolled back to."""
    if aspect.status != "approved" or before is None or _served_already(aspect, before):
        return aspect
    return _with(aspect, "approved", f"{QUARANTINED}{PINNED}")


def _why_gone(reason: str, was_live: bool) -> str:
    return f"was live: {reason}" if was_live else reason


def _suspected(aspect: Aspect, before: Aspect | None, colluders: float) -> Aspect:
    """Quarantine what too few people could have brought about; what is live was looked at."""
    if aspect.status != "approved" or _served_already(aspect, before) or aspect.evidence is None:
        return aspect
    # A model's claim rests on so many people by itself: one voice among few never writes one.
    one = 0.0 if aspect.family == CLAIMED else 1.0 / max(1, min(aspect.evidence.people.values()))
    needed = max(colluders, one)
    if aspect.evidence.withstands >= needed:
        return aspect
    return _with(
        aspect,
        "approved",
        f"{QUARANTINED}it would not survive that {needed:.0%} of one side's people had acted "
        f"together (the setting colluders), only {aspect.evidence.withstands:.0%}",
    )


def is_quarantined(aspect: Aspect) -> bool:
    """Whether a person has to approve it also under ``auto``."""
    return aspect.status == "approved" and (aspect.reason or "").startswith(QUARANTINED)


def is_withheld(aspect: Aspect) -> bool:
    """Whether it passes and is not served yet: it is quarantined, or waits."""
    waits = aspect.status == "approved" and (aspect.reason or "").startswith(WAITS)
    return waits or is_quarantined(aspect)


def _jump(
    aspects: Sequence[Aspect], served: Mapping[str, Aspect], lately: Mapping[str, Aspect]
) -> str | None:
    """Why what was found is too large a step from what is live, or was lately, or None.

    Taking items out is never a jump: less guidance is nearer to the plain answer.
    """
    passing = {a.name: a for a in aspects if a.status == "approved" and not is_quarantined(a)}
    known = {**lately, **served}
    turned = sorted(n for n in passing.keys() & known.keys() if _turns(known[n], passing[n]))
    if turned:
        return f"what is asked of {', '.join(turned)} would turn to its opposite in one step"
    same = {n for n, a in passing.items() if _served_already(a, served.get(n))}
    gone = {n for n, a in served.items() if n not in same and a.evidence is not None}
    if len(served) >= _SMALL and 2 * len(gone) > len(served) and passing.keys() - same:
        return f"{len(gone)} of {len(served)} live items would be replaced at once"
    return None


def _turns(before: Aspect, after: Aspect) -> bool:
    """Whether a group would be asked for the reverse: the sign of the effect, or sides swapped."""
    if before.guidance == after.guidance:
        return False
    figures = before.evidence, after.evidence
    effects = [e.effect for e in figures if e is not None]
    swapped = any(
        words == asked and group != other
        for group, words in after.guidance.items()
        for other, asked in before.guidance.items()
    )
    return swapped or (len(effects) == 2 and effects[0] * effects[1] < 0)


def _opened(
    aspect: Aspect, before: Aspect | None, jump: str | None, waits: str | None, *, anew: bool
) -> Aspect:
    """Live, unless withheld, or new where nothing new is to be served."""
    if aspect.status != "approved" or is_quarantined(aspect):
        return aspect
    if _served_already(aspect, before):
        return _kept(aspect)
    if jump is not None:
        return _with(aspect, "approved", f"{QUARANTINED}{jump}")
    if waits is not None:
        return _with(aspect, "approved", f"{WAITS}{waits}")
    return _kept(aspect) if anew else aspect


def _carried(
    aspects: Sequence[Aspect],
    served: Mapping[str, Aspect],
    harmed: Mapping[str, str],
    stay: Collection[str],
) -> list[Aspect]:
    """Add what was live and is not settled yet: it stays, or retires with the reason."""
    settled = {a.name: a for a in aspects}
    for name, before in served.items():
        now = settled.get(name)
        # What is withheld keeps its name; `only_live` serves what was live before. Under review,
        # guidance that has turned waits, and the old one is not served either.
        waits = now is not None and now.status == "approved" and before.evidence is not None
        if now is not None and (now.status in ("live", "retired") or is_withheld(now) or waits):
            continue
        if name in harmed:
            settled[name] = _with(before, "retired", _why_gone(harmed[name], was_live=True))
        elif before.evidence is None or name in stay:
            settled[name] = before
        else:
            why = now.reason if now is not None else "the data no longer shows it"
            settled[name] = _with(before, "retired", f"was live: {why}")
    return list(settled.values())


def _limited(aspects: Sequence[Aspect], served: Mapping[str, Aspect]) -> list[Aspect]:
    """At most `MAX_LIVE` live items: those served already first, then in the order given."""
    live = sorted((a for a in aspects if a.status == "live"), key=lambda a: a.name not in served)
    over = {a.name for a in live[MAX_LIVE:]}
    return [_with(a, "candidate", _FULL) if a.name in over else a for a in aspects]


class _Life(NamedTuple):
    """The last time that an item was served.

    Attributes:
        aspect: As it was served.
        began: When the last version that had it was published.
        ended: When the next one took its place.
    """

    aspect: Aspect
    began: datetime
    ended: datetime


def last_served(
    history: Sequence[StoredRubric],
    *,
    turned: Mapping[str, datetime] = MappingProxyType({}),
    since: datetime | None = None,
) -> dict[str, Aspect]:
    """What a rubric serves no more and did lately, by name, as it was last served.

    Without what the harm watch took out: its taste is known to have turned.

    Args:
        history: Every version, oldest first.
        turned: When the harm watch took items out.
        since: What was served later than that is lately; None: all is.
    """
    served = [_served(Rubric.model_validate(stored.body)) for stored in history]
    lives: dict[str, _Life] = {}
    for items, (stored, after) in zip(served, pairwise(history), strict=False):
        for name, aspect in items.items():
            lives[name] = _Life(aspect, stored.created_at, after.created_at)
    serving = served[-1] if served else {}
    return {
        name: life.aspect
        for name, life in lives.items()
        if name not in serving
        and (since is None or life.ended >= since)
        and not (name in turned and turned[name] >= life.began)
    }


def only_live(rubric: Rubric, before: Rubric | None = None) -> Rubric:
    """What is to be served of a settled rubric.

    Args:
        rubric: As `settle` returns it.
        before: What was live, as given to `settle`: it stands in for what is withheld.
    """
    served = _served(before)
    stands = [served.get(a.name) if is_withheld(a) else a for a in rubric.aspects]
    live = tuple(a for a in stands if a is not None and a.status == "live")
    return rubric.model_copy(update={"aspects": live})


def changes(before: Rubric | None, after: Rubric) -> str | None:
    """What a person would say has changed in what is served, or None where nothing has.

    Args:
        before: The live rubric, if any.
        after: The settled rubric.
    """
    old = {n: a.guidance for n, a in _served(before).items()}
    new = {a.name: a.guidance for a in only_live(after, before).aspects}
    if old == new:
        return None
    parts = [
        (f"added {', '.join(sorted(new.keys() - old.keys()))}", new.keys() - old.keys()),
        (f"removed {', '.join(sorted(old.keys() - new.keys()))}", old.keys() - new.keys()),
        (
            f"changed {', '.join(sorted(n for n in new.keys() & old.keys() if new[n] != old[n]))}",
            {n for n in new.keys() & old.keys() if new[n] != old[n]},
        ),
    ]
    return "; ".join(text for text, names in parts if names)
