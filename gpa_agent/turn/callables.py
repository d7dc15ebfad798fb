"""A generator of text as a chat model, so that its chunks stream like any model's.

The chat models a generator calls are hidden from the run's callbacks while it works: it
passes on what they say, and a token must not be seen twice.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables.config import var_child_runnable_config
from typing_extensions import override

from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

_T = TypeVar("_T")


def is_generator(app: object) -> bool:
    """Tell whether calling an app returns a generator.

    Args:
        app: A function or an object with ``__call__``.

    Returns:
        Whether it is a (sync or async) generator function.
    """
    call = getattr(type(app), "__call__", None)  # noqa: B004 -- its kind is asked, not whether it is there
    return any(
        test(it)
        for it in (app, call)
        for test in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    )


class _Loop:
    """One event loop in a daemon thread, started when first needed and kept.

    Kept, because async HTTP clients cache connections that die with the loop they were made on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="gpa-async-app", daemon=True
                ).start()
            return self._loop


_loop = _Loop()


def wait_for(work: Coroutine[Any, Any, _T]) -> _T:
    """Wait for a coroutine from synchronous code.

    Args:
        work: The coroutine; it runs on a loop of our own.

    Returns:
        Its result.
    """
    return asyncio.run_coroutine_threadsafe(work, _loop.get()).result()


@contextmanager
def _hidden() -> Generator[None]:
    token = var_child_runnable_config.set(None)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _chunk(item: object) -> ChatGenerationChunk:
    if isinstance(item, str):
        return ChatGenerationChunk(message=AIMessageChunk(content=item))
    if isinstance(item, AIMessageChunk):
        return ChatGenerationChunk(message=item.model_copy(update={"id": None}))
    if isinstance(item, BaseMessage):
        return ChatGenerationChunk(message=AIMessageChunk(content=item.content))
    raise UsageError(
        f"the wrapped generator yielded {type(item).__name__!r}; expected text or messages"
    )


class CallableChatModel(BaseChatModel):
    """A chat model around a (sync or async) generator function.

    Args:
        function: Yields text or messages for a conversation.
        to_input: Makes the function's argument from the messages.
    """

    function: Callable[[Any], Any]
    to_input: Callable[[list[BaseMessage]], Any]

    @property
    @override
    def _llm_type(self) -> str:
        return "gpa-generator"

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with _hidden():
            source = self.function(self.to_input(messages))
        items = _from_async(source) if isinstance(source, AsyncIterator) else iter(source)
        while True:
            with _hidden():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield _chunk(item)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with _hidden():
            source = self.function(self.to_input(messages))
        items = source if isinstance(source, AsyncIterator) else _from_sync(source)
        while True:
            with _hidden():
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            yield _chunk(item)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))


_END = object()


async def _from_sync(source: Iterator[Any]) -> AsyncIterator[Any]:
    """Pull a blocking generator in a thread, one item at a time."""
    while (item := await asyncio.to_thread(next, source, _END)) is not _END:
        yield item


def _from_async(source: AsyncIterator[Any]) -> Iterator[Any]:
    """Pull an async generator on our own loop, one item as it comes."""
    queue: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

    async def pump() -> None:
        try:
            async for item in source:
                queue.put((True, item))
        except BaseException as error:  # noqa: BLE001 -- raised where it is read
            queue.put((False, error))
        else:
            queue.put((False, None))

    pumping = asyncio.run_coroutine_threadsafe(pump(), _loop.get())
    try:
        while True:
            more, item = queue.get()
            if more:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        pumping.cancel()  # a reader that stops early stops the app
