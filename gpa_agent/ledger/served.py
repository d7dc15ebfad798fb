"""What became of served turns: who got which arm, and whether the answer pleased.

The one place where the trace that a turn left (``turns.served``) is read again; what an item does
is told from these rows alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, func, select

from gpa_agent.conversations.records import UNKNOWN, Judgment
from gpa_agent.ledger.pending import LIVE, Pending, judged_turns
from gpa_agent.ledger.tables import conversations, labels, turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

HOLDOUT = "holdout"
"""The arm that gets plain answers."""


class OutcomeRow(NamedTuple):
    """A turn that the running app served, and how it went.

    Attributes:
        conversation: Id of the conversation.
        idx: Position of the turn, from 0.
        person: Keyed hash of the person; None where nobody was named.
        arm: ``tailored`` or ``holdout``.
        group: The group served; None where unknown.
        intent: The intent served; None where unknown.
        own_intent: What the conversation was about as stated by the app or told later by the
            stages; None where neither says.
        mode: ``context``, ``finetuned`` or ``plain``.
        version: Version of the rubric that was at hand, also where it was not applied; None where
            there was none for this intent and group.
        aspects: Names of the aspects the answer was given under; empty where none was.
        degraded: Why our part failed, or None.
        judgment: SAT, DSAT or NEITHER; None where nothing has judged the turn.
        at: When it was answered.
    """

    conversation: str
    idx: int
    person: str | None
    arm: str
    group: str | None
    intent: str | None
    own_intent: str | None
    mode: str
    version: int | None
    aspects: tuple[str, ...]
    degraded: str | None
    judgment: Judgment | None
    at: datetime


class Served(Pending):
    """Outcomes of served turns."""

    def outcomes(self, *, since: datetime | None = None, batch: int = 5000) -> Iterator[OutcomeRow]:
        """Turns that the running app served, judged or not.

        Args:
            since: Only turns answered then or later.
            batch: Rows read at a time.

        Yields:
            Rows in the order of (conversation, idx); turns of logs are not among them.
        """
        judged, later, c = judged_turns(), labels.alias("later"), conversations.c
        # A label that the turn itself brought is what was served, not what was found of it later.
        found = and_(
            later.c.subject == "conversation",
            later.c.subject_id == c.id,
            later.c.kind == "intent",
            later.c.version != LIVE,
        )
        statement = (
            select(
                turns.c.conversation_id,
                turns.c.idx,
                c.person,
                func.coalesce(c.intent, func.nullif(later.c.value, UNKNOWN)),
                judged.judgment,
                turns.c.at,
                turns.c.served,
            )
            .select_from(
                judged.source.join(conversations, c.id == turns.c.conversation_id).outerjoin(
                    later, found
                )
            )
            .where(turns.c.served.is_not(None))
        )
        if since is not None:
            statement = statement.where(turns.c.at >= since)
        for page in self._pages(statement, (turns.c.conversation_id, turns.c.idx), batch):
            for conversation, idx, person, own, judgment, at, trace in page:
                yield _outcome((conversation, idx, person), own, judgment, at, trace)


def _outcome(
    turn: tuple[str, int, str | None],
    own: str | None,
    judgment: int | None,
    at: datetime,
    trace: dict[str, Any],
) -> OutcomeRow:
    conversation, idx, person = turn
    return OutcomeRow(
        conversation=conversation,
        idx=idx,
        person=person,
        arm=trace.get("arm", "tailored"),
        group=_known(trace.get("group")),
        intent=_known(trace.get("intent")),
        own_intent=own,
        mode=trace.get("mode", "plain"),
        version=trace.get("rubric_version"),
        aspects=tuple(trace.get("aspects") or trace.get("guided") or ()),
        degraded=trace.get("degraded"),
        judgment=None if judgment is None else Judgment(judgment),
        at=at,
    )


def _known(name: str | None) -> str | None:
    return None if name == UNKNOWN else name
