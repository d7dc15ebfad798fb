from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.conversations import (
    BadLine,
    Conversation,
    Judgment,
    Message,
    PreferencePair,
    Record,
    Turn,
    read_log,
)
from gpa_agent.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def read(*objects: Any, form: str | None = None, group_by: str | None = None) -> list[Record]:
    log = io.BytesIO("\n".join(map(json.dumps, objects)).encode())
    found = list(read_log(log, format=form, group_by=group_by))
    assert not [item for item in found if isinstance(item, BadLine)]
    return [item for item in found if not isinstance(item, BadLine)]


def conversation(raw: dict[str, Any], form: str | None = None) -> Conversation:
    (record,) = read(raw, form=form)
    assert isinstance(record, Conversation)
    return record


def pair(raw: dict[str, Any]) -> PreferencePair:
    (record,) = read(raw)
    assert isinstance(record, PreferencePair)
    return record


def reason(raw: dict[str, Any], form: str | None = None) -> str:
    """The reason why a record is bad, read beside a good one of the same format."""
    good = {"messages": [{"role": "user", "content": "ok"}]}
    lines = [raw] if form else [good, raw]
    found: list[Record | BadLine] = []
    try:
        for item in read_log(io.BytesIO("\n".join(map(json.dumps, lines)).encode()), format=form):
            found.append(item)  # noqa: PERF402 -- what came before the error counts
    except DataError:
        pass
    (bad,) = [item for item in found if isinstance(item, BadLine)]
    assert bad.line == len(lines)
    return bad.reason


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_our_conversation_with_everything() -> None:
    found = conversation(
        {
            "id": 7,
            "user": "u1",
            "group": " nov\u200bice ",
            "intent": "debugging",
            "topic": "loops",
            "messages": [
                user("why?"),
                assistant("because") | {"judgment": -1, "timestamp": "2024-05-01T10:00:00+02:00"},
                user("thanks"),
            ],
        }
    )
    assert found == Conversation(
        id="7",
        turns=(
            Turn(
                user="why?",
                assistant="because",
                judgment=Judgment.DSAT,
                at=datetime(2024, 5, 1, 8, tzinfo=UTC),
            ),
            Turn(user="thanks"),
        ),
        user="u1",
        group="novice",
        intent="debugging",
        metadata={"topic": "loops"},
    )


def test_neighbours_are_joined_and_an_assistant_may_speak_first() -> None:
    found = conversation(
        {
            "messages": [
                {"role": "system", "content": "be kind"},
                assistant("hello"),
                user("one"),
                user("two"),
                assistant("a") | {"judgment": 1},
                {"role": "tool", "content": "rows"},
                assistant("b"),
            ]
        }
    )
    assert found.turns == (
        Turn(user="", assistant="hello"),
        Turn(user="one\n\ntwo", assistant="a\n\nb", judgment=Judgment.SAT),
    )
    assert found.metadata == {"system": "be kind"}


def test_openai_content_parts_null_and_tools() -> None:
    found = conversation(
        {
            "messages": [
                {"role": "developer", "content": "rules"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is"},
                        {"type": "image_url", "image_url": {"url": "data:..."}},
                        {"type": "text", "text": "this?"},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
                {"role": "tool", "content": "a cat", "tool_call_id": "x"},
                assistant("a cat"),
                user("sure?"),
                {"role": "assistant", "content": None, "refusal": "I cannot say"},
            ],
            "tools": [{"type": "function"}],
            "model": "m",
        }
    )
    assert found.turns == (
        Turn(user="what is\nthis?", assistant="a cat"),
        Turn(user="sure?", assistant="I cannot say"),
    )
    assert found.metadata == {"model": "m", "system": "rules"}


def test_sharegpt() -> None:
    found = conversation(
        {
            "id": "s1",
            "conversations": [
                {"from": "system", "value": "sys"},
                {"from": "human", "value": "hi"},
                {"from": "gpt", "value": "hello"},
            ],
        }
    )
    assert found.turns == (Turn(user="hi", assistant="hello"),)
    assert (found.id, found.metadata) == ("s1", {"system": "sys"})


WILDCHAT = {
    "conversation_hash": "h1",
    "model": "gpt-4",
    "timestamp": "2023-04-09T00:02:53+00:00",
    "conversation": [
        {
            "role": "user",
            "content": "hi",
            "country": "Norway",
            "hashed_ip": "abc",
            "turn_identifier": 1,
        },
        {"role": "assistant", "content": "hello", "country": None, "hashed_ip": None},
    ],
    "turn": 1,
    "language": "English",
    "openai_moderation": [{"flagged": False}],
    "header": {"user-agent": "x"},
}


@pytest.mark.parametrize("where", ["message", "record"])
def test_wildchat_knows_person_and_country_and_keeps_no_address(where: str) -> None:
    raw = dict(WILDCHAT)
    if where == "record":
        raw |= {"country": "Norway", "hashed_ip": "abc"}
    found = conversation(raw)
    assert (found.id, found.user, found.group) == ("h1", "abc", "Norway")
    assert found.turns == (Turn(user="hi", assistant="hello"),)
    assert "abc" not in str(found.metadata)
    assert "header" not in found.metadata
    assert found.metadata["language"] == "English"


def test_wildchat_parquet_reads_as_its_json_does(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    raw = dict(WILDCHAT) | {"country": "Norway", "hashed_ip": "abc"}
    del raw["timestamp"]
    path = tmp_path / "wild.parquet"
    pq.write_table(pa.Table.from_pylist([raw, raw | {"conversation_hash": "h2"}]), path)
    first, second = read_log(path)
    assert first == conversation(raw)
    assert isinstance(second, Conversation)
    assert second.id == "h2"


def test_parquet_cut_short_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "cut.parquet"
    path.write_bytes(b"PAR1" + b"\x00" * 40)
    with pytest.raises(DataError, match=r"cut\.parquet.*damaged or cut short"):
        list(read_log(path))


def test_pairs_in_trl_forms_are_the_same_pair() -> None:
    explicit = pair(
        {"prompt": [user("q")], "chosen": [assistant("a")], "rejected": [assistant("b")]}
    )
    text = pair({"prompt": "q", "chosen": "a", "rejected": "b"})
    implicit = pair(
        {"chosen": [user("q"), assistant("a")], "rejected": [user("q"), assistant("b")]}
    )
    assert explicit == text == implicit
    assert explicit.prompt == (Message("user", "q"),)
    assert (explicit.chosen, explicit.rejected) == ("a", "b")


def test_an_implicit_prompt_is_all_that_both_sides_share() -> None:
    start = [{"role": "system", "content": "s"}, user("q"), assistant("x"), user("r")]
    found = pair({"chosen": [*start, assistant("a")], "rejected": [*start, assistant("b")]})
    assert [m.role for m in found.prompt] == ["system", "user", "assistant", "user"]


def test_conversations_and_pairs_mix_in_one_file() -> None:
    kinds = [
        type(r).__name__
        for r in read(
            {"prompt": "q", "chosen": "a", "rejected": "b"},
            {"messages": [user("hi")]},
            {"prompt": "q2", "chosen": "a", "rejected": "b"},
        )
    ]
    assert kinds == ["PreferencePair", "Conversation", "PreferencePair"]


def test_an_id_comes_from_the_content_alone() -> None:
    first, again, other = read(
        {"user": "ann", "messages": [user("hi"), assistant("x")]},
        {"user": "bob", "messages": [user("hi"), assistant("x")], "note": 1},
        {"messages": [user("hi"), assistant("y")]},
    )
    assert first.id == again.id != other.id


def test_group_by_takes_a_metadata_field_and_nothing_else() -> None:
    log = [
        {"group": "own", "country": "Norway", "messages": [user("a")]},
        {"group": "own", "country": 47, "messages": [user("b")]},
        {"group": "own", "messages": [user("c")]},
    ]
    assert [r.group for r in read(*log, group_by="country")] == ["Norway", None, None]
    assert [r.group for r in read(*log)] == ["own"] * 3


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"messages": [{"role": "wizard", "content": "x"}]}, "unknown role 'wizard'"),
        ({"messages": [{"role": None, "content": "x"}]}, "unknown role None"),
        ({"messages": "hi"}, "must be a list of messages, not text"),
        ({"messages": ["hi"]}, "must be an object, not text"),
        ({"messages": [{"role": "user", "content": 5}]}, "not a number"),
        ({"messages": []}, "holds no text"),
        ({"messages": [user("  ")]}, "holds no text"),
        ({"messages": [{"role": "system", "content": "only"}]}, "holds no text"),
        ({"messages": [user("x"), assistant("y") | {"judgment": True}]}, "-1, 0 or 1, not True"),
        ({"messages": [user("x"), assistant("y") | {"judgment": 2}]}, "-1, 0 or 1, not 2"),
        ({"messages": [user("x") | {"judgment": 1}]}, "belongs to an assistant's message"),
        ({"messages": [user("x") | {"timestamp": "soon"}]}, "ISO 8601"),
        ({"messages": [user("x")], "group": "*"}, "everybody else"),
        ({"messages": [user("x")], "group": 3}, "'group' must be text"),
        ({"messages": [user("x")], "id": "i" * 4001}, "longer than 4000"),
        ({"messages": [user("x")], "user": {"a": 1}}, "'user' must be text or a whole number"),
        ({"chosen": "a", "rejected": "b"}, "needs a 'prompt'"),
        ({"prompt": "q", "chosen": "a"}, "'rejected' is missing"),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "the same answer"),
        ({"prompt": [assistant("q")], "chosen": "a", "rejected": "b"}, "end with a user"),
        ({"prompt": "q", "chosen": [user("a")], "rejected": "b"}, "only the assistant's answer"),
        ({"note": "hello"}, "has neither"),
    ],
)
def test_a_bad_record_says_why(raw: dict[str, Any], said: str) -> None:
    assert said in reason(raw)


@pytest.mark.parametrize(
    ("form", "raw", "said"),
    [
        ("sharegpt", {"conversations": [{"from": "alien", "value": "x"}]}, "unknown role 'alien'"),
        ("sharegpt", {"messages": [user("x")]}, "must be a list of messages, not null"),
        ("wildchat", {"messages": [user("x")]}, "must be a list of messages, not null"),
        ("openai", {"conversation": []}, "has no 'messages'"),
    ],
)
def test_a_named_format_is_held_to(form: str, raw: dict[str, Any], said: str) -> None:
    assert said in reason(raw, form)
