"""The middleware: what turns a host's agent, or any chat app, into a tailored one.

In an agent it classifies and retrieves once per user turn (``before_agent``), only applies
what it found at every model step (``wrap_model_call``: the same bytes at each), and records
after the reply (``after_agent``). Around anything else that chats, ``wrap`` builds the graph
of `gpa_agent.turn.graph`, and ``chat_model`` a chat model.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, get_args

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ContextT,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    OmitFromInput,
    PrivateStateAttr,
)
from langchain_core.language_models import BaseChatModel
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command
from typing_extensions import override

from gpa_agent.errors import UsageError
from gpa_agent.turn.context import read_asker
from gpa_agent.turn.dispatch import Spoken, given
from gpa_agent.turn.enqueue import enqueue_learn
from gpa_agent.turn.plan import Asked, Plan, answer_in, read_turn
from gpa_agent.turn.prompt import with_rubric
from gpa_agent.turn.tailor import Mode, Tailor, fallen_back, served_trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from langgraph.runtime import Runtime

    from gpa_agent.turn.chat_model import GPAChatModel
    from gpa_agent.turn.streaming import TailoredGraph
    from gpa_agent.turn.wrapping import FromOutput, ToInput
    from gpa_agent.workspace import Workspace

logger = logging.getLogger("gpa_agent.turn")


class GPAState(AgentState[Any]):
    """What the middleware adds to an agent's state."""

    gpa: NotRequired[Annotated[dict[str, Any], OmitFromInput]]
    """The turn's trace; overwritten every turn."""
    gpa_turn: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]
    """The turn's plan; checkpointed, so that an interrupted turn finds it when it resumes."""


class GPAMiddleware(AgentMiddleware[GPAState, ContextT]):
    """Tailors each answer to the asker's group, where the workspace has evidence for it.

    It makes no model call and no network call before an answer, and whatever fails in it
    leaves the host's own answer: see ``gpa`` in the state, and `degraded_total`.

    Example:
        ```python
        from gpa_agent import GPAMiddleware, GPAContext
        from langchain.agents import create_agent

        agent = create_agent(
            "openai:gpt-5.5",
            tools=[],
            middleware=[GPAMiddleware("my.gpa")],
            context_schema=GPAContext,
        )
        agent.invoke(
            {"messages": [("user", "Why does my loop never end?")]},
            context=GPAContext(user_id="u1", group="novice"),
        )
        ```
    """

    state_schema = GPAState

    # Our own work runs in an empty context (see `gpa_agent.turn.budget`), so no model call of
    # ours can reach the host's callbacks, and no stream transformer is needed to hide one.

    def __init__(
        self,
        workspace: Workspace | str | Path,
        *,
        mode: Mode = "auto",
        holdout: float | None = None,
        budget_seconds: float | None = None,
        record: bool = True,
        learn: Literal["background", "graph", "off"] = "background",
        group_models: Mapping[str, BaseChatModel] | None = None,
    ) -> None:
        """Open the workspace and load what the first turn needs.

        Args:
            workspace: A workspace, or the path of one; an empty one is made where there is none.
            mode: ``auto`` takes the group's model where `group_models` has one, else the
                rubric in the prompt, else nothing; ``context`` and ``finetuned`` only that one
                (``auto`` also asks `group_models` which intents a model was tuned for, where it
                offers ``tuned_for``, and takes it only for those, while their rubric is live);
                ``plain`` is the switch that turns tailoring off and keeps recording.
            holdout: Share of people, in [0, 0.5], who get the plain answer so that the lift
                is measured; the workspace's setting where None.
            budget_seconds: Time our part may take before a turn; the workspace's setting
                where None.
            record: Whether turns are recorded to learn from.
            learn: ``background`` learns from them in a thread of this process; ``graph`` asks the
                LangGraph server that serves the turn for a run of its graph ``learn``
                (`gpa_agent.learning.graph.build_learn_graph`), and does nothing outside of one,
                nor after a turn that was not awaited (``invoke``, ``stream``): what waits then is
                learned from by the next run that takes no conversation, or by ``gpa worker``;
                ``off`` leaves that to ``gpa worker``, in a process of its own.
            group_models: A chat model tuned for a group, by group: a dict, or
                `gpa_agent.alignment.serving.group_models.GroupModels`. It is kept, not copied: what
                is no longer in it at a turn is no longer served.

        Raises:
            UsageError: If an argument is not usable, or the path is nearly that of a workspace
                beside it.
        """
        super().__init__()
        if mode not in get_args(Mode):
            raise UsageError(f"mode {mode!r} is unknown; expected one of {get_args(Mode)!r}")
        empty = group_models is None or (type(group_models) is dict and not group_models)
        if mode == "finetuned" and empty:  # another mapping may fill up by and by
            raise UsageError("mode 'finetuned' needs group_models={'<group>': <chat model>, ...}")
        if learn not in ("background", "graph", "off"):
            raise UsageError(f"learn {learn!r} is none of 'background', 'graph' and 'off'")
        if holdout is not None and not 0 <= holdout <= 0.5:
            raise UsageError(f"holdout {holdout!r} is not a share between 0 and 0.5")
        if budget_seconds is not None and budget_seconds <= 0:
            raise UsageError(f"budget_seconds {budget_seconds!r} is not a positive time")
        _check_models(group_models or {})
        self.workspace = _opened(workspace)
        settings = self.workspace.settings
        self._tailor = Tailor(
            self.workspace,
            mode=mode,
            holdout=settings.holdout if holdout is None else holdout,
            budget_seconds=settings.budget_seconds if budget_seconds is None else budget_seconds,
            group_models=group_models if group_models is not None else {},
            record=record,
            learn=learn == "background",
            enqueue=learn == "graph",
        )
        self._tailor.warm()
        if record and learn == "background":
            self._go_on_learning()

    def _go_on_learning(self) -> None:
        """Start on what an earlier process left, before anybody talks."""
        ledger = self.workspace.ledger
        try:
            if (
                ledger.count_waiting()
                or ledger.events_since_refined()
                or not (ledger.forgetting_settled() and ledger.forgetting_compacted())
            ):
                self.workspace.work_in_background()
        except Exception as error:  # noqa: BLE001 -- fail open: the first recorded turn starts it too
            self._tailor.degrade("learn", error)

    @property
    def degraded_total(self) -> int:
        """How often something of ours failed and the host's own answer was kept."""
        return self._tailor.degraded_total

    # In an agent ----------------------------------------------------------------------------

    def _asked(self, state: GPAState, runtime: Runtime[ContextT]) -> Asked:
        keys = get_config().get("configurable")
        return read_turn(read_asker(runtime.context, keys), state["messages"])

    @override
    def before_agent(self, state: GPAState, runtime: Runtime[ContextT]) -> dict[str, Any]:
        """Classify and retrieve, once per user turn.

        Args:
            state: The agent's state.
            runtime: The run; its context says who asks.

        Returns:
            The turn's trace and plan.
        """
        tailor = self._tailor
        return _planned(
            tailor.run(tailor.find_plan(self._asked(state, runtime), can_dispatch=True))
        )

    @override
    async def abefore_agent(self, state: GPAState, runtime: Runtime[ContextT]) -> dict[str, Any]:
        """Classify and retrieve, once per user turn.

        Args:
            state: The agent's state.
            runtime: The run; its context says who asks.

        Returns:
            The turn's trace and plan.
        """
        tailor = self._tailor
        flow = tailor.find_plan(self._asked(state, runtime), can_dispatch=True)
        return _planned(await tailor.arun(flow))

    @override
    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[Any]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Apply what `before_agent` found: the rubric in the prompt, or the group's model.

        Args:
            request: The model call.
            handler: Makes it.

        Returns:
            The model's response.
        """
        turn = _kept(request.state, "gpa_turn")
        if turn.get("model") is None:
            return handler(self._rewritten(request, turn))
        spoken = Spoken()
        try:
            call, removed = given(self._tailor.group_model(turn["model"]), request)
            with spoken.listening():
                return _told(handler(call), request, removed)
        except GraphBubbleUp:
            raise
        except Exception as error:
            if spoken.yet:
                raise
            update = self._fallen_back(request, turn, error)
        response = handler(self._rewritten(request, update["gpa_turn"]))
        return ExtendedModelResponse(response, Command(update=update))

    @override
    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Apply what `before_agent` found: the rubric in the prompt, or the group's model.

        Args:
            request: The model call.
            handler: Makes it.

        Returns:
            The model's response.
        """
        turn = _kept(request.state, "gpa_turn")
        if turn.get("model") is None:
            return await handler(self._rewritten(request, turn))
        spoken = Spoken()
        try:
            call, removed = given(self._tailor.group_model(turn["model"]), request)
            with spoken.listening():
                return _told(await handler(call), request, removed)
        except GraphBubbleUp:
            raise
        except Exception as error:
            if spoken.yet:
                raise
            update = self._fallen_back(request, turn, error)
        response = await handler(self._rewritten(request, update["gpa_turn"]))
        return ExtendedModelResponse(response, Command(update=update))

    def _rewritten(
        self, request: ModelRequest[ContextT], turn: Mapping[str, Any]
    ) -> ModelRequest[ContextT]:
        block = turn.get("block")
        if block is None:
            return request
        return request.override(system_message=with_rubric(request.system_message, block))

    def _fallen_back(
        self, request: ModelRequest[ContextT], turn: Mapping[str, Any], error: Exception
    ) -> dict[str, Any]:
        reason = self._tailor.degrade("dispatch_group_model", error)
        turn, trace = fallen_back(turn, _kept(request.state, "gpa"), reason)
        return {"gpa_turn": turn, "gpa": trace}

    @override
    def after_agent(self, state: GPAState, runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Record the turn, after the reply.

        Args:
            state: The agent's state.
            runtime: The run.

        Returns:
            The trace with the reason, where it could not be recorded.
        """
        trace = _kept(state, "gpa")
        exchange = answer_in(state["messages"])
        failure = self._tailor.record(_kept(state, "gpa_turn"), trace, exchange)
        return {"gpa": served_trace(trace, [failure])} if failure else None

    @override
    async def aafter_agent(
        self, state: GPAState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Record the turn, after the reply.

        Args:
            state: The agent's state.
            runtime: The run.

        Returns:
            The trace with the reason, where it could not be recorded.
        """
        turn, trace = _kept(state, "gpa_turn"), _kept(state, "gpa")
        failure = await self._tailor.arecord(turn, trace, answer_in(state["messages"]))
        served = await enqueue_learn(self._tailor, turn, served_trace(trace, [failure]))
        return {"gpa": served} if served != trace else None

    # Around anything else -------------------------------------------------------------------

    def wrap(
        self,
        app: object,
        *,
        checkpointer: Any = None,  # noqa: ANN401 -- LangGraph's own Checkpointer
        to_input: ToInput | None = None,
        from_output: FromOutput | None = None,
        name: str | None = None,
    ) -> TailoredGraph:
        """Wrap a chat app into the graph of a turn.

        Args:
            app: A chat model, a compiled graph (with or without its own checkpointer), another
                Runnable, or an (async) function or generator function of the messages.
            checkpointer: Keeps the conversation; needed for resuming an interrupted app, and
                never the app's own.
            to_input: For apps that take something else than messages.
            from_output: For apps that return something else than text or messages.
            name: The graph's name; ``gpa_turn`` where None.

        Returns:
            A compiled LangGraph graph: ``graph.invoke({"messages": [...]})``.

        Raises:
            UsageError: If the app cannot be called.
        """
        from gpa_agent.turn.graph import build_graph  # noqa: PLC0415 -- an agent needs none of it
        from gpa_agent.turn.wrapping import responder_for  # noqa: PLC0415 -- likewise

        responder = responder_for(app, to_input=to_input, from_output=from_output)
        return build_graph(self._tailor, responder, checkpointer=checkpointer, name=name)

    def chat_model(self, inner: BaseChatModel) -> GPAChatModel:
        """Wrap a chat model into a chat model.

        Args:
            inner: The host's chat model.

        Returns:
            A chat model that tailors, and otherwise does what the inner one does.

        Raises:
            UsageError: If it is not a chat model.
        """
        from gpa_agent.turn.chat_model import GPAChatModel  # noqa: PLC0415 -- an agent needs none of it

        if not isinstance(inner, BaseChatModel):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers without a type checker
            raise UsageError(f"{inner!r} is not a chat model; wrap() takes other kinds of apps")
        return GPAChatModel(inner=inner, tailor=self._tailor)


def _check_models(models: Mapping[str, BaseChatModel]) -> None:
    for group in list(models):
        with suppress(KeyError):  # withdrawn this very moment
            model = models[group]
            if not isinstance(model, BaseChatModel):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers without a type checker
                raise UsageError(f"the model of group {group!r} is {model!r}, not a chat model")


def _planned(plan: Plan) -> dict[str, Any]:
    return {"gpa": plan.trace(), "gpa_turn": plan.to_state()}


def _kept(state: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return state.get(key) or {}


def _told(
    response: ModelResponse[Any], request: ModelRequest[Any], tools_removed: int
) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
    """The response, with the trace corrected where the group's model was not given the tools."""
    if not tools_removed:
        return response
    trace = {**_kept(request.state, "gpa"), "tools_removed": tools_removed}
    return ExtendedModelResponse(response, Command(update={"gpa": trace}))


def _opened(workspace: Workspace | str | Path) -> Workspace:
    if not isinstance(workspace, str | Path):
        return workspace
    from gpa_agent.workspace import Workspace as Opener  # noqa: PLC0415 -- heavy, and not needed for an open one

    folder = Path(workspace).expanduser()
    if not folder.exists():
        if alike := _alike(folder):
            raise UsageError(
                f"there is no workspace at {str(folder)!r} (did you mean {alike}?); to begin with "
                "an empty one there, pass Workspace.open(...)"
            )
        logger.warning("there is no workspace at %s: an empty one is made", folder)
    return Opener.open(folder)


def _alike(folder: Path) -> str:
    """The workspaces beside it that have a like name."""
    beside = [path.parent.name for path in folder.parent.glob("*/settings.json")]
    return " or ".join(map(repr, get_close_matches(folder.name, sorted(beside), cutoff=0.7)))
