from __future__ import annotations

import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from gpa_agent.testing.chat_models import ScriptedChatModel, echo


def test_answers_in_order_and_repeats_the_last() -> None:
    model = ScriptedChatModel(script=["One.", "Two."])
    assert [model.invoke("Hi").text for _ in range(3)] == ["One.", "Two.", "Two."]
    assert model.calls == 3


def test_answers_from_the_messages_and_keeps_the_prompts() -> None:
    model = ScriptedChatModel(script=echo)
    assert model.invoke([SystemMessage("S"), HumanMessage("Hi")]).text == "You said: Hi"
    assert [m.text for m in model.prompts[0]] == ["S", "Hi"]


async def test_streams_in_words_and_counts_tokens() -> None:
    model = ScriptedChatModel(script=["One two three"])
    chunks = list(model.stream("Hi there"))
    assert [c.text for c in chunks if c.text] == ["One ", "two ", "three"]
    assert [c.text async for c in model.astream("Hi there")] == [c.text for c in chunks]
    used = model.invoke("Hi there").usage_metadata
    assert used == {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}


async def test_calls_tools_in_and_out_of_streams() -> None:
    call: Any = {"name": "double", "args": {"x": 1}, "id": "c1"}
    model = ScriptedChatModel(script=[AIMessage("", tool_calls=[call])])
    whole = model.invoke("Hi")
    parts = list(model.stream("Hi"))
    assert whole.tool_calls == parts[0].tool_calls
    assert whole.tool_calls[0]["args"] == {"x": 1}


def test_keeps_tools_and_options() -> None:
    def double(x: int) -> int:
        """Double a number."""
        return 2 * x

    model = ScriptedChatModel()
    model.bind_tools([double], tool_choice="any").invoke("Hi", stop=["x"])
    assert model.options[0]["tools"][0]["function"]["name"] == "double"
    assert (model.options[0]["tool_choice"], model.options[0]["stop"]) == ("any", ["x"])


def test_raises_what_it_is_told_to() -> None:
    model = ScriptedChatModel(script=[OSError("down"), "Up."])
    with pytest.raises(OSError, match="down"):
        model.invoke("Hi")
    assert model.invoke("Hi").text == "Up."


async def test_waits_before_each_chunk() -> None:
    numbers: list[int] = []
    model = ScriptedChatModel(script=["One two"], delay=0.02, before_chunk=numbers.append)
    start = time.monotonic()
    list(model.stream("Hi"))
    assert [c async for c in model.astream("Hi")]
    assert time.monotonic() - start >= 0.08  # two streams of two chunks, 0.02 s each
    assert numbers == [0, 1, 0, 1]


def test_copies_do_not_share_what_they_answer() -> None:
    answer = AIMessage("One.")
    model = ScriptedChatModel(script=[answer])
    assert model.invoke("Hi") is not answer
    assert answer.usage_metadata is None
