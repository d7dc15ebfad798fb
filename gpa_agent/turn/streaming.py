"""The wrapped app as a compiled graph whose streams are those of the app inside.

LangGraph shows the tokens of a graph inside a graph only to callers who ask for
``subgraphs=True``; everybody else would get the reply as one message at the end. A caller of
a wrapped app asked for no subgraph: there is just the app. So this graph asks on the caller's
behalf and takes the namespace off again: tokens and custom events pass from inside, steps and
values (``updates``, ``values``, ``tasks`` ...) stay the outer graph's own.
"""

# ruff: noqa: A002, ANN401 -- the signatures are LangGraph's own
# mypy: disable-error-code="override"
# (its overloads per stream mode are passed through as they come)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables.config import ensure_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig

_FROM_INSIDE = frozenset({"messages", "custom", "tools"})
_FLATTEN = "__gpa_flatten"
"""Config key: v3 streaming, and not the caller, asks for the subgraphs."""


class TailoredGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph that streams what the app inside it streams.

    Everything else is LangGraph's: it can be checkpointed, drawn, nested and served.
    """

    def __init__(self, *, keeps_own_history: bool = False, **compiled: Any) -> None:
        super().__init__(**compiled)
        self.keeps_own_history = keeps_own_history

    @classmethod
    def of(
        cls, graph: CompiledStateGraph[Any, Any, Any, Any], *, keeps_own_history: bool
    ) -> TailoredGraph:
        """Make one of a compiled graph, the way LangGraph itself copies graphs.

        Args:
            graph: The graph.
            keeps_own_history: Whether the app inside has a checkpointer of its own.

        Returns:
            The same graph as a `TailoredGraph`.
        """
        compiled = {key: value for key, value in vars(graph).items() if key != "__orig_class__"}
        return cls(keeps_own_history=keeps_own_history, **compiled)

    def stream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        stream_mode: Any = None,
        subgraphs: bool = False,
        **options: Any,
    ) -> Iterator[Any]:
        """Stream a run; tokens of the app inside come as they are said.

        Args:
            input: As for any graph.
            config: As for any graph.
            stream_mode: As for any graph.
            subgraphs: True to get namespaces, as for any graph.
            **options: As for any graph.

        Yields:
            What the stream modes say.

        Raises:
            UsageError: If a conversation has to be named and is not, or cannot be resumed.
        """
        self._check(input, config)
        options["stream_mode"] = stream_mode
        view = _View(stream_mode, config, options)
        if not view.wanted(subgraphs):
            yield from super().stream(_own_copy(input), config, subgraphs=subgraphs, **options)
            return
        for part in super().stream(_own_copy(input), config, subgraphs=True, **options):
            yield from view.of(part)

    async def astream(
        self,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        stream_mode: Any = None,
        subgraphs: bool = False,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """Stream a run; tokens of the app inside come as they are said.

        Args:
            input: As for any graph.
            config: As for any graph.
            stream_mode: As for any graph.
            subgraphs: True to get namespaces, as for any graph.
            **options: As for any graph.

        Yields:
            What the stream modes say.

        Raises:
            UsageError: If a conversation has to be named and is not, or cannot be resumed.
        """
        self._check(input, config)
        options["stream_mode"] = stream_mode
        view = _View(stream_mode, config, options)
        if not view.wanted(subgraphs):
            given = _own_copy(input)
            async for part in super().astream(given, config, subgraphs=subgraphs, **options):
                yield part
            return
        async for part in super().astream(_own_copy(input), config, subgraphs=True, **options):
            for seen in view.of(part):
                yield seen

    def stream_events(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> Any:
        """Stream events; with ``version="v3"`` the reply inside is among ``run.messages``.

        Args:
            input: As for any graph.
            config: As for any graph.
            **options: As for any graph.

        Returns:
            As for any graph.
        """
        return super().stream_events(input, _flattened(config, options), **options)

    def astream_events(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> Any:
        """Stream events; with ``version="v3"`` the reply inside is among ``run.messages``.

        Args:
            input: As for any graph.
            config: As for any graph.
            **options: As for any graph.

        Returns:
            As for any graph.
        """
        return super().astream_events(input, _flattened(config, options), **options)

    def _check(self, given: object, config: RunnableConfig | None) -> None:
        keys = ensure_config(config).get("configurable", {})
        if (
            isinstance(given, Command)
            and self.checkpointer is None
            and "__pregel_task_id" not in keys
        ):
            if keys.get("__pregel_checkpointer") is not None:
                return
            raise UsageError(
                "the wrapped graph has no checkpointer, so there is no run to resume; give it one: "
                "GPAMiddleware(...).wrap(app, checkpointer=InMemorySaver())"
            )
        needed = self.keeps_own_history or self.checkpointer not in (None, False)
        if needed and not keys.get("thread_id"):
            raise UsageError(
                f"the graph {self.get_name()!r} keeps a history, so the conversation must be "
                'named: pass config={"configurable": {"thread_id": "..."}}'
            )


def _own_copy(given: Any) -> Any:
    """The input with its messages copied: LangGraph writes an id into messages without one."""
    if not isinstance(given, dict) or not isinstance(given.get("messages"), (list, tuple)):
        return given
    messages = [m.model_copy() if isinstance(m, BaseMessage) else m for m in given["messages"]]
    return {**given, "messages": messages}


def _flattened(config: RunnableConfig | None, options: Mapping[str, Any]) -> RunnableConfig | None:
    if options.get("version") != "v3":
        return config
    given: RunnableConfig = config or {}
    return {**given, "configurable": {**given.get("configurable", {}), _FLATTEN: True}}


class _View:
    """What a caller who asked for no subgraphs sees of a stream that has them."""

    def __init__(
        self,
        mode: str | Sequence[str] | None,
        config: RunnableConfig | None,
        options: Mapping[str, Any],
    ) -> None:
        keys = ensure_config(config).get("configurable", {})
        namespace = keys.get("checkpoint_ns") or ""
        self._own = tuple(namespace.split("|")) if namespace else ()
        self._modes = (mode,) if isinstance(mode, str) else tuple(mode or ())
        self._single = isinstance(mode, str)
        self._parts = options.get("version") == "v2"
        self._v3 = bool(keys.get(_FLATTEN))

    def wanted(self, subgraphs: bool) -> bool:
        """Whether this stream has to be looked through."""
        if not _FROM_INSIDE.intersection(self._modes):
            return False
        return self._v3 if subgraphs else True

    def of(self, part: Any) -> Iterator[Any]:
        """The part as the caller sees it, or nothing."""
        if self._parts:
            if part["type"] in _FROM_INSIDE:
                yield {**part, "ns": self._own}
            elif self._v3 or tuple(part["ns"]) == self._own:
                yield part
        elif self._single:
            yield part[1]
        elif part[1] in _FROM_INSIDE or tuple(part[0]) == self._own:
            yield part[1:]
