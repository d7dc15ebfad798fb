from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx2
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from openai import APIConnectionError, DefaultAioHttpClient

from gpa_agent.errors import UsageError
from gpa_agent.models import ChatModelRecipe, close_chat_model, model_name, open_chat_model
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.openai_server import OpenAIServer

SECRET = "sk-XYZZY"


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


async def ask(model: BaseChatModel) -> str:
    try:
        return (await model.ainvoke("Hi")).text
    finally:
        await close_chat_model(model)


def client_of(model: BaseChatModel) -> httpx2.AsyncClient:
    assert isinstance(model, ChatOpenAI)
    assert isinstance(model.http_async_client, httpx2.AsyncClient)
    return model.http_async_client


@pytest.mark.parametrize("name", ["openai:tiny", " tiny"])
@pytest.mark.usefixtures("_key")
def test_a_name_opens_a_model_of_the_server_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with OpenAIServer(reply="Hello.") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        model = open_chat_model(name, parameters={"temperature": 0.25}, request_seconds=7.0)
        assert asyncio.run(ask(model)) == "Hello."
        assert server.requests[0]["model"] == "tiny"
        assert server.requests[0]["temperature"] == 0.25
        assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
        assert server.headers[0]["x-stainless-read-timeout"] == "7.0"


@pytest.mark.usefixtures("_key")
def test_requests_go_over_aiohttp_and_the_client_is_closed() -> None:
    with OpenAIServer() as server:
        model = open_chat_model("any", parameters={"base_url": server.url})
        assert isinstance(client_of(model), DefaultAioHttpClient)
        assert asyncio.run(ask(model.model_copy())) == "You said: Hi"
        assert client_of(model).is_closed


@pytest.mark.usefixtures("_key")
def test_the_sdk_does_not_retry() -> None:
    def hang_up(_: object) -> str:
        raise ConnectionAbortedError

    with OpenAIServer(reply=hang_up) as server:
        model = open_chat_model("any", parameters={"base_url": server.url})
        with pytest.raises(APIConnectionError):
            asyncio.run(ask(model))
        assert len(server.requests) == 1


def test_a_recipe_opens_a_model_for_each_loop() -> None:
    with OpenAIServer() as server:
        recipe = ChatModelRecipe(
            model="any", parameters={"base_url": server.url, "api_key": SECRET}
        )
        said = [asyncio.run(ask(recipe.open())) for _ in range(2)]
    assert said == ["You said: Hi"] * 2
    assert SECRET not in repr(recipe)


async def test_a_users_own_model_is_used_as_it_is_and_left_open() -> None:
    scripted = ScriptedChatModel()
    assert open_chat_model(scripted) is scripted
    await close_chat_model(scripted)
    async with DefaultAioHttpClient() as client:
        own = ChatOpenAI(model="any", api_key=lambda: SECRET, http_async_client=client)
        await close_chat_model(open_chat_model(own))
        given = {"api_key": SECRET, "http_async_client": client}
        await close_chat_model(open_chat_model("any", parameters=given))
        assert not client.is_closed


def test_parameters_of_a_users_own_model_are_refused() -> None:
    with pytest.raises(UsageError, match=r"parameters \(seed\) are for a model given by name"):
        open_chat_model(ScriptedChatModel(), parameters={"seed": 1})


def test_a_missing_key_is_told_with_its_name() -> None:
    with pytest.raises(UsageError, match=r"set OPENAI_API_KEY .*local server .*any value"):
        open_chat_model("gpt-4o-mini")


@pytest.mark.parametrize("name", ["", " ", "openai:", ":x"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected for example 'openai:gpt-4o-mini'"):
        open_chat_model(name)


def test_a_provider_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'llama3:8b' cannot be opened .* PROVIDER:NAME"):
        open_chat_model("llama3:8b")


def test_a_provider_whose_package_is_missing_is_told_with_the_package() -> None:
    with pytest.raises(UsageError, match="pip install langchain-mistralai"):
        open_chat_model("mistralai:any")


@pytest.mark.usefixtures("_key")
def test_a_parameter_that_does_not_fit_is_named_without_its_value() -> None:
    with pytest.raises(UsageError, match="temperature: Input should be a valid number") as caught:
        open_chat_model("any", parameters={"temperature": SECRET})
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini", "openai:gpt-4o-mini"),
        ("openai:gpt-4o-mini", "openai:gpt-4o-mini"),
        ("ollama:llama3:8b", "ollama:llama3:8b"),
        (
            ChatOpenAI(model="tiny", api_key=lambda: SECRET, base_url="http://u:p@h/v1"),
            "openai:tiny",
        ),
        (ScriptedChatModel(model_name="told"), "scriptedchatmodel:told"),
    ],
)
def test_a_model_goes_by_one_name(model: str | BaseChatModel, name: str) -> None:
    assert model_name(model) == name


def test_naming_a_model_loads_no_provider() -> None:
    script = (
        "import sys, gpa_agent.calls, gpa_agent.models; gpa_agent.models.model_name('x'); "
        "print(sorted({'langchain', 'langchain_core', 'openai', 'aiohttp'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
