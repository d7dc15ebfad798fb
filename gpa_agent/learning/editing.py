"""What people do with rubrics: look, approve, reject, roll back, import.

Functions over the ledger. Every change of what is served is a new version with its reason, and
every decision is kept, so that a later run does not undo it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpa_agent.errors import UsageError
from gpa_agent.learning.publishing import HELD, MAX_LIVE, is_withheld
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import StoredRubric
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric

IMPORTED = "imported: no evidence in this workspace"


def live_rubrics(ledger: Ledger) -> list[Rubric]:
    """What is served now, by intent and contrast."""
    return [Rubric.model_validate(r.body) for r in ledger.live_rubrics()]


def all_rubrics(ledger: Ledger) -> list[Rubric]:
    """Everything the last run found, and what is live, by intent and contrast."""
    live = {_key(r): r for r in live_rubrics(ledger)}
    found: dict[tuple[str, str, str], list[Aspect]] = {}
    for row in ledger.aspects_of_latest():
        aspect = Aspect.model_validate(row.body)
        found.setdefault((row.intent, row.group, row.other), []).append(aspect)
    merged: list[Rubric] = []
    for key in sorted(live.keys() | found.keys() | set(ledger.tested_contrasts())):
        serving = live[key].aspects if key in live else ()
        held, asked = ledger.held(*key), {a.name: a.guidance for a in serving}
        rest = [
            _not_served(a, held)
            for a in found.get(key, [])
            if a.name not in asked or (is_withheld(a) and a.guidance != asked[a.name])
        ]
        intent, group, other = key
        merged.append(
            Rubric(
                intent=intent,
                contrast=ContrastModel(group=group, other=other),
                version=ledger.latest_version(*key),
                aspects=(*serving, *rest),
            )
        )
    return merged


def _not_served(aspect: Aspect, held: frozenset[str]) -> Aspect:
    """An aspect of the last run as it stands now that it is not served."""
    if aspect.name in held and aspect.status in ("live", "approved"):
        return aspect.model_copy(update={"status": "retired", "reason": HELD})
    if aspect.status == "live":
        return aspect.model_copy(update={"status": "approved", "reason": None})
    return aspect


def approve(ledger: Ledger, *, intent: str, name: str | None, group: str | None) -> list[Rubric]:
    """Serve aspects that passed and wait, or that a person had taken out.

    Raises:
        UsageError: There is no such aspect, it did not pass (the reason is named), or the rubric
            would be too long.
    """
    rubrics = rubrics_of(ledger, intent, group)
    changed: list[Rubric] = []
    for rubric in rubrics:
        chosen = [a for a in rubric.aspects if _approvable(a, name)]
        if chosen:
            names = [a.name for a in chosen]
            _check_room(rubric, names)
            ledger.release(*_key(rubric), names=names)
            serving = [a for a in rubric.aspects if a.status == "live" and a.name not in names]
            serving += [a.model_copy(update={"status": "live", "reason": None}) for a in chosen]
            reason = f"approved {', '.join(names)}"
            changed.append(_publish(ledger, rubric, serving, reason=reason))
    if not changed:
        raise UsageError(_why_not_approvable(rubrics, intent, name))
    return changed


def _check_room(rubric: Rubric, names: Sequence[str]) -> None:
    live = {a.name for a in rubric.aspects if a.status == "live"} | set(names)
    if len(live) > MAX_LIVE:
        raise UsageError(
            f"the rubric of {rubric.intent!r} would serve {len(live)} items; {MAX_LIVE} are "
            "allowed. Approve them by name, or reject some first (`gpa rubrics reject`)"
        )


def reject(ledger: Ledger, *, intent: str, name: str, group: str | None) -> list[Rubric]:
    """Take an aspect out, now and for later runs, until somebody approves it.

    Raises:
        UsageError: The intent has no such aspect.
    """
    changed: list[Rubric] = []
    for rubric in rubrics_of(ledger, intent, group):
        aspect = next((a for a in rubric.aspects if a.name == name), None)
        if aspect is None:
            continue
        ledger.hold(*_key(rubric), names=[name])
        if aspect.status == "live":
            serving = [a for a in rubric.aspects if a.status == "live" and a.name != name]
            rubric = _publish(ledger, rubric, serving, reason=f"rejected {name}")  # noqa: PLW2901 -- the rubric as it is now
        changed.append(rubric)
    if not changed:
        raise UsageError(f"intent {intent!r} has no aspect {name!r}; see `gpa rubrics list`")
    return changed


def rollback(ledger: Ledger, *, intent: str, version: int, group: str | None) -> Rubric:
    """Serve an earlier version again; what it lacks stays out until approved.

    What it has stays, whatever a run finds, until a person takes it out or it does harm.

    Raises:
        UsageError: There is no such version, or the intent has several contrasts and
            ``group`` does not say which.
    """
    rubrics = rubrics_of(ledger, intent, group)
    if len(rubrics) > 1:
        names = ", ".join(repr(r.contrast.group) for r in rubrics)
        raise UsageError(f"intent {intent!r} has several contrasts; name the group: {names}")
    intent, group, other = _key(rubrics[0])
    stored = ledger.restore(
        intent=intent,
        group=group,
        other=other,
        version=version,
        reason=f"rolled back to version {version}",
    )
    return Rubric.model_validate(stored.body)


def history(ledger: Ledger, *, intent: str, group: str | None) -> list[StoredRubric]:
    """Every version of an intent's rubrics with its reason, oldest first."""
    versions: list[StoredRubric] = []
    for rubric in rubrics_of(ledger, intent, group):
        i, g, o = _key(rubric)
        versions += ledger.history(intent=i, group=g, other=o)
    return versions


def import_rubrics(ledger: Ledger, rubrics: Iterable[Rubric]) -> list[Rubric]:
    """Serve hand-written rubrics as seeds, marked as having no evidence here.

    Args:
        ledger: Where they go.
        rubrics: Their aspects' evidence, if any, was found on other data and is dropped.

    Raises:
        UsageError: A rubric would serve more items than are allowed.
    """
    listed, live = list(rubrics), {_key(r): r for r in live_rubrics(ledger)}
    for rubric in listed:
        empty = rubric.model_copy(update={"aspects": ()})
        _check_room(live.get(_key(rubric), empty), [a.name for a in rubric.aspects])
    return [_import(ledger, rubric) for rubric in listed]


def _import(ledger: Ledger, rubric: Rubric) -> Rubric:
    live = next((r for r in live_rubrics(ledger) if _key(r) == _key(rubric)), None)
    seeds = [
        a.model_copy(update={"status": "live", "evidence": None, "reason": IMPORTED})
        for a in rubric.aspects
    ]
    names = {s.name for s in seeds}
    kept = [a for a in (live.aspects if live else ()) if a.name not in names]
    ledger.release(*_key(rubric), names=sorted(names))
    return _publish(ledger, rubric, [*kept, *seeds], reason="imported")


def _key(rubric: Rubric) -> tuple[str, str, str]:
    return rubric.intent, rubric.contrast.group, rubric.contrast.other


def rubrics_of(ledger: Ledger, intent: str, group: str | None) -> list[Rubric]:
    """The rubrics of an intent, or of those contrasts of it that a group stands in.

    Raises:
        UsageError: There are none; those that there are are named.
    """
    everything = all_rubrics(ledger)
    found = [
        r
        for r in everything
        if r.intent == intent and group in (None, r.contrast.group, r.contrast.other)
    ]
    if not found:
        known = ", ".join(sorted({repr(r.intent) for r in everything})) or "none yet"
        raise UsageError(f"there is no rubric of intent {intent!r}; there are: {known}")
    return found


def _publish(ledger: Ledger, rubric: Rubric, aspects: Sequence[Aspect], *, reason: str) -> Rubric:
    body = rubric.model_copy(update={"aspects": tuple(aspects)}).model_dump(mode="json")
    return Rubric.model_validate(ledger.publish(body, reason=reason).body)


def _approvable(aspect: Aspect, name: str | None) -> bool:
    if name is None:
        return aspect.status == "approved"
    return aspect.name == name and (aspect.status == "approved" or aspect.reason == HELD)


def _why_not_approvable(rubrics: Sequence[Rubric], intent: str, name: str | None) -> str:
    if name is None:
        return f"intent {intent!r} has nothing that waits for approval"
    for rubric in rubrics:
        for aspect in rubric.aspects:
            if aspect.name == name:
                if aspect.status == "live":
                    return f"{name!r} is live already"
                return f"{name!r} did not pass and cannot be approved: {aspect.reason}"
    return f"intent {intent!r} has no aspect {name!r}; see `gpa rubrics list`"
