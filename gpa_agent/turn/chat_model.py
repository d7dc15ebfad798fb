"""A chat model around a chat model: tailored, and otherwise exactly the inner one.

It delegates to the inner model's ``_generate`` and ``_stream``, not to its ``invoke``: one
run in traces and streams instead of two. Tools, structured output, streaming decisions and
tracing parameters are the inner model's own. Who asks is read from ``configurable``, as in a
graph; the conversation's id is the thread's, else derived from the person and the first thing
said, so that a stateless client that resends its history stays in one conversation.

Answers are not cached here: a cache would be keyed by the prompt before it is tailored, and
serve one group's answer to another.
"""
# ruff: noqa: SLF001, ANN401 -- a wrapper of BaseChatModel has its signatures and calls its hooks

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import ensure_config
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import get_runtime
from pydantic import ConfigDict, Field
from typing_extensions import override

from gpa_agent.errors import UsageError
from gpa_agent.turn.context import Asker, read_asker
from gpa_agent.turn.dispatch import (
    astream_of,
    auntil_said,
    options_for,
    stream_of,
    until_said,
)
from gpa_agent.turn.plan import Plan, answer_in, read_turn
from gpa_agent.turn.prompt import messages_with_rubric
from gpa_agent.turn.tailor import Tailor, fallen_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.tools import BaseTool

_asker: ContextVar[Asker | None] = ContextVar("gpa_asker", default=None)


def _read(config: RunnableConfig | None) -> Asker:
    """Who asks, from the call's config, merged with that of the run around it."""
    try:
        runtime: Any = get_runtime()
    except RuntimeError:  # outside of any run
        runtime = None
    # Inside a Runnable that is in no graph there is a run, but LangGraph has no runtime for it.
    return read_asker(getattr(runtime, "context", None), ensure_config(config).get("configurable"))


@contextmanager
def _asked_by(asker: Asker) -> Generator[None]:
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)


class _Turn:
    """One call: its plan, and what was said, until it is recorded."""

    def __init__(self, messages: list[BaseMessage], plan: Plan) -> None:
        self.messages = messages
        self.turn: Mapping[str, Any] = plan.to_state()
        self.trace: Mapping[str, Any] = plan.trace()
        self._text: list[str] = []
        self._calls_tools = False

    def fall_back(self, reason: str) -> None:
        self.turn, self.trace = fallen_back(self.turn, self.trace, reason)

    def heard(self, message: BaseMessage) -> None:
        self._text.append(message.text)
        if isinstance(message, AIMessageChunk):
            self._calls_tools |= bool(message.tool_call_chunks)
        elif isinstance(message, AIMessage):
            self._calls_tools |= bool(message.tool_calls)

    def exchange(self) -> tuple[str, str]:
        """What is recorded; no answer where the model only called tools (the turn goes on)."""
        user, _ = answer_in(self.messages)
        return user, "" if self._calls_tools else answer_in([AIMessage("".join(self._text))])[1]

    def traced(self, message: BaseMessage) -> BaseMessage:
        metadata = {**message.response_metadata, "gpa": dict(self.trace)}
        return message.model_copy(update={"response_metadata": metadata})

    def traced_chunk(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        return ChatGenerationChunk(
            message=self.traced(chunk.message),  # type: ignore[arg-type]  # a copy of a chunk is one
            generation_info=chunk.generation_info,
        )


class GPAChatModel(BaseChatModel):
    """A chat model that tailors each answer to the asker's group.

    The trace of a turn is in its message's ``response_metadata["gpa"]``.

    Example:
        ```python
        model = GPAMiddleware("my.gpa").chat_model(ChatOpenAI(model="gpt-5.5"))
        model.invoke("Why?", config={"configurable": {"user_id": "u1", "group": "novice"}})
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inner: BaseChatModel
    """The host's chat model."""
    tailor: Tailor = Field(exclude=True, repr=False)
    """The engine; made by `gpa_agent.GPAMiddleware.chat_model`."""

    def __init__(self, *, inner: BaseChatModel, tailor: Tailor, **kwargs: Any) -> None:
        own: dict[str, Any] = {
            "cache": False,
            "callbacks": inner.callbacks,
            "custom_get_token_ids": inner.custom_get_token_ids,
            "disable_streaming": inner.disable_streaming,
            "metadata": inner.metadata,
            "output_version": inner.output_version,
            "profile": inner.profile,
            "rate_limiter": inner.rate_limiter,
            "tags": inner.tags,
        }
        own.update(inner=inner, tailor=tailor)
        super().__init__(**{**own, **kwargs})

    # Who asks -------------------------------------------------------------------------------

    @override
    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        with _asked_by(_read(config)):
            return super().invoke(input, config, stop=stop, **kwargs)

    @override
    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        with _asked_by(_read(config)):
            return await super().ainvoke(input, config, stop=stop, **kwargs)

    @override
    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        chunks = super().stream(input, config, stop=stop, **kwargs)
        # The turn is planned before the first chunk; afterwards the caller's code runs between
        # chunks, and must not find our variable set.
        with _asked_by(_read(config)):
            first = next(chunks, None)
        if first is not None:
            yield first
            yield from chunks

    @override
    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        chunks = super().astream(input, config, stop=stop, **kwargs)
        with _asked_by(_read(config)):
            first = await anext(chunks, None)
        if first is not None:
            yield first
            async for chunk in chunks:
                yield chunk

    # The turn -------------------------------------------------------------------------------

    def _begin(self, messages: list[BaseMessage]) -> _Turn:
        asked = read_turn(_asker.get() or _read(None), messages)
        return _Turn(messages, self.tailor.run(self.tailor.find_plan(asked, can_dispatch=True)))

    async def _abegin(self, messages: list[BaseMessage]) -> _Turn:
        asked = read_turn(_asker.get() or _read(None), messages)
        flow = self.tailor.find_plan(asked, can_dispatch=True)
        return _Turn(messages, await self.tailor.arun(flow))

    def _prompt(self, turn: _Turn) -> list[BaseMessage]:
        return messages_with_rubric(turn.messages, turn.turn["block"])

    def _group_model(self, turn: _Turn) -> BaseChatModel | None:
        """The group's model where the plan has one; None where it is to be the inner one."""
        group = turn.turn["model"]
        return self.tailor.group_model(group) if group is not None else None

    def _given(self, model: BaseChatModel, turn: _Turn, options: dict[str, Any]) -> dict[str, Any]:
        given = options_for(model, self.inner, options)
        if given.tools_removed:
            turn.trace = {**turn.trace, "tools_removed": given.tools_removed}
        return given.options

    def _fall_back(self, turn: _Turn, error: Exception) -> None:
        if isinstance(error, GraphBubbleUp):
            raise error
        turn.fall_back(self.tailor.degrade("dispatch_group_model", error))

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = self._begin(messages)
        result: ChatResult | None = None
        try:
            if (special := self._group_model(turn)) is not None:
                own = self._given(special, turn, kwargs)
                result = special._generate(messages, stop, run_manager, **own)
        except Exception as error:  # noqa: BLE001 -- GPA-FT falls back to GPA-CT, then plain
            self._fall_back(turn, error)
        if result is None:
            result = self.inner._generate(self._prompt(turn), stop, run_manager, **kwargs)
        result = _traced(turn, result)
        self.tailor.record(turn.turn, turn.trace, turn.exchange())
        return result

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = await self._abegin(messages)
        result: ChatResult | None = None
        try:
            if (special := self._group_model(turn)) is not None:
                own = self._given(special, turn, kwargs)
                result = await special._agenerate(messages, stop, run_manager, **own)
        except Exception as error:  # noqa: BLE001 -- GPA-FT falls back to GPA-CT, then plain
            self._fall_back(turn, error)
        if result is None:
            result = await self.inner._agenerate(self._prompt(turn), stop, run_manager, **kwargs)
        result = _traced(turn, result)
        await self.tailor.arecord(turn.turn, turn.trace, turn.exchange())
        return result

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turn = self._begin(messages)
        chunks: Iterator[ChatGenerationChunk] | None = None
        try:
            if (special := self._group_model(turn)) is not None:
                own = self._given(special, turn, kwargs)
                chunks = until_said(stream_of(special, messages, stop, run_manager, own))
        except Exception as error:  # noqa: BLE001 -- GPA-FT falls back to GPA-CT, then plain
            self._fall_back(turn, error)
        if chunks is None:
            chunks = self.inner._stream(self._prompt(turn), stop, run_manager, **kwargs)
        for number, chunk in enumerate(chunks):
            turn.heard(chunk.message)
            yield turn.traced_chunk(chunk) if number == 0 else chunk
        self.tailor.record(turn.turn, turn.trace, turn.exchange())

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = await self._abegin(messages)
        chunks: AsyncIterator[ChatGenerationChunk] | None = None
        try:
            if (special := self._group_model(turn)) is not None:
                own = self._given(special, turn, kwargs)
                pieces = astream_of(special, messages, stop, run_manager, own)
                chunks = await auntil_said(pieces)
        except Exception as error:  # noqa: BLE001 -- GPA-FT falls back to GPA-CT, then plain
            self._fall_back(turn, error)
        if chunks is None:
            chunks = self.inner._astream(self._prompt(turn), stop, run_manager, **kwargs)
        number = 0
        async for chunk in chunks:
            turn.heard(chunk.message)
            yield turn.traced_chunk(chunk) if number == 0 else chunk
            number += 1
        await self.tailor.arecord(turn.turn, turn.trace, turn.exchange())

    # As the inner model ---------------------------------------------------------------------

    @property
    @override
    def _llm_type(self) -> str:
        return f"gpa-{self.inner._llm_type}"

    @property
    @override
    def _identifying_params(self) -> Mapping[str, Any]:
        return self.inner._identifying_params

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    @override
    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return self.inner._get_invocation_params(stop=stop, **kwargs)

    @override
    def _should_stream(
        self,
        *,
        async_api: bool,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> bool:
        return self.inner._should_stream(async_api=async_api, run_manager=run_manager, **kwargs)

    @override
    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        return self.inner.get_num_tokens_from_messages(messages, tools)

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        given = {**kwargs, "tool_choice": tool_choice} if tool_choice is not None else kwargs
        return self._in_place_of_inner(self.inner.bind_tools(tools, **given))

    @override
    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | Any]:
        return self._in_place_of_inner(
            self.inner.with_structured_output(schema, include_raw=include_raw, **kwargs)
        )

    def _in_place_of_inner(self, pipeline: Runnable[Any, Any]) -> Runnable[Any, Any]:
        """The inner model's own pipeline with ourselves where it stands."""
        found = self._swapped(pipeline)
        if found is None:
            raise UsageError(
                f"{type(self.inner).__name__!r} builds {type(pipeline).__name__!r} around another "
                "model than itself, so it cannot be tailored; wrap that model instead"
            )
        return found

    def _swapped(self, part: Runnable[Any, Any]) -> Runnable[Any, Any] | None:
        if part is self.inner:
            return self
        swapped: Runnable[Any, Any] | None = None
        if isinstance(part, RunnableBindingBase):
            bound = self._swapped(part.bound)
            swapped = bound and part.model_copy(update={"bound": bound})
        elif isinstance(part, RunnableSequence):
            steps = [self._swapped(step) for step in part.steps]
            if any(steps):
                kept = [new or old for new, old in zip(steps, part.steps, strict=True)]
                swapped = RunnableSequence(*kept, name=part.name)
        elif isinstance(part, RunnableParallel):
            branches = {name: self._swapped(step) for name, step in part.steps__.items()}
            if any(branches.values()):
                swapped = RunnableParallel(
                    {name: branches[name] or step for name, step in part.steps__.items()}
                )
        return swapped


def _traced(turn: _Turn, result: ChatResult) -> ChatResult:
    """The result with the trace on its first message; the model's own objects are not changed."""
    generations = list(result.generations)
    if generations:
        first = generations[0]
        turn.heard(first.message)
        generations[0] = ChatGeneration(
            message=turn.traced(first.message), generation_info=first.generation_info
        )
    return ChatResult(generations=generations, llm_output=result.llm_output)
