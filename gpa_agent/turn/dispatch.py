"""GPA-FT: a group's model in the place of the host's, for as long as nothing was said.

Algorithm 5 of Group Preference Alignment sends a turn to its group's model. Here that model may
be of another make than the host's, on another machine, withdrawn a moment ago or out of order, so:

* it is looked up at every call, and whatever fails before its first token sends the call to the
  host's own model, with the rubric in the prompt where there is one (GPA-CT), else plain;
* after its first token nothing is started over: what somebody has read cannot be taken back, so
  the error is the caller's, as it would be with the host's own model;
* tools are left out only where it cannot be given any, which the trace counts as
  ``tools_removed``; where the host insists on a tool or on a form of the answer, which a model
  that cannot be given tools would break, the host's own model answers.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables.base import RunnableBinding
from langchain_core.runnables.config import (
    ensure_config,
    merge_configs,
    var_child_runnable_config,
)
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Mapping

    from langchain.agents.middleware.types import ContextT, ModelRequest
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.runnables import RunnableConfig


class NotServed(LookupError):  # noqa: N818 -- the trace tells it by this name
    """The group's model was there when the turn was planned and is not any more."""


class CannotBind(TypeError):  # noqa: N818 -- likewise
    """The host insists on a tool, or a form of the answer, that the group's model cannot give."""


@runtime_checkable
class TunedFor(Protocol):
    """Group models that know what they were tuned for."""

    def tuned_for(self, group: str) -> Mapping[str, frozenset[str]] | None:
        """By intent, the wishes a group's model was tuned by; None where it is not known."""
        ...


# Whether anything was said ------------------------------------------------------------------


def says(message: BaseMessage) -> bool:
    """Tell whether a piece of an answer says anything: text, reasoning or a tool call.

    Args:
        message: A message or a chunk of one; servers send an empty chunk ahead.
    """
    calls = isinstance(message, AIMessageChunk) and message.tool_call_chunks
    return bool(message.content or message.additional_kwargs or calls)


class Spoken(BaseCallbackHandler):
    """Hears whether a model's first token is out."""

    run_inline = True

    def __init__(self) -> None:
        self.yet = False

    @override
    def on_llm_new_token(self, token: object, *, chunk: Any = None, **kwargs: Any) -> None:
        message = getattr(chunk, "message", None)
        self.yet |= bool(token) or (isinstance(message, BaseMessage) and says(message))

    @override
    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        self.yet |= event.get("event") == "content-block-delta"

    def of(self, config: RunnableConfig) -> RunnableConfig:
        """A run's config with this handler among its callbacks."""
        return merge_configs(config, {"callbacks": [self]})

    @contextmanager
    def listening(self) -> Generator[None]:
        """Hear every model that the code inside calls without a config of its own."""
        token = var_child_runnable_config.set(self.of(ensure_config()))
        try:
            yield
        finally:
            var_child_runnable_config.reset(token)


# What the group's model can be given ----------------------------------------------------------

_SAMPLING: Final = frozenset(
    {
        *("frequency_penalty", "max_completion_tokens", "max_tokens", "presence_penalty"),
        *("seed", "stop", "temperature", "top_k", "top_p"),
    }
)
"""What every chat model takes, or leaves alone."""
_TOOLS: Final = frozenset({"parallel_tool_calls", "strict", "tool_choice", "tools"})
_HOSTS: Final = frozenset({"model", "model_name", "stream", "stream_options", "stream_usage"})
"""What is said to the host's model alone: its name, and how it is to be streamed."""
_EFFORT: Final = frozenset(
    {
        *("cache_control", "effort", "extra_headers", "metadata", "prompt_cache_key"),
        *("prompt_cache_retention", "reasoning", "reasoning_effort", "safety_identifier"),
        *("service_tier", "store", "thinking", "thinking_budget", "thinking_level", "timeout"),
        *("user", "verbosity"),
    }
)
"""How a model of the host's make goes about it, and who pays: nothing of the answer's form."""
_FREE: Final = (None, False, "auto", "none")
"""Values of ``tool_choice`` that leave it to the model."""


class Given(NamedTuple):
    """What a group's model is called with.

    Attributes:
        options: Keyword arguments of the call.
        tools_removed: How many tools it was not given.
    """

    options: dict[str, Any]
    tools_removed: int = 0


def can_bind(model: BaseChatModel) -> bool:
    """Tell whether a model takes tools at all.

    Args:
        model: The group's model.
    """
    if type(model).bind_tools is BaseChatModel.bind_tools:
        return False
    try:
        model.bind_tools([])
    except (NotImplementedError, AttributeError):
        return False
    except Exception:  # noqa: BLE001 -- it objects to there being none; the call itself will tell
        return True
    return True


def given(
    model: BaseChatModel, request: ModelRequest[ContextT]
) -> tuple[ModelRequest[ContextT], int]:
    """An agent's model call for a group's model.

    Args:
        model: The group's model.
        request: The call as the agent made it; its settings are passed on as by `options_for`.

    Returns:
        The call for that model, and how many tools it was not given.

    Raises:
        CannotBind: The model takes no tools, and the agent insists on one or on a structured
            response, which agents get by way of tools; or the settings insist.
    """
    own = options_for(model, request.model, request.model_settings)
    wanted = request.override(model=model, model_settings=own.options)
    if not (request.tools or request.response_format) or can_bind(model):
        return wanted, own.tools_removed
    if request.response_format is not None or request.tool_choice not in _FREE:
        raise CannotBind(type(model).__name__)
    removed = own.tools_removed + len(request.tools)
    return wanted.override(tools=[], tool_choice=None), removed


def options_for(model: BaseChatModel, host: BaseChatModel, options: Mapping[str, Any]) -> Given:
    """Call options or settings, which are in the host's manner, for a group's model.

    Models of one class understand each other. To one of another class sampling options are
    passed on, tools are bound anew, and what only says how to go about it is left out.

    Args:
        model: The group's model.
        host: The host's model.
        options: As bound to, or passed to, the host's model.

    Returns:
        The options for that model.

    Raises:
        CannotBind: The host insists on a tool or on a form of the answer.
    """
    own = {name: value for name, value in options.items() if name not in _HOSTS}
    if type(model) is type(host):
        return Given(own)
    plain = {name: value for name, value in own.items() if name not in _TOOLS | _EFFORT}
    if plain.keys() - _SAMPLING or own.get("tool_choice") not in _FREE:
        raise CannotBind(type(model).__name__)
    tools = own.get("tools")
    if not tools:
        return Given(plain)
    if not can_bind(model):
        return Given(plain, len(tools))
    bound = model.bind_tools(tools)
    if not isinstance(bound, RunnableBinding):
        raise CannotBind(type(model).__name__)
    return Given({**plain, **bound.kwargs})


# What it says, piece by piece -----------------------------------------------------------------


def stream_of(
    model: BaseChatModel,
    messages: list[BaseMessage],
    stop: list[str] | None,
    run_manager: CallbackManagerForLLMRun | None,
    options: Mapping[str, Any],
) -> Iterator[ChatGenerationChunk]:
    """A model's answer in pieces; in one piece where it does not stream."""
    if type(model)._stream is BaseChatModel._stream:  # noqa: SLF001 -- as langchain itself asks
        yield _in_one(model._generate(messages, stop, run_manager, **options))  # noqa: SLF001
        return
    yield from model._stream(messages, stop, run_manager, **options)  # noqa: SLF001


async def astream_of(
    model: BaseChatModel,
    messages: list[BaseMessage],
    stop: list[str] | None,
    run_manager: AsyncCallbackManagerForLLMRun | None,
    options: Mapping[str, Any],
) -> AsyncIterator[ChatGenerationChunk]:
    """A model's answer in pieces; in one piece where it does not stream."""
    kind = type(model)
    if kind._stream is BaseChatModel._stream and kind._astream is BaseChatModel._astream:  # noqa: SLF001
        yield _in_one(await model._agenerate(messages, stop, run_manager, **options))  # noqa: SLF001
        return
    async for chunk in model._astream(messages, stop, run_manager, **options):  # noqa: SLF001
        yield chunk


def _in_one(result: ChatResult) -> ChatGenerationChunk:
    fields: dict[str, Any] = result.generations[0].message.model_dump(exclude={"type"})
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


def until_said(chunks: Iterator[ChatGenerationChunk]) -> Iterator[ChatGenerationChunk]:
    """Wait for the first piece that says something; what fails until then is raised here.

    Args:
        chunks: An answer's pieces.

    Returns:
        All of them.
    """
    held: list[ChatGenerationChunk] = []
    for chunk in chunks:
        held.append(chunk)
        if says(chunk.message):
            break
    return chain(held, chunks)


async def auntil_said(
    chunks: AsyncIterator[ChatGenerationChunk],
) -> AsyncIterator[ChatGenerationChunk]:
    """Wait for the first piece that says something; what fails until then is raised here.

    Args:
        chunks: An answer's pieces.

    Returns:
        All of them.
    """
    held: list[ChatGenerationChunk] = []
    async for chunk in chunks:
        held.append(chunk)
        if says(chunk.message):
            break

    async def whole() -> AsyncIterator[ChatGenerationChunk]:
        for chunk in held:
            yield chunk
        async for chunk in chunks:
            yield chunk

    return whole()
