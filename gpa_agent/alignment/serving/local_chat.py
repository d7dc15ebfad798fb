"""A LangChain chat model over a local engine, for one group or, bound, for any.

Tools are not called: `bind_tools` raises NotImplementedError, as of every chat model that
cannot, which is how a caller can tell. A conversation that holds tool calls and their results
from another model is read where the base's chat template can.
"""
# ruff: noqa: ANN401 -- the signatures of BaseChatModel

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field
from typing_extensions import override

from gpa_agent.alignment.serving.asking import Answer, Request
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models.base import LangSmithParams

_ROLES: Final = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_PER_CALL: Final = frozenset({"adapter", "max_tokens", "temperature", "top_p", "seed", "timeout"})
_ALIKE: Final = {"max_completion_tokens": "max_tokens"}
"""Other servers' names of what is taken here."""
_LEFT_ALONE: Final = frozenset({"frequency_penalty", "presence_penalty", "top_k"})
"""What a host may say to every model of its own and the engine has nothing for."""


class ChatLocal(BaseChatModel):
    """A chat model that a local engine answers for.

    Every field but `engine` can be given per call or bound: ``model.bind(adapter="expert")``.

    Example:
        ```python
        with LocalEngine(Path("base"), {"expert": Path("expert-adapter")}) as engine:
            print(ChatLocal(engine=engine, adapter="expert").invoke("What is a heap?").text)
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    engine: LocalEngine = Field(exclude=True, repr=False)
    """What answers; it may be shared, and closing it is its owner's business."""
    adapter: str | None = None
    """The group whose adapter answers; None is the base alone."""
    max_tokens: int = 512
    """Tokens of an answer."""
    temperature: float = 0.7
    """0 takes the likeliest token always."""
    top_p: float = 1.0
    """Share of the probability that is drawn from, in (0, 1]."""
    seed: int | None = None
    """The same seed gives the same answer to the same conversation."""
    stop: list[str] | None = None
    """An answer ends before the first of these."""
    timeout: float | None = None
    """Seconds from asking to the end of the answer; None waits for ever."""

    # Asking ---------------------------------------------------------------------------------

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any], **own: Any
    ) -> Request:
        given = {_ALIKE.get(n, n): value for n, value in given.items() if n not in _LEFT_ALONE}
        if unknown := sorted(given.keys() - _PER_CALL):
            raise UsageError(
                f"a local chat model does not take {', '.join(unknown)}; it takes "
                f"{', '.join(sorted(_PER_CALL))} and stop"
            )
        wanted = {name: given.get(name, getattr(self, name)) for name in _PER_CALL}
        return Request(
            messages=[_plain(message) for message in messages],
            stop=stop if stop is not None else self.stop or (),
            seconds=wanted.pop("timeout"),
            **wanted,
            **own,
        )

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        handle = self.engine.submit(request)
        try:
            return _result(handle.result(), self._name(request))
        finally:
            handle.cancel()  # where waiting was interrupted

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        handle = self.engine.asubmit(request)
        try:
            return _result(await handle.result(), self._name(request))
        finally:
            handle.cancel()

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs, stream=True)
        handle = self.engine.submit(request)
        try:
            for piece in handle:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager is not None:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            yield _last_chunk(handle.result(), self._name(request))
        finally:
            handle.cancel()  # where nobody reads on

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs, stream=True)
        handle = self.engine.asubmit(request)
        try:
            async for piece in handle:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager is not None:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            yield _last_chunk(await handle.result(), self._name(request))
        finally:
            handle.cancel()

    def _name(self, request: Request) -> str:
        return request.adapter or self.engine.base.name

    # What traces and caches call it ---------------------------------------------------------

    @property
    @override
    def _llm_type(self) -> str:
        return "gpa-local"

    @property
    @override
    def _identifying_params(self) -> Mapping[str, Any]:
        own = {name: getattr(self, name) for name in sorted(_PER_CALL - {"timeout"})}
        # A folder's bytes never change, so that it names what answers; a cache may rely on it.
        folders = {group: str(folder) for group, folder in self.engine.adapters.items()}
        return {"base": str(self.engine.base), "adapters": folders, "stop": self.stop, **own}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "gpa-local"
        adapter = kwargs.get("adapter", self.adapter)
        params["ls_model_name"] = str(kwargs.get("model") or adapter or self.engine.base.name)
        return params

    @override
    def get_token_ids(self, text: str) -> list[int]:
        """The base's token ids of a text.

        Args:
            text: Any.

        Returns:
            Them, in order.
        """
        return self.engine.tokenize(text)


def _result(answer: Answer, name: str) -> ChatResult:
    message = AIMessage(
        content=answer.text,
        usage_metadata=_usage(answer),
        response_metadata=_metadata(answer, name),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _last_chunk(answer: Answer, name: str) -> ChatGenerationChunk:
    message = AIMessageChunk(
        content="",
        usage_metadata=_usage(answer),
        response_metadata=_metadata(answer, name),
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message)


def _metadata(answer: Answer, name: str) -> dict[str, Any]:
    return {"finish_reason": answer.finish_reason, "model_name": name}


def _plain(message: BaseMessage) -> dict[str, Any]:
    """A message as chat templates take it."""
    role = _ROLES.get(message.type)
    if role is None:
        raise UsageError(f"a local chat model reads no {message.type!r} messages")
    if not isinstance(message.content, str) and any(_is_media(part) for part in message.content):
        raise UsageError("a local chat model reads text only; leave other content out")
    plain: dict[str, Any] = {"role": role, "content": message.text}
    if isinstance(message, AIMessage) and message.tool_calls:
        plain["tool_calls"] = [
            {"type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
            for call in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        plain |= {"tool_call_id": message.tool_call_id, "name": message.name or ""}
    return plain


def _is_media(part: str | dict[str, Any]) -> bool:
    kind = "text" if isinstance(part, str) else str(part.get("type"))
    return kind in {"image", "image_url", "audio", "input_audio", "video", "file"}


def _usage(answer: Answer) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=answer.prompt_tokens,
        output_tokens=answer.completion_tokens,
        total_tokens=answer.prompt_tokens + answer.completion_tokens,
    )
