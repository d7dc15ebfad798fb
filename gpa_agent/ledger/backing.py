"""Who stands behind what is live, counted down when a person is forgotten.

What is served rests on at least k people a side. Weighing again takes its time and may have to
wait for a run that goes on; what fell under k by this one person is out at once, in the very
transaction that deletes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, and_, func, insert, select, update

from gpa_agent.conversations.records import GENERAL_INTENT, UNKNOWN
from gpa_agent.ledger.tables import conversations, labels, pairs, rubric_versions

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

_V = rubric_versions.c


class Cell(NamedTuple):
    """Where a person's turns count.

    Attributes:
        intent: What they were about; None where unknown.
        group: The person's group in them; None where unknown.
    """

    intent: str | None
    group: str | None


def cells_of(connection: Connection, person: str) -> set[Cell]:
    """The cells in which a person has conversations or pairs.

    Args:
        connection: In a transaction.
        person: Keyed hash of the person.
    """
    found: set[Cell] = set()
    for subject, table in (("conversation", conversations), ("pair", pairs)):
        said: dict[str, Any] = {}
        source: Any = table
        for kind in ("intent", "group"):
            label = labels.alias()
            of_it = and_(
                label.c.subject == subject, label.c.subject_id == table.c.id, label.c.kind == kind
            )
            source = source.outerjoin(label, of_it)
            stated = table.c.group_name if kind == "group" else table.c.intent
            said[kind] = func.coalesce(stated, func.nullif(label.c.value, UNKNOWN))
        statement = select(said["intent"], said["group"]).select_from(source).distinct()
        rows = connection.execute(statement.where(table.c.person == person))
        found |= {Cell(*row) for row in rows}
    return found


def count_down(
    connection: Connection, cells: Collection[Cell], *, min_people: int, at: datetime
) -> None:
    """Take a person out of the figures of what is live, and out of service what falls under k.

    Args:
        connection: In a write transaction.
        cells: Where the person counted.
        min_people: k: people that each side of a live item has at least.
        at: The time of a new version.
    """
    live = select(_V.intent, _V.group_name, _V.other, _V.version, _V.body).where(
        _V.status == "live"
    )
    for intent, group, other, version, body in connection.execute(live).all():
        groups = {c.group for c in cells if (c.intent or GENERAL_INTENT) == intent}
        sides = ({group} & groups) | ({other} & groups)
        if other == "*" and groups - {group}:
            sides.add(other)
        if not sides:
            continue
        aspects = [_less_one(aspect, sides) for aspect in body["aspects"]]
        here = and_(_V.intent == intent, _V.group_name == group, _V.other == other)
        same = update(rubric_versions).where(here, _V.version == version)
        connection.execute(same.values(body={**body, "aspects": aspects}))
        left = [a for a in aspects if _people(a) >= min_people]
        if len(left) == len(aspects):
            continue
        connection.execute(same.values(status="retired"))
        names = ", ".join(a["name"] for a in aspects if a not in left)
        connection.execute(
            insert(rubric_versions),
            {
                "intent": intent,
                "group_name": group,
                "other": other,
                "version": version + 1,
                "body": {**body, "aspects": left, "version": version + 1},
                "status": "live",
                "created_at": at,
                "reason": f"removed {names}: a person was forgotten, and fewer than "
                f"{min_people} stand behind it now",
            },
        )


def _less_one(aspect: dict[str, Any], sides: Collection[str]) -> dict[str, Any]:
    evidence = aspect.get("evidence")
    if not evidence:
        return aspect
    people = {side: n - (side in sides) for side, n in evidence["people"].items()}
    return {**aspect, "evidence": {**evidence, "people": people}}


def _people(aspect: dict[str, Any]) -> float:
    """People on the thinner side; a hand-written aspect rests on nobody and falls with nobody."""
    evidence = aspect.get("evidence")
    return min(evidence["people"].values()) if evidence else float("inf")
