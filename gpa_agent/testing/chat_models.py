"""A chat model that says what it was told to say: the fake our users test with, too.

`ScriptedChatModel` answers from a list or from a function of the messages, streams in
word-sized chunks, calls tools when the script says so, counts its calls and keeps every
prompt it was sent. It is a real ``BaseChatModel``: agents, graphs, structured output and
every streaming mode run on it as they run on a provider's model.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    UsageMetadata,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr
from typing_extensions import override

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

Answer = str | AIMessage | Exception
"""What a script holds: a text, a whole message (with tool calls), or an error to raise."""

Script = Sequence[Answer] | Callable[[list[BaseMessage]], Answer]
"""Answers in order, the last one repeated for ever; or a function of the prompt."""


def echo(messages: list[BaseMessage]) -> str:
    """Answer with the last thing the user said, and how much was sent along.

    Args:
        messages: The prompt.

    Returns:
        ``You said: ...`` with the last human message's text.
    """
    said = [m.text for m in messages if isinstance(m, HumanMessage)]
    return f"You said: {said[-1] if said else ''}"


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def _usage(messages: Sequence[BaseMessage], answer: AIMessage) -> UsageMetadata:
    sent = sum(len(_words(m.text)) for m in messages)
    said = len(_words(answer.text))
    return UsageMetadata(input_tokens=sent, output_tokens=said, total_tokens=sent + said)


class ScriptedChatModel(BaseChatModel):
    """Answers from a script.

    Example:
        ```python
        from gpa_agent.testing.chat_models import ScriptedChatModel

        model = ScriptedChatModel(script=["Hello.", "Goodbye."])
        assert model.invoke("Hi").text == "Hello."
        assert model.calls == 1
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    script: Any = Field(default_factory=lambda: ["Understood."])
    """A `Script`: answers in order (the last is repeated), or a function of the messages."""
    delay: float = 0.0
    """Seconds before each chunk of a stream, and before a whole answer."""
    before_chunk: Callable[[int], None] | None = None
    """Called with a chunk's number before it is sent; may block (tests order events by it)."""
    model_name: str = "scripted"
    """What traces call the model."""
    profile: Any = None
    """Capabilities as LangChain's model profiles state them."""

    _prompts: list[list[BaseMessage]] = PrivateAttr(default_factory=list[list[BaseMessage]])
    _options: list[dict[str, Any]] = PrivateAttr(default_factory=list[dict[str, Any]])
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def calls(self) -> int:
        """How often the model was called."""
        return len(self._prompts)

    @property
    def prompts(self) -> list[list[BaseMessage]]:
        """The messages of every call, in order."""
        return self._prompts

    @property
    def options(self) -> list[dict[str, Any]]:
        """The keyword arguments (tools, tool_choice, stop ...) of every call, in order."""
        return self._options

    @property
    @override
    def _llm_type(self) -> str:
        return "gpa-scripted"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name}

    def _answer(self, messages: list[BaseMessage], options: dict[str, Any]) -> AIMessage:
        with self._lock:
            number = len(self._prompts)
            self._prompts.append(list(messages))
            self._options.append(options)
        script: Script = self.script
        answer = script(messages) if callable(script) else script[min(number, len(script) - 1)]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            answer = AIMessage(content=answer)
        return answer.model_copy(
            update={
                "usage_metadata": _usage(messages, answer),
                "response_metadata": {
                    "model_name": self.model_name,
                    **answer.response_metadata,
                },
            }
        )

    def _chunks(self, answer: AIMessage) -> Iterator[ChatGenerationChunk]:
        parts = _words(answer.text) or [""]
        last = len(parts) - 1
        for number, part in enumerate(parts):
            chunk = AIMessageChunk(content=part, id=answer.id)
            if number == last:
                chunk = AIMessageChunk(
                    content=part,
                    id=answer.id,
                    usage_metadata=answer.usage_metadata,
                    response_metadata=answer.response_metadata,
                    tool_call_chunks=[
                        tool_call_chunk(
                            name=call["name"],
                            args=json.dumps(call["args"]),
                            id=call["id"],
                            index=index,
                        )
                        for index, call in enumerate(answer.tool_calls)
                    ],
                    chunk_position="last",
                )
            yield ChatGenerationChunk(message=chunk)

    def _pause(self, number: int) -> None:
        if self.before_chunk is not None:
            self.before_chunk(number)
        if self.delay:
            time.sleep(self.delay)

    async def _apause(self, number: int) -> None:
        if self.before_chunk is not None:
            await asyncio.to_thread(self.before_chunk, number)
        if self.delay:
            await asyncio.sleep(self.delay)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._answer(messages, {"stop": stop, **kwargs})
        self._pause(0)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = self._answer(messages, {"stop": stop, **kwargs})
        await self._apause(0)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for number, chunk in enumerate(
            self._chunks(self._answer(messages, {"stop": stop, **kwargs}))
        ):
            self._pause(number)
            yield chunk

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number, chunk in enumerate(
            self._chunks(self._answer(messages, {"stop": stop, **kwargs}))
        ):
            await self._apause(number)
            yield chunk

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Accept tools; whether one is called is the script's decision.

        Args:
            tools: As for any chat model.
            tool_choice: Kept among the call's `options`.
            **kwargs: Kept among the call's `options`.

        Returns:
            The model with the tools bound.
        """
        return self.bind(
            tools=[convert_to_openai_tool(tool) for tool in tools],
            tool_choice=tool_choice,
            **kwargs,
        )
