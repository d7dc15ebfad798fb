"""The simulated provider as a chat model in this process: no server, no network.

See `gpa_agent.testing.simulated_provider` for what the simulation is and what it cannot show.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, Field
from typing_extensions import override

from gpa_agent.testing.completions import count_tokens, prompt_tokens
from gpa_agent.testing.simulated_provider import MODEL_NAME, SimulatedProvider

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

_ROLES = {"human": "user", "ai": "assistant"}


class SimulatedChatModel(BaseChatModel):
    """A chat model that answers the project's prompts, simulated.

    Example:
        ```python
        from gpa_agent.prompts import intent_ask
        from gpa_agent.testing.simulated_chat_model import SimulatedChatModel

        ask = intent_ask("What is recursion?", {"explanation": "", "planning": ""}, subject="t:c:0")
        print(SimulatedChatModel().invoke(ask.messages()).text)
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    provider: SimulatedProvider = Field(default_factory=SimulatedProvider)
    """What answers."""
    latency: float = 0.0
    """Seconds before each answer."""
    model_name: str = MODEL_NAME
    """What traces call the model."""

    @property
    @override
    def _llm_type(self) -> str:
        return "gpa-simulated"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "provider": repr(self.provider)}

    def _result(self, messages: list[BaseMessage]) -> ChatResult:
        said = [(_ROLES.get(m.type, m.type), m.text) for m in messages]
        text = self.provider.answer(said)
        sent, answered = prompt_tokens(said), count_tokens(text)
        message = AIMessage(
            content=text,
            usage_metadata=UsageMetadata(
                input_tokens=sent, output_tokens=answered, total_tokens=sent + answered
            ),
            response_metadata={"model_name": self.model_name, "finish_reason": "stop"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        time.sleep(self.latency)
        return self._result(messages)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await asyncio.sleep(self.latency)
        return self._result(messages)
