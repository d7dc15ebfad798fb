"""Connections of an event loop's own for a chat model that somebody else opened.

A connection lives and dies with the event loop that opened it. `ChatOpenAI` shares its
connections among all instances of a process, so that a model that served in one loop fails on
the first calls in another, and leaves open what it opened. A copy of the model gets connections
of its own here, over aiohttp, and no retries of its own: whoever asks retries.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


@asynccontextmanager
async def connected(model: BaseChatModel) -> AsyncGenerator[BaseChatModel]:
    """Give a model connections for this event loop, and close them at the end.

    Args:
        model: Any chat model. Only one that calls through the OpenAI SDK, and was not given an
            HTTP client to use, is copied.

    Yields:
        The model to call.
    """
    client: Any = getattr(model, "root_async_client", None)
    if client is None or getattr(model, "http_async_client", None) is not None:
        yield model
        return
    from openai import DefaultAioHttpClient  # noqa: PLC0415 -- slow to import

    async with DefaultAioHttpClient() as http:
        own = client.with_options(http_client=http, max_retries=0)
        yield model.model_copy(
            update={"root_async_client": own, "async_client": own.chat.completions}
        )
