"""langchain-tests' own suites, for ``ChatOpenAI`` and for ours around it.

Not collected by itself: `test_standard_suites.py` runs it and compares the outcomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from gpa_agent.testing.openai_server import OpenAIServer
from gpa_agent.turn.chat_model import GPAChatModel
from gpa_agent.turn.middleware import GPAMiddleware
from gpa_agent.workspace import Workspace
from tests.turn.support import seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

SERVER = OpenAIServer()
WORKSPACE: list[Workspace] = []


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The server, and a workspace that tailors every turn: the hard case."""
    folder = tmp_path_factory.mktemp("suites")
    with SERVER, Workspace.open(folder / "my.gpa", groups=["novice", "expert"]) as ws:
        ws.import_rubrics([seed()])
        WORKSPACE.append(ws)
        yield
        WORKSPACE.clear()


class GPAChatOpenAI(GPAChatModel):
    """``GPAMiddleware(ws).chat_model(ChatOpenAI(...))``, built from ChatOpenAI's arguments."""

    def __init__(self, **kwargs: Any) -> None:
        middleware: GPAMiddleware[Any] = GPAMiddleware(WORKSPACE[0], holdout=0.0)
        made = middleware.chat_model(ChatOpenAI(**kwargs))
        super().__init__(inner=made.inner, tailor=made.tailor)


class _Inner:
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "scripted",
            "base_url": SERVER.url,
            "api_key": "test",
            "stream_usage": True,  # ChatOpenAI asks other servers than OpenAI's for none
        }

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "scripted-other"


class _Ours(_Inner):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return GPAChatOpenAI


class TestUnitInner(_Inner, ChatModelUnitTests):
    """ChatOpenAI's unit tests."""


class TestUnitOurs(_Ours, ChatModelUnitTests):
    """The same for ours."""


class TestIntegrationInner(_Inner, ChatModelIntegrationTests):
    """ChatOpenAI's integration tests."""


class TestIntegrationOurs(_Ours, ChatModelIntegrationTests):
    """The same for ours."""
