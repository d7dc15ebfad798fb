"""Chat models by name, opened for many calls at a time.

OpenAI and servers that speak its API are called over aiohttp, which takes a fraction of the
CPU that httpx does at many calls in flight, and without the SDK's own retries: whoever asks
retries, once for all layers. An HTTP client belongs to one event loop: each loop opens its own
model, from a recipe, and closes it. LangChain is imported only when a model is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

CONNECT_SECONDS: Final = 10.0
"""How long connecting may take."""

_NOTHING: Final[Mapping[str, Any]] = {}

_ours: WeakSet[Any] = WeakSet()
"""HTTP clients opened here, which are closed here; a user's own are left alone."""


@dataclass(frozen=True, kw_only=True)
class ChatModelRecipe:
    """How to open a chat model, as plain data, so that other processes and loops can."""

    model: str
    """As `open_chat_model` takes it."""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Passed to the model; not shown, since a key may be among them (better: the environment)."""
    request_seconds: float = 120.0
    """How long one request may take; above 0."""

    def open(self) -> BaseChatModel:
        """Open the model for the current event loop; `close_chat_model` closes it.

        Raises:
            UsageError: As for `open_chat_model`.
        """
        return open_chat_model(
            self.model, parameters=self.parameters, request_seconds=self.request_seconds
        )


def open_chat_model(
    model: str | BaseChatModel,
    *,
    parameters: Mapping[str, Any] = _NOTHING,
    request_seconds: float = 120.0,
) -> BaseChatModel:
    """A chat model for many calls at a time.

    Args:
        model: ``openai:NAME`` or NAME alone (a server that speaks OpenAI's API is found by
            ``OPENAI_BASE_URL``), ``PROVIDER:NAME`` as LangChain's ``init_chat_model`` takes it, or
            a chat model, which is used as it is.
        parameters: Passed to a model given by name (``temperature``, ...). Providers other than
            OpenAI keep the retries and time limits of their package unless these set them.
        request_seconds: How long one request to OpenAI may take; above 0.

    Raises:
        UsageError: There is no such provider, its package or its key is missing, or a
            parameter does not fit.

    Example:
        ```python
        model = open_chat_model("openai:gpt-4o-mini", parameters={"temperature": 0})
        try:
            message = await model.ainvoke("Hello")
        finally:
            await close_chat_model(model)
        ```
    """
    if not isinstance(model, str):
        if parameters:
            raise UsageError(
                f"parameters ({', '.join(sorted(parameters))}) are for a model given by name; "
                "give this chat model its parameters where it is made"
            )
        return model
    provider, name = _split(model)
    if provider == "openai":
        return _open_openai(name, parameters, request_seconds)
    return _open_other(provider, name, parameters)


async def close_chat_model(model: BaseChatModel) -> None:
    """Close the connections of a model that `open_chat_model` opened; leave a user's own open.

    Args:
        model: As it was opened, or a copy of it; to be closed in the event loop that called it.
    """
    client = getattr(model, "http_async_client", None)
    if client is not None and client in _ours:
        await client.aclose()


def model_name(model: str | BaseChatModel) -> str:
    """The name a model goes by in the ledger, in reports and in the list of prices.

    Args:
        model: As for `open_chat_model`.

    Returns:
        ``provider:name``; never an address or a key.

    Raises:
        UsageError: The name is empty.

    Example:
        >>> model_name("gpt-4o-mini")
        'openai:gpt-4o-mini'
    """
    if isinstance(model, str):
        return ":".join(_split(model))
    said = model._get_ls_params()  # noqa: SLF001 -- LangChain's one name for every provider's model
    provider = said.get("ls_provider") or model._llm_type  # noqa: SLF001 -- public in effect
    return f"{provider}:{said.get('ls_model_name') or type(model).__name__}"


def _split(model: str) -> tuple[str, str]:
    provider, colon, name = model.strip().partition(":")
    if not colon:
        provider, name = "openai", provider
    if not provider or not name:
        raise UsageError(
            f"{model!r} names no chat model; expected for example 'openai:gpt-4o-mini'"
        )
    return provider, name


def _open_openai(name: str, parameters: Mapping[str, Any], seconds: float) -> BaseChatModel:
    _need_key(parameters)
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- slow to import
    from openai import DefaultAioHttpClient, Timeout  # noqa: PLC0415 -- slow to import

    # The server is named here and not left to the environment, so that it is part of the
    # parameters that the call ledger tells answers apart by.
    chosen: dict[str, Any] = {
        "base_url": os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE"),
        "max_retries": 0,
        "timeout": Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
        **parameters,
    }
    if "http_async_client" not in chosen:
        chosen["http_async_client"] = client = DefaultAioHttpClient()
        _ours.add(client)
    try:
        return ChatOpenAI(model=name, **chosen)
    except (TypeError, ValueError) as exc:
        raise _does_not_fit(f"openai:{name}", exc) from None


def _need_key(parameters: Mapping[str, Any]) -> None:
    given = parameters.get("api_key") or parameters.get("openai_api_key")
    if not given and not os.environ.get("OPENAI_API_KEY"):
        raise UsageError(
            "no key for OpenAI: set OPENAI_API_KEY in the environment; a local server "
            "(OPENAI_BASE_URL) that asks for none takes any value"
        )


def _open_other(provider: str, name: str, parameters: Mapping[str, Any]) -> BaseChatModel:
    from langchain.chat_models import init_chat_model  # noqa: PLC0415 -- slow to import

    try:
        opened: BaseChatModel = init_chat_model(name, model_provider=provider, **parameters)
    except ImportError as exc:
        raise UsageError(f"the model '{provider}:{name}' cannot be opened: {exc}") from exc
    except (TypeError, ValueError) as exc:
        raise _does_not_fit(f"{provider}:{name}", exc) from None
    return opened


def _does_not_fit(model: str, exc: Exception) -> UsageError:
    """What a provider's package refused, without the values, which may be secret."""
    from pydantic import ValidationError  # noqa: PLC0415 -- only where it fails

    if isinstance(exc, ValidationError):
        said = "; ".join(f"{e['loc'] and e['loc'][0]}: {e['msg']}" for e in exc.errors())
    else:
        said = " ".join(str(exc).split())
    return UsageError(
        f"the model {model!r} cannot be opened ({said}); give PROVIDER:NAME with a provider that "
        "LangChain knows, its key in the environment, and parameters that it takes"
    )
