"""An app that serves while something is broken, made either way a host may make it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent

from gpa_agent import GPAContext, GPAMiddleware, Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.chat_world import ChatWorld
from tests.faults.support import App, show_prompt, strong


@pytest.fixture(scope="session")
def strong_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log from which a rubric is sure to be learned."""
    path = tmp_path_factory.mktemp("strong") / "log.jsonl"
    world = ChatWorld(tastes=strong(), intents=("debugging",), people=40, conversations=3, seed=4)
    path.write_text("".join(json.dumps(record) + "\n" for record in world.log()))
    return path


@pytest.fixture
def open_here() -> Iterator[Callable[[Path], Workspace]]:
    """Opens workspaces that learn quickly, and closes them."""
    opened: list[Workspace] = []

    def open_at(folder: Path) -> Workspace:
        opened.append(
            Workspace.open(
                folder,
                groups=["novice", "expert"],
                encoder=HashingEncoder(),
                permutations=999,
                bootstrap=100,
                holdout=0.0,
            )
        )
        return opened[-1]

    yield open_at
    for ws in opened:
        ws.close()


@pytest.fixture(params=["create_agent", "wrap"])
def app_of(request: pytest.FixtureRequest) -> Callable[..., App]:
    """Makes the app of a workspace; it answers with the prompt it was sent."""

    def make(ws: Workspace, *, learn: Any = "off") -> App:
        model = ScriptedChatModel(script=show_prompt)
        middleware: Any = GPAMiddleware(ws, learn=learn)
        if request.param == "wrap":
            return App(middleware.wrap(model), middleware)
        agent: Any = create_agent(model, middleware=[middleware], context_schema=GPAContext)
        return App(agent, middleware)

    return make
