"""Any record written as our JSON Lines reads back as itself."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.conversations import (
    Conversation,
    Judgment,
    Message,
    PreferencePair,
    Record,
    Turn,
    clean_text,
    read_log,
)

TEXT = st.text(max_size=30).map(clean_text).filter(str.strip)
NAME = st.none() | st.sampled_from(["novice", "expert", "données"])
ID = st.text("abc-19:é", min_size=1, max_size=12)
TIME = st.none() | st.floats(0, 4e9).map(
    lambda seconds: datetime.fromtimestamp(round(seconds, 3), UTC)
)
METADATA = st.dictionaries(st.sampled_from(["topic", "model"]), st.integers() | TEXT, max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns = draw(
        st.lists(
            st.builds(
                Turn,
                user=TEXT,
                assistant=TEXT,
                judgment=st.none() | st.sampled_from(Judgment),
                at=TIME,
            ),
            max_size=4,
        )
    )
    if not turns or draw(st.booleans()):
        turns.append(Turn(user=draw(TEXT)))
    return Conversation(
        id=draw(ID),
        turns=tuple(turns),
        user=draw(st.none() | ID),
        group=draw(NAME),
        intent=draw(NAME),
        metadata=draw(METADATA),
    )


@st.composite
def pairs(draw: st.DrawFn) -> PreferencePair:
    chosen, rejected = draw(st.lists(TEXT, min_size=2, max_size=2, unique=True))
    return PreferencePair(
        id=draw(ID),
        prompt=(Message("user", draw(TEXT)),),
        chosen=chosen,
        rejected=rejected,
        user=draw(st.none() | ID),
        group=draw(NAME),
        intent=draw(NAME),
        metadata=draw(METADATA),
    )


def written(record: Record) -> dict[str, Any]:
    raw: dict[str, Any] = dict(record.metadata) | {
        "id": record.id,
        "user": record.user,
        "group": record.group,
        "intent": record.intent,
    }
    if isinstance(record, PreferencePair):
        return raw | {
            "prompt": [m._asdict() for m in record.prompt],
            "chosen": record.chosen,
            "rejected": record.rejected,
        }
    messages: list[dict[str, Any]] = []
    for turn in record.turns:
        messages.append({"role": "user", "content": turn.user})
        if turn.assistant is not None:
            at = turn.at.isoformat() if turn.at else None
            messages.append(
                {
                    "role": "assistant",
                    "content": turn.assistant,
                    "judgment": turn.judgment,
                    "at": at,
                }
            )
    return raw | {"messages": messages}


@given(st.lists(conversations() | pairs(), min_size=1, max_size=5))
def test_any_record_reads_back_as_itself(records: list[Record]) -> None:
    log = "\n".join(json.dumps(written(record)) for record in records)
    assert list(read_log(io.BytesIO(log.encode()), format="gpa")) == records
