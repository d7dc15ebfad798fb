from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from gpa_agent.turn.context import Asker
from gpa_agent.turn.plan import answer_in, arm_of, conversation_id, read_turn
from gpa_agent.turn.prompt import rubric_block
from tests.turn.support import seed


def test_reads_the_last_utterance_and_all_of_them() -> None:
    asked = read_turn(Asker(), [HumanMessage("one"), AIMessage("a"), HumanMessage("two", id="m2")])
    assert (asked.text, asked.said, asked.first, asked.key) == ("two", "one\ntwo", "one", "m2")


def test_without_an_id_the_key_is_the_position_and_the_text() -> None:
    def key(*texts: str) -> str:
        return read_turn(Asker(), [HumanMessage(t) for t in texts]).key

    assert key("hi") == key("hi")
    assert len({key("hi"), key("ho"), key("hi", "hi")}) == 3


def test_our_own_block_is_never_read_as_the_users_words() -> None:
    said = f"Why?\n\n{rubric_block(seed(), 'novice')}"
    assert read_turn(Asker(), [HumanMessage(said)]).text == "Why?"


def test_the_answer_is_the_last_text_after_the_user() -> None:
    tools = AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": "1"}])
    messages = [
        HumanMessage("old"),
        AIMessage("old answer"),
        HumanMessage("new"),
        tools,
        ToolMessage("7", tool_call_id="1"),
        AIMessage("Seven."),
    ]
    assert answer_in(messages) == ("new", "Seven.")
    assert answer_in(messages[:4]) == ("new", "")
    assert answer_in([]) == ("", "")


def test_conversation_is_the_thread_else_the_person_and_the_first_words() -> None:
    asked = read_turn(Asker(), [HumanMessage("hi")])
    later = read_turn(Asker(), [HumanMessage("hi"), AIMessage("a"), HumanMessage("more")])
    assert conversation_id(asked._replace(asker=Asker(thread_id="t")), "p") == "t"
    assert conversation_id(asked, "p") == conversation_id(later, "p")
    assert conversation_id(asked, "p") != conversation_id(asked, "q")
    assert conversation_id(asked, None) != conversation_id(asked, None)


@given(st.text(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_holdout_is_sticky_and_grows_without_letting_anyone_go(
    person: str, share: float, more: float
) -> None:
    assert arm_of(person, share) == arm_of(person, share)
    if more >= share and arm_of(person, share) == "holdout":
        assert arm_of(person, more) == "holdout"


def test_holdout_takes_its_share() -> None:
    assert arm_of(None, 0.5) == "tailored"
    held = sum(arm_of(f"person-{i}", 0.2) == "holdout" for i in range(10_000))
    assert 1_840 <= held <= 2_160  # 2000 expected; 4 standard deviations of sqrt(1e4*.2*.8) = 40
