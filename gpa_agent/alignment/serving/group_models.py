"""The model tuned for each group, wherever it runs: what GPA-FT dispatches to.

Algorithm 5 of Group Preference Alignment sends a turn to its group's model M_G. Here that is one
of three kinds behind one mapping, which `gpa_agent.GPAMiddleware` asks anew at every turn:

* `GroupModels.local`: a workspace's adapters on their shared base, in this process;
* `GroupModels.endpoint`: a server that speaks OpenAI's API and knows each group's model by a name
  of its own (vLLM and SGLang with LoRA adapters, llama.cpp ...);
* `GroupModels.of`: any chat models.

A group that is not in the mapping is answered by the host's own model, with the rubric in its
prompt where there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError
from typing_extensions import override

from gpa_agent.errors import UsageError
from gpa_agent.models import CONNECT_SECONDS

if TYPE_CHECKING:
    from gpa_agent.alignment.serving.adapters import Device
    from gpa_agent.workspace import Workspace

NO_KEY: Final = "none"
"""What a server is told that asks for no key, since the client insists on one."""


class GroupModels(Mapping[str, BaseChatModel]):
    """Chat models by group.

    Look a model up for every call: what was withdrawn since is not in the mapping any more.

    Args:
        models: What serves, by group.

    Example:
        ```python
        from gpa_agent import GPAMiddleware
        from gpa_agent.alignment.serving.group_models import GroupModels

        with GroupModels.local("my.gpa") as models:
            agent = create_agent(model, middleware=[GPAMiddleware("my.gpa", group_models=models)])
        ```
    """

    def __init__(self, models: Mapping[str, BaseChatModel]) -> None:
        self._models = models

    # Three kinds ----------------------------------------------------------------------------

    @classmethod
    def of(cls, models: Mapping[str, BaseChatModel]) -> GroupModels:
        """Any chat models.

        Args:
            models: By group.

        Returns:
            The same, which closing leaves alone.

        Raises:
            UsageError: One of them is no chat model.
        """
        for group, model in models.items():
            if not isinstance(model, BaseChatModel):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers without a type checker
                raise UsageError(f"the model of group {group!r} is {model!r}, not a chat model")
        return GroupModels(dict(models))

    @classmethod
    def endpoint(
        cls,
        base_url: str,
        models: Mapping[str, str],
        *,
        api_key: str | None = None,
        request_seconds: float = 60.0,
        **parameters: Any,  # noqa: ANN401 -- whatever ChatOpenAI takes
    ) -> GroupModels:
        """A server that speaks OpenAI's API, with a model name for each group.

        The server has to be told itself what is to serve: a group that was refused or marked stale
        is withdrawn there, by starting it anew (``gpa finetune --serve-command``).

        Args:
            base_url: Such as ``http://127.0.0.1:8000/v1``.
            models: The server's name of each group's model, as ``{"novice": "novice"}``.
            api_key: None takes ``OPENAI_API_KEY`` from the environment where it belongs: for OpenAI
                itself and for the server that ``OPENAI_BASE_URL`` names. Others get none.
            request_seconds: How long a request, or the next piece of a stream, may take before the
                turn goes to the host's model; above 0.
            **parameters: Passed to ``ChatOpenAI`` (``temperature``, ``max_tokens`` ...).

        Returns:
            One client a group; nothing is asked of the server yet.

        Raises:
            UsageError: There is no group, or a parameter does not fit.

        Example:
            ```python
            GroupModels.endpoint("http://127.0.0.1:8000/v1", {"novice": "novice"}, max_tokens=512)
            ```
        """
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 -- slow to import
        from openai import Timeout  # noqa: PLC0415 -- likewise

        if not models:
            raise UsageError("models is empty: expected {'<group>': '<its name on the server>'}")
        given: dict[str, Any] = {
            "base_url": base_url,
            "api_key": api_key or _key_for(base_url) or NO_KEY,
            "timeout": Timeout(request_seconds, connect=min(request_seconds, CONNECT_SECONDS)),
            "max_retries": 0,  # the host's own model is the second try
            "stream_usage": True,
            # A connection that is kept belongs to an event loop, and an app may have many.
            "default_headers": {"Connection": "close"},
            **parameters,
        }
        try:
            return GroupModels(
                {group: ChatOpenAI(model=name, **given) for group, name in models.items()}
            )
        except (ValidationError, TypeError, ValueError) as exc:
            # Without the values: a key may be among them.
            wrong = [e["loc"] for e in exc.errors()] if isinstance(exc, ValidationError) else exc
            raise UsageError(f"the endpoint {base_url!r} cannot be opened: {wrong}") from None

    @classmethod
    def local(
        cls,
        workspace: Workspace | Path | str,
        *,
        base: Path | str | None = None,
        device: Device = "auto",
        max_batch: int = 16,
        max_waiting: int = 256,
        **answers: Any,  # noqa: ANN401 -- fields of ChatLocal, checked by it
    ) -> GroupModels:
        """A workspace's adapters on their base, in this process.

        Served is what passed the gate and is not stale. What is tuned, refused, marked stale or
        taken away later, by whichever process, is followed within a second. Not to be carried over
        a fork: make it in the process that serves.

        Args:
            workspace: A workspace, or its folder.
            base: Folder of the base, or its name on the hub where it was fetched before; None takes
                the one that the newest adapter was tuned on. Adapters of another are refused.
            device: ``auto`` takes a GPU where there is one.
            max_batch: How many requests are answered together.
            max_waiting: How many may wait; one more is answered by the host's model.
            **answers: Fields of `gpa_agent.alignment.serving.local_chat.ChatLocal` (``max_tokens``,
                ``temperature``, ``timeout`` ...).

        Returns:
            Them, loaded; empty where nothing may serve yet.

        Raises:
            MissingDependency: torch or its company is not installed.
            UsageError: There is no such base.
        """
        from gpa_agent.alignment.serving.local_models import LocalGroupModels  # noqa: PLC0415 -- of the extra

        return LocalGroupModels(
            workspace,
            base=base,
            engine={"device": device, "max_batch": max_batch, "max_waiting": max_waiting},
            answers=answers,
        )

    # The mapping ----------------------------------------------------------------------------

    @override
    def __getitem__(self, group: str) -> BaseChatModel:
        return self._models[group]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    @override
    def __len__(self) -> int:
        return len(self._models)

    def tuned_for(self, group: str) -> Mapping[str, frozenset[str]] | None:
        """The intents a group's model was tuned for, with what it learned to do in each.

        Args:
            group: The group.

        Returns:
            By intent, the wishes (`gpa_agent.rubrics.guidance.wishes`) that have to be live for it
            to serve; None where it is not known, and it serves all.
        """
        del group
        return None

    def refused(self) -> Mapping[str, str]:
        """The groups whose model is there and does not serve, with the reason."""
        return {}

    # What changes -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take notice of what changed: withdraw at once, and start loading what is new."""

    def reload(self) -> None:
        """Load anew and wait for it; requests on their way are answered by what they were sent to.

        Raises:
            GPAError: It cannot be loaded; what served before goes on.
        """

    def close(self) -> None:
        """Stop serving; requests on their way are answered."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _key_for(base_url: str) -> str | None:
    """The environment's key where it was given for this server; it goes to no other."""
    named = {
        os.environ.get(name, "").rstrip("/") for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE")
    }
    theirs = base_url.rstrip("/") in named or _host(base_url) == "api.openai.com"
    return os.environ.get("OPENAI_API_KEY") if theirs else None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # no address at all; the client will say so
        return None
