"""langchain-tests' own unit suite for chat models, on ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.alignment.serving.local_chat import ChatLocal
from tests.alignment.tiny_models import groups

__all__ = ["groups"]


@pytest.mark.filterwarnings("ignore")
class TestChatLocal(ChatModelUnitTests):
    engine: LocalEngine

    @pytest.fixture(scope="class", autouse=True)
    def _engine(self, groups: tuple[Path, dict[str, Path]]) -> Iterator[None]:
        with LocalEngine(*groups, trust_base=True) as engine:
            type(self).engine = engine
            yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLocal

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"engine": self.engine, "adapter": "group 0"}

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "group 1"
