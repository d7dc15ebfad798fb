from __future__ import annotations

import httpx
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from gpa_agent.testing.openai_server import OpenAIServer


def client(server: OpenAIServer) -> ChatOpenAI:
    return ChatOpenAI(model="scripted", base_url=server.url, api_key=SecretStr("k"), max_retries=0)


class Joke(BaseModel):
    """A joke."""

    setup: str
    score: int
    tags: list[str]
    funny: bool


def double(x: int) -> int:
    """Double a number."""
    return 2 * x


def test_answers_and_keeps_the_request() -> None:
    with OpenAIServer("Hello.") as server:
        answer = client(server).invoke("Hi")
        assert answer.text == "Hello."
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["output_tokens"] > 0
        assert server.requests[0]["messages"] == [{"role": "user", "content": "Hi"}]
        assert server.headers[0]["authorization"] == "Bearer k"


def test_streams_in_pieces_with_usage() -> None:
    with OpenAIServer("One two three.") as server:
        chunks = list(client(server).stream("Hi", stream_usage=True))
    assert [c.text for c in chunks if c.text] == ["One ", "two ", "three."]
    assert any(isinstance(c, AIMessage) and c.usage_metadata for c in chunks)


def test_without_a_script_it_obliges() -> None:
    with OpenAIServer() as server:
        model = client(server)
        assert model.invoke("Hi").text == "You said: Hi"
        called = model.bind_tools([double]).invoke("What is double(21)?")
        assert [(c["name"], c["args"]) for c in called.tool_calls] == [("double", {"x": 21})]
        answer = model.bind_tools([double]).invoke(
            [HumanMessage("Hi"), called, ToolMessage("42", tool_call_id=called.tool_calls[0]["id"])]
        )
        assert answer.tool_calls == []
        joke = model.with_structured_output(Joke).invoke("A joke about 'cats', score 5.")
        assert joke == Joke(setup="cats", score=5, tags=["cats"], funny=True)


def test_a_function_can_answer_with_whole_messages() -> None:
    with OpenAIServer(lambda request: {"content": request["model"], "refusal": "No."}) as server:
        assert client(server).invoke("Hi").text == "scripted"


def test_lists_models_and_refuses_what_it_does_not_know() -> None:
    with OpenAIServer(models=("a", "b")) as server:
        listed = httpx.get(f"{server.url}/models").json()["data"]
        assert [m["id"] for m in listed] == ["a", "b"]
        assert httpx.get(f"{server.url}/nothing").status_code == 404
        assert httpx.post(f"{server.url}/nothing", json={}).status_code == 404
        for bad in (b"", b"[]", b'{"messages": []}'):
            refused = httpx.post(f"{server.url}/chat/completions", content=bad)
            assert refused.status_code == 400
        assert server.requests == []
