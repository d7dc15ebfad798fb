"""Group models, wherever they run: what serves, what is refused, and what changes while they do."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import HumanMessage
from typing_extensions import override

from gpa_agent import GPAMiddleware, Workspace
from gpa_agent.alignment.manifest import MANIFEST
from gpa_agent.alignment.serving.group_models import GroupModels
from gpa_agent.errors import ModelError, UsageError
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.openai_server import OpenAIServer
from tests.alignment.shelves import mark_stale, put
from tests.alignment.tiny_models import at_every_step, groups, make_base

__all__ = ["groups"]

Groups = tuple[Path, dict[str, Path]]
GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 12, "device": "cpu"}
ASKED = "why does my loop skip items?"


class Shelf:
    """A workspace's folder with a base's three adapters to put into it."""

    def __init__(self, folder: Path, models: Groups) -> None:
        self.folder = folder
        self.base, adapters = models
        self.first, self.second, self.third = adapters.values()

    def put(self, group: str, adapter: Path | None = None, **options: Any) -> Path:
        return put(self.folder, group, adapter or self.first, self.base, **options)

    def local(self, **options: Any) -> GroupModels:
        return GroupModels.local(self.folder, **{**GREEDY, **options})


@pytest.fixture
def shelf(groups: Groups, tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "my.gpa", groups)


def until(holds: Callable[[], object], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.01)
    return bool(held)


_OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _others() -> None:
    """Engines that other tests of this process have, and keep."""
    _OTHERS.clear()
    _OTHERS.update(threading.enumerate())


def engines() -> int:
    """How many local engines there are."""
    gc.collect()
    return sum(
        thread.name == "gpa-local" and thread not in _OTHERS for thread in threading.enumerate()
    )


# What is on disk ------------------------------------------------------------------------------


def test_the_newest_that_passed_serves_its_group(shelf: Shelf) -> None:
    shelf.put("novice", shelf.first)
    shelf.put("Power users!", shelf.second)  # a name that is no folder's
    with shelf.local() as models:
        said = {group: models[group].invoke(ASKED).text for group in models}
        assert set(said) == {"novice", "Power users!"}
        assert len(models) == len(set(said.values())) == 2
        assert models.refused() == {}
        with pytest.raises(KeyError):
            models["expert"]
    shelf.put("novice", shelf.third)
    shelf.put("novice", shelf.second, reasons=("it wins for the other group",))
    with shelf.local() as models:
        assert models["novice"].invoke(ASKED).text not in said.values()


def test_what_does_not_serve_says_why(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("good")
    shelf.put("refused", reasons=("its text does not end", "it wins for the other group"))
    mark_stale(shelf.put("stale"))
    shelf.put("torn", manifest=False)
    other = make_base(tmp_path / "other", seed=7)
    put(shelf.folder, "wrong base", shelf.first, other)
    weights = shelf.put("cut off") / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    damaged = shelf.put("damaged") / MANIFEST
    damaged.write_text("{", encoding="utf-8")
    with shelf.local(base=shelf.base) as models:
        assert list(models) == ["good"]
        reasons = models.refused()
    expected = {
        "refused": "does not end; it wins",
        "stale": "stale",
        "torn": "never ended",
        "wrong base": "another base",
        "cut off": "cut off",
        "damaged": "never ended",
    }
    assert reasons.keys() == expected.keys()
    assert {group: said for group, said in expected.items() if said not in reasons[group]} == {}


@pytest.mark.parametrize(
    ("file", "was", "is_now"),
    [
        ("adapter_model.safetensors", b'"F32"', b'"Q32"'),  # no such type
        ("adapter_model.safetensors", b"[4,48]", b"[4,47]"),  # not as many bytes as there are
        ("adapter_model.safetensors", b"layers.0", b"layers.7"),  # the base has two
        ("adapter_config.json", b'"r": 4', b'"r": 3'),  # not what the weights have
    ],
)
@pytest.mark.parametrize("bad", ["a bad one", "the bad one"])  # loaded before and after the good
def test_one_that_cannot_be_loaded_is_refused_alone(
    shelf: Shelf, file: str, was: bytes, is_now: bytes, bad: str
) -> None:
    shelf.put("good", shelf.first)
    damaged = shelf.put(bad, shelf.second) / file
    whole = damaged.read_bytes()
    assert was in whole
    damaged.write_bytes(whole.replace(was, is_now, 1))
    with shelf.local() as models:
        before = models["good"].invoke(ASKED).text
        assert str(damaged.parent) in models.refused()[bad]
        shelf.put("later", shelf.third)
        assert until(lambda: "later" in models)  # nor does it keep newer ones out
        assert set(models) == {"good", "later"}
        assert models.refused().keys() == {bad}
        assert models["good"].invoke(ASKED).text == before
    assert engines() == 0


def test_a_base_that_was_changed_in_place_serves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    base = shutil.copytree(shelf.base, tmp_path / "base")
    put(shelf.folder, "novice", shelf.first, base)
    make_base(base, seed=9)
    with shelf.local() as models:
        assert not models
        assert "another base" in models.refused()["novice"]


def test_nothing_is_tuned_yet_and_the_base_is_gone(shelf: Shelf, tmp_path: Path) -> None:
    with shelf.local() as models:
        assert (dict(models), models.refused()) == ({}, {})
    shelf.put("novice")
    with pytest.raises(UsageError, match="no-such-base"):
        shelf.local(base=tmp_path / "no-such-base")
    assert engines() == 0


def test_what_it_was_tuned_by(shelf: Shelf) -> None:
    shelf.put("novice", wishes={"debugging": ("steps 0123",)})
    shelf.put("expert", shelf.second)
    with shelf.local() as models:
        assert models.tuned_for("novice") == {"debugging": frozenset({"steps 0123"})}
        assert models.tuned_for("expert") is None  # nobody wrote it down


# What changes ---------------------------------------------------------------------------------


def test_changes_are_followed_without_a_restart(shelf: Shelf) -> None:
    first = shelf.put("novice", shelf.first)
    with shelf.local() as models:
        before = models["novice"].invoke(ASKED).text
        shelf.put("expert", shelf.second)
        assert until(lambda: "expert" in models)
        assert models["novice"].invoke(ASKED).text == before
        second = shelf.put("novice", shelf.third)
        assert until(lambda: models["novice"].invoke(ASKED).text != before)
        mark_stale(second)  # the one before it was not
        assert until(lambda: "novice" in models and models["novice"].invoke(ASKED).text == before)
        shutil.rmtree(first)
        assert until(lambda: "novice" not in models)
        assert list(models) == ["expert"]
    assert engines() == 0


def test_what_is_marked_stale_is_withdrawn_from_whoever_holds_it(
    shelf: Shelf,
) -> None:
    folder = shelf.put("novice")
    with shelf.local() as models:
        held = models["novice"]
        mark_stale(folder)
        assert until(lambda: "novice" not in models)
        with pytest.raises(ModelError, match="withdrawn"):
            held.invoke(ASKED)
        assert "stale" in models.refused()["novice"]
        del held
        assert until(lambda: engines() == 0)  # nothing serves: the base's memory is free


@pytest.fixture
def slow() -> Iterator[None]:
    """Models that take their time, so that requests are on their way for a while."""
    with at_every_step(lambda: time.sleep(0.02)):
        yield


def test_no_request_is_dropped_by_a_reload(shelf: Shelf, slow: None) -> None:
    shelf.put("novice", shelf.first)
    shelf.put("expert", shelf.second)
    with shelf.local(max_batch=2) as models:
        alone = {group: models[group].invoke(ASKED).text for group in models}
        with ThreadPoolExecutor(8) as pool:
            jobs = [
                pool.submit(lambda g: (g, str(models[g].invoke(ASKED).text)), group)
                for _ in range(8)
                for group in alone
            ]
            for _ in range(3):
                models.reload()
            answers = [job.result() for job in jobs]
        assert len(answers) == 16
        assert all(text == alone[group] for group, text in answers)
        assert until(lambda: engines() == 1)  # the old ones ended by themselves
    assert engines() == 0


async def test_a_stream_goes_on_to_its_end_over_a_reload(shelf: Shelf, slow: None) -> None:
    shelf.put("novice", shelf.first)
    with shelf.local() as models:
        whole = models["novice"].invoke(ASKED).text
        pieces = models["novice"].astream(ASKED)
        said = str((await anext(pieces)).text)
        shelf.put("novice", shelf.second)
        models.reload()
        said += "".join([chunk.text async for chunk in pieces])
        assert said == whole
        assert models["novice"].invoke(ASKED).text != whole


def test_a_new_one_that_cannot_be_loaded_leaves_what_serves(
    shelf: Shelf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = shutil.copytree(shelf.base, tmp_path / "base")
    put(shelf.folder, "novice", shelf.first, base)
    with shelf.local(base=base) as models:
        before = models["novice"].invoke(ASKED).text
        (base / "config.json").rename(base / "config.away")
        put(shelf.folder, "expert", shelf.second, base)
        assert until(lambda: "expert" in models.refused())
        assert "base" in models.refused()["expert"]
        assert models["novice"].invoke(ASKED).text == before
        assert sum("cannot load" in r.message for r in caplog.records) == 1  # not twice a second
        (base / "config.away").rename(base / "config.json")
        models.reload()
        assert set(models) == {"novice", "expert"}
        assert models.refused() == {}


def test_after_closing_nothing_serves_and_the_thread_ends(shelf: Shelf) -> None:
    shelf.put("novice")
    models = shelf.local()
    held = models["novice"]
    models.close()
    models.close()
    assert not models
    with pytest.raises(Exception, match="closed"):
        held.invoke(ASKED)
    assert until(lambda: not any(t.name == "gpa-shelf" for t in threading.enumerate()))


# Through the middleware -------------------------------------------------------------------------


def test_turns_follow_the_folder(shelf: Shelf) -> None:
    with Workspace.open(shelf.folder, groups=["novice", "expert"], holdout=0.0) as ws:
        folder = shelf.put("novice")
        with GroupModels.local(ws, **GREEDY) as models:
            graph = GPAMiddleware(ws, group_models=models, learn="off").wrap(ScriptedChatModel())

            def turn() -> Any:
                who: Any = {"configurable": {"group": "novice"}}
                return graph.invoke({"messages": [HumanMessage(ASKED)]}, who)

            served = turn()
            assert served["gpa"]["mode"] == "finetuned"
            assert served["messages"][-1].text == models["novice"].invoke(ASKED).text
            mark_stale(folder)
            assert until(lambda: turn()["gpa"]["mode"] == "plain")
            assert turn()["gpa"]["degraded"] is None


class Effort(AgentMiddleware[Any, Any]):
    """A host that says to its own model how to go about it."""

    @override
    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        settings = {"model": "gpt-5.5", "reasoning_effort": "low", "max_tokens": 3}
        return handler(request.override(model_settings=settings))


def test_an_agents_settings_for_its_own_model_do_not_send_the_turn_back(shelf: Shelf) -> None:
    with Workspace.open(shelf.folder, groups=["novice", "expert"], holdout=0.0) as ws:
        shelf.put("novice")
        with GroupModels.local(ws, **GREEDY) as models:
            gpa: Any = GPAMiddleware(ws, group_models=models, learn="off")
            agent: Any = create_agent(ScriptedChatModel(), middleware=[Effort(), gpa])
            who: Any = {"configurable": {"group": "novice"}}
            said = agent.invoke({"messages": [HumanMessage(ASKED)]}, who)
            assert (said["gpa"]["mode"], said["gpa"]["degraded"]) == ("finetuned", None)
            alone = models["novice"].invoke(ASKED, max_tokens=3)
            assert said["messages"][-1].text == alone.text


def test_a_line_that_is_full_sends_the_turn_to_the_host(shelf: Shelf, slow: None) -> None:
    with Workspace.open(shelf.folder, groups=["novice", "expert"], holdout=0.0) as ws:
        shelf.put("novice")
        with shelf.local(max_batch=1, max_waiting=1) as models:
            graph = GPAMiddleware(ws, group_models=models, learn="off").wrap(ScriptedChatModel())
            given: Any = {"messages": [HumanMessage(ASKED)]}
            who: Any = {"configurable": {"group": "novice"}}
            with ThreadPoolExecutor(6) as pool:
                turns = list(pool.map(lambda _: graph.invoke(given, who), range(6)))
    seen = {(t["gpa"]["mode"], t["gpa"]["degraded"]) for t in turns}
    assert seen == {("finetuned", None), ("plain", "dispatch_group_model: EngineBusy")}


# Elsewhere --------------------------------------------------------------------------------------


async def test_an_endpoint_has_a_name_for_each_group() -> None:
    names = {"novice": "novice", "Power users!": "lora-2"}
    with OpenAIServer(reply=lambda request: f"I am {request['model']}.") as server:
        with GroupModels.endpoint(server.url, names, temperature=0.0) as models:
            assert list(models) == list(names)
            assert models["novice"].invoke("Hi").text == "I am novice."
            assert (await models["Power users!"].ainvoke("Hi")).text == "I am lora-2."
            streamed = list(models["novice"].stream("Hi"))
            assert "".join(c.text for c in streamed) == "I am novice."
            assert any(c.usage_metadata for c in streamed)
            assert models.tuned_for("novice") is None
        assert {r["temperature"] for r in server.requests} == {0.0}


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_the_environments_key_goes_to_the_server_it_belongs_to_alone(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def told(server: OpenAIServer, **own: Any) -> str:
        GroupModels.endpoint(server.url, {"a": "b"}, **own)["a"].invoke("Hi")
        return server.headers[-1]["authorization"]

    for unset in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(unset, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "the secret")
    with OpenAIServer() as theirs, OpenAIServer() as other:
        assert told(theirs) == "Bearer none"
        monkeypatch.setenv(name, f"{theirs.url}/")
        assert told(theirs) == "Bearer the secret"
        assert told(other) == "Bearer none"
        assert told(other, api_key="mine") == "Bearer mine"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://api.openai.com/v1", "the secret"),
        ("https://api.openai.com.example.org/v1", "none"),
        ("https://api.openai.com@example.org/v1", "none"),
        ("https://example.org/api.openai.com/v1", "none"),
    ],
)
def test_the_environments_key_goes_to_openai_and_nobody_alike(
    monkeypatch: pytest.MonkeyPatch, url: str, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the secret")
    model: Any = GroupModels.endpoint(url, {"a": "b"})["a"]
    assert model.openai_api_key.get_secret_value() == key


def test_an_endpoint_is_asked_from_one_event_loop_after_the_other() -> None:
    with OpenAIServer(reply="Hi.") as server:
        model = GroupModels.endpoint(server.url, {"novice": "novice"})["novice"]
        assert [asyncio.run(model.ainvoke("Hi")).text for _ in range(3)] == ["Hi."] * 3


def test_an_endpoint_without_a_key_and_what_is_wrong_with_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with OpenAIServer() as server:
        assert GroupModels.endpoint(server.url, {"a": "b"})["a"].invoke("Hi").text
    with pytest.raises(UsageError, match="'<group>'"):
        GroupModels.endpoint("http://127.0.0.1:1/v1", {})
    with pytest.raises(UsageError, match="temperature") as told:
        GroupModels.endpoint("http://x/v1", {"a": "b"}, api_key="secret", temperature="hot")
    assert "secret" not in str(told.value)


def test_any_chat_models_and_nothing_else() -> None:
    model = ScriptedChatModel()
    with GroupModels.of({"novice": model}) as models:
        models.refresh()
        models.reload()
        assert models["novice"] is model
        assert (models.refused(), models.tuned_for("novice")) == ({}, None)
    wrong: Any = {"novice": "openai:x"}
    with pytest.raises(UsageError, match="'novice'"):
        GroupModels.of(wrong)
