"""From what a run found to what is served: which rubrics change, and into what.

Pure decisions. A new version appears only when what is served changes (which aspects, and
their guidance); new figures for the same aspects are in the run's record, not a new version.
A hand-written aspect (imported, without evidence) stays until a run finds evidence on its
trait or somebody rejects it; an aspect somebody rejected or rolled back stays out until it
is approved again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from gpa_agent.rubrics.records import Aspect, Rubric

HELD = "a person took it out (rejected or rolled back); approve it to serve it again"


def settle(
    found: Rubric, live: Rubric | None, *, publish: Literal["auto", "review"], held: Collection[str]
) -> Rubric:
    """Decide the status of everything a run found and of what was live before.

    Args:
        found: The run's rubric: passing aspects are ``approved``.
        live: What is served now for the same intent and contrast.
        publish: ``auto`` makes approved aspects live; ``review`` leaves them approved, unless the
            same guidance is live already.
        held: Names of aspects a person has taken out.

    Returns:
        The rubric with final statuses and the live version's number; aspects that were live and
        have lost their evidence are ``retired``, with the reason.
    """
    served = {a.name: a for a in live.aspects if a.status == "live"} if live else {}
    aspects: list[Aspect] = []
    for aspect in found.aspects:
        if aspect.status == "approved" and aspect.name in held:
            aspects.append(aspect.model_copy(update={"status": "retired", "reason": HELD}))
        elif aspect.status == "approved" and (
            publish == "auto" or _served_already(aspect, served.get(aspect.name))
        ):
            aspects.append(aspect.model_copy(update={"status": "live", "reason": None}))
        else:
            aspects.append(aspect)
    found_now = {a.name: i for i, a in enumerate(aspects)}
    for name, aspect in served.items():
        at = found_now.get(name)
        if at is not None and aspects[at].status in ("live", "retired"):
            continue
        if at is not None and aspects[at].status == "approved" and aspect.evidence is not None:
            # Under review, guidance that has turned waits, and the old one is not served either.
            continue
        if aspect.evidence is None:
            settled = aspect
        else:
            why = aspects[at].reason if at is not None else "the data no longer shows it"
            settled = aspect.model_copy(update={"status": "retired", "reason": f"was live: {why}"})
        if at is None:
            aspects.append(settled)
        else:
            aspects[at] = settled
    version = live.version if live else 0
    return found.model_copy(update={"aspects": tuple(aspects), "version": version})


def _served_already(aspect: Aspect, before: Aspect | None) -> bool:
    """Whether the same thing is asked of the model as before: nothing new to approve."""
    return before is not None and before.guidance == aspect.guidance


def only_live(rubric: Rubric) -> Rubric:
    """The rubric with nothing but its live aspects."""
    live = tuple(a for a in rubric.aspects if a.status == "live")
    return rubric.model_copy(update={"aspects": live})


def changes(before: Rubric | None, after: Rubric) -> str | None:
    """What a person would say has changed in what is served, or None where nothing has.

    Args:
        before: The live rubric, if any.
        after: The settled rubric.
    """
    old = {a.name: a.guidance for a in before.aspects if a.status == "live"} if before else {}
    new = {a.name: a.guidance for a in after.aspects if a.status == "live"}
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
