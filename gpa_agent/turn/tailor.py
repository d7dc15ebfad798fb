"""The engine of a turn: classify, retrieve, choose; and afterwards record.

Shared by the middleware, the graph and the chat model. It makes no model call and no network
call of its own, and it fails open: whatever goes wrong in here, or takes longer than the
budget, ends in a plain turn with the reason in the trace, a counter and a log line.

The order of belief is the caller's word, then what is known of the user, then the classifier;
an intent or group below ``min_confidence`` is unknown, and unknown is plain. The algorithm is
written once as generators that yield the work to be waited for; a synchronous and an
asynchronous driver run them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from langgraph.errors import GraphBubbleUp

from gpa_agent.conversations.records import GENERAL_INTENT, UNKNOWN, Label
from gpa_agent.rubrics.guidance import wishes
from gpa_agent.rubrics.snapshot import EMPTY, Snapshot
from gpa_agent.turn.budget import BudgetError, arun_within, run_within
from gpa_agent.turn.dispatch import NotServed, TunedFor
from gpa_agent.turn.plan import NOTHING_FOUND, Asked, Finding, Plan, arm_of, conversation_id
from gpa_agent.turn.prompt import rubric_block

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from gpa_agent.rubrics.records import Rubric
    from gpa_agent.understanding.protocols import GroupClassifier, IntentClassifier
    from gpa_agent.workspace import Workspace

Mode = Literal["auto", "context", "finetuned", "plain"]

logger = logging.getLogger("gpa_agent.turn")

_T = TypeVar("_T")

_GENERAL = Label(GENERAL_INTENT, 1.0, "default")


class Work(NamedTuple):
    """Work to be waited for.

    Attributes:
        run: What to do.
        deadline: When to give up, on the engine's clock.
    """

    run: Callable[[], Label]
    deadline: float


Flow = Generator[Work, Label, _T]
"""An algorithm that hands out work and is sent its result, or has its error thrown in."""


class Tailor:
    """Plans and records turns against a workspace.

    Args:
        workspace: Where rubrics, classifiers and the ledger are.
        mode: What a turn may be given; ``auto`` takes a group model where there is one, else
            the rubric in the prompt, else nothing.
        holdout: Share of people who get the plain answer.
        budget_seconds: Time our part may take before a turn.
        group_models: A model tuned for a group, by group; asked anew at every turn.
        record: Whether turns are recorded.
        learn: Whether this process learns from them in the background.
        enqueue: Whether the LangGraph server that serves a turn is asked to learn from it.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        mode: Mode,
        holdout: float,
        budget_seconds: float,
        group_models: Mapping[str, BaseChatModel],
        record: bool,
        learn: bool = False,
        enqueue: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.workspace = workspace
        self.mode: Mode = mode
        self.holdout = holdout
        self.budget_seconds = budget_seconds
        self.group_models = group_models
        self.recording = record
        self.learning = learn
        self.enqueuing = enqueue and record
        self._clock = clock
        self._lock = threading.Lock()
        self._degraded_total = 0
        self._of_snapshot: tuple[Snapshot, frozenset[str]] = (EMPTY, frozenset())

    @property
    def degraded_total(self) -> int:
        """Turns, or parts of turns, in which something of ours failed."""
        return self._degraded_total

    def warm(self) -> None:
        """Load what the first turn needs now, where no budget runs."""
        try:
            self.workspace.warm()
        except Exception as error:  # noqa: BLE001 -- fail open: the turns will say so
            self.degrade("warm", error)

    # What is found, and when it is given up -------------------------------------------------

    def find_intent(self, asked: Asked) -> Flow[Finding]:
        """Find the turn's intent."""
        return self._find(
            "classify_intent",
            partial(self._intent_at_hand, asked),
            partial(self._classify, self.workspace.intent_classifier, _GENERAL, asked.text),
            self._clock() + self.budget_seconds,
        )

    def find_group(self, asked: Asked) -> Flow[Finding]:
        """Find the asker's group."""
        return self._find(
            "classify_group",
            partial(self._group_at_hand, asked),
            partial(
                self._classify, self.workspace.group_classifier, NOTHING_FOUND.label, asked.said
            ),
            self._clock() + self.budget_seconds,
        )

    def find_plan(self, asked: Asked, *, can_dispatch: bool) -> Flow[Plan]:
        """Find intent and group within one budget, and decide what the turn gets."""
        deadline = self._clock() + self.budget_seconds
        intent = yield from self._find(
            "classify_intent",
            partial(self._intent_at_hand, asked),
            partial(self._classify, self.workspace.intent_classifier, _GENERAL, asked.text),
            deadline,
        )
        group = yield from self._find(
            "classify_group",
            partial(self._group_at_hand, asked),
            partial(
                self._classify, self.workspace.group_classifier, NOTHING_FOUND.label, asked.said
            ),
            deadline,
        )
        return self.decide(asked, intent, group, can_dispatch=can_dispatch)

    def _find(
        self,
        step: str,
        at_hand: Callable[[], Label | None],
        work: Callable[[], Label],
        deadline: float,
    ) -> Flow[Finding]:
        start = self._clock()
        try:
            label = at_hand()
            if label is None:
                label = yield Work(work, deadline)
            degraded = None
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 -- fail open: any failure of ours is a plain turn
            label, degraded = NOTHING_FOUND.label, self.degrade(step, error)
        return Finding(label, degraded, self._since(start))

    def _intent_at_hand(self, asked: Asked) -> Label | None:
        if asked.asker.intent is not None:
            return Label(asked.asker.intent, 1.0, "context")
        if not self.workspace.is_loaded("intent"):
            return None
        if self.workspace.intent_classifier() is None:
            return _GENERAL
        return self._nothing_to_classify(asked)

    def _group_at_hand(self, asked: Asked) -> Label | None:
        if asked.asker.group is not None:
            return Label(asked.asker.group, 1.0, "context")
        if asked.asker.user_id is not None:
            known = self.workspace.known_group(asked.asker.user_id)
            if known is not None:
                return Label(known, 1.0, "known")
        if not self.workspace.is_loaded("group"):
            return None
        if self.workspace.group_classifier() is None:
            return NOTHING_FOUND.label
        return self._nothing_to_classify(asked)

    def _nothing_to_classify(self, asked: Asked) -> Label | None:
        """Unknown where nobody spoke or the answer will be plain anyway, else None."""
        return NOTHING_FOUND.label if not asked.text or self.mode == "plain" else None

    def _classify(
        self,
        classifier: Callable[[], IntentClassifier | GroupClassifier | None],
        without: Label,
        text: str,
    ) -> Label:
        loaded = classifier()
        if loaded is None or not text or self.mode == "plain":
            return without if loaded is None else NOTHING_FOUND.label
        label = loaded.classify([text])[0]
        if label.confidence < self.workspace.settings.min_confidence:
            return label._replace(value=UNKNOWN)
        return label

    # What the turn gets ---------------------------------------------------------------------

    def decide(self, asked: Asked, intent: Finding, group: Finding, *, can_dispatch: bool) -> Plan:
        """Decide what the turn gets; memory only.

        Args:
            asked: The turn.
            intent: Its intent.
            group: Its asker's group.
            can_dispatch: Whether a group model can take the place of the host's.

        Returns:
            The plan; plain where anything failed.
        """
        start = self._clock()
        timings = {"classify_intent": intent.ms, "classify_group": group.ms}
        plan = Plan(
            conversation=asked.asker.thread_id or conversation_id(asked, None),
            key=asked.key,
            user_id=asked.asker.user_id,
            intent=intent.label,
            group=group.label,
            degraded=intent.degraded or group.degraded,
        )
        try:
            plan = self._identified(plan, asked)
            if plan.degraded is None:
                plan = self._chosen(plan, can_dispatch=can_dispatch)
            if self._clock() - start > self.budget_seconds:
                raise BudgetError("over budget")  # noqa: TRY301 -- one way out for all failures
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 -- fail open
            plan = replace(
                plan,
                mode="plain",
                block=None,
                model=None,
                aspects=(),
                degraded=self.degrade("retrieve_rubric", error),
            )
        timings["retrieve_rubric"] = self._since(start)
        timings["total"] = round(sum(timings.values()), 3)
        return replace(plan, timings_ms=timings)

    def _identified(self, plan: Plan, asked: Asked) -> Plan:
        user = asked.asker.user_id
        person = self.workspace.person(user) if user is not None else None
        conversation = conversation_id(asked, person)
        return replace(plan, conversation=conversation, arm=arm_of(person, self.holdout))

    def _chosen(self, plan: Plan, *, can_dispatch: bool) -> Plan:
        if self.mode == "plain" or UNKNOWN in {plan.intent.value, plan.group.value}:
            return plan
        group = plan.group.value
        rubric = self.workspace.rubric(intent=plan.intent.value, group=group)
        plan = replace(
            plan,
            rubric_version=rubric.version if rubric is not None else None,
            unserved=self._unserved(group) if rubric is None else None,
        )
        if plan.arm == "holdout":
            return plan
        block = rubric_block(rubric, group) if rubric is not None else None
        names = tuple(
            a.name
            for a in (rubric.aspects if rubric is not None and block is not None else ())
            if a.status == "live" and a.guidance.get(group)
        )
        if can_dispatch and self._has_model(plan.intent.value, group, rubric if names else None):
            return replace(plan, mode="finetuned", model=group, block=block, guided=names)
        # With mode "finetuned" and an app whose model cannot be swapped nothing is left to do.
        if block is None or self.mode == "finetuned":
            return plan
        return replace(plan, mode="context", block=block, aspects=names, guided=names)

    def _unserved(self, group: str) -> str | None:
        """Why a group cannot be served in any intent: nobody has heard of it."""
        known = self._known_groups()
        if not known or group in known or group in self.group_models:
            return None
        return f"the workspace knows no group {group!r}, only {', '.join(sorted(known))}"

    def _known_groups(self) -> frozenset[str]:
        """The groups that are compared, else those of the log; all that something is served to."""
        snapshot = self.workspace.snapshot()
        if self._of_snapshot[0] is not snapshot:
            named = self.workspace.settings.groups or snapshot.groups.values()
            served = (group for _, group in snapshot.rubrics)
            self._of_snapshot = (snapshot, frozenset({*named, *served}))
        return self._of_snapshot[1]

    def _has_model(self, intent: str, group: str, rubric: Rubric | None) -> bool:
        """Whether the group's own model is to answer.

        One that was tuned by a rubric answers only while all that it learned is live: what was
        rolled back, or did harm, must not go on being served by a model that has learned it.
        """
        if self.mode == "context" or group not in self.group_models:
            return False
        if self.mode == "finetuned" or not isinstance(self.group_models, TunedFor):
            return True
        tuned = self.group_models.tuned_for(group)
        if tuned is None:
            return True
        return rubric is not None and intent in tuned and tuned[intent] <= wishes(rubric)

    def group_model(self, group: str) -> BaseChatModel:
        """The model that answers for a group now.

        Args:
            group: The group, as planned.

        Returns:
            Its model.

        Raises:
            NotServed: It was withdrawn since the turn was planned.
        """
        model = self.group_models.get(group)
        if model is None:
            raise NotServed(group)
        return model

    # Drivers --------------------------------------------------------------------------------

    def run(self, flow: Flow[_T]) -> _T:
        """Drive a flow, waiting in this thread."""
        try:
            work = next(flow)
            while True:
                try:
                    label = run_within(work.run, work.deadline - self._clock())
                except Exception as error:  # noqa: BLE001 -- the flow decides
                    work = flow.throw(error)
                else:
                    work = flow.send(label)
        except StopIteration as stop:
            value: _T = stop.value
            return value

    async def arun(self, flow: Flow[_T]) -> _T:
        """Drive a flow, waiting on the event loop."""
        try:
            work = next(flow)
            while True:
                try:
                    label = await arun_within(work.run, work.deadline - self._clock())
                except Exception as error:  # noqa: BLE001 -- the flow decides
                    work = flow.throw(error)
                else:
                    work = flow.send(label)
        except StopIteration as stop:
            value: _T = stop.value
            return value

    # Afterwards -----------------------------------------------------------------------------

    def record(
        self, turn: Mapping[str, Any], trace: Mapping[str, Any], exchange: tuple[str, str]
    ) -> str | None:
        """Record a turn after its reply.

        Args:
            turn: What `Plan.to_state` wrote.
            trace: What `Plan.trace` wrote.
            exchange: What the user said, and the answer.

        Returns:
            Why it could not be recorded, or None.
        """
        user, assistant = exchange
        if not self.recording or not turn or not assistant:
            return None
        try:
            # An empty context keeps whatever recording may call out of the user's stream.
            Context().run(
                self.workspace.record_turn,
                conversation=turn["conversation"],
                key=turn["key"],
                user=user,
                assistant=assistant,
                user_id=turn["user_id"],
                group=_label(trace, "group"),
                intent=_label(trace, "intent"),
                trace=trace,
            )
            if self.learning:
                self.workspace.work_in_background()
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 -- the reply is out; it stays
            return self.degrade("record_turn", error)
        return None

    async def arecord(
        self, turn: Mapping[str, Any], trace: Mapping[str, Any], exchange: tuple[str, str]
    ) -> str | None:
        """Record a turn after its reply, in a thread."""
        return await asyncio.to_thread(self.record, turn, trace, exchange)

    def degrade(self, step: str, error: Exception) -> str:
        """Count and log a failure of ours.

        Args:
            step: Where it happened.
            error: What happened; only its type is told, its text may quote the user.

        Returns:
            The reason for the trace.
        """
        if isinstance(error, BudgetError):
            reason = f"{step}: {error} ({self.budget_seconds:g} s)"
        else:
            reason = f"{step}: {type(error).__name__}"
        with self._lock:
            self._degraded_total += 1
        logger.warning("turn degraded, the host's own answer is kept: %s", reason)
        return reason

    def _since(self, start: float) -> float:
        return round((self._clock() - start) * 1000, 3)


def _label(trace: Mapping[str, Any], what: str) -> Label | None:
    value = trace.get(what, UNKNOWN)
    if value == UNKNOWN:
        return None
    return Label(value, trace["confidence"][what], trace["source"][what])


def fallen_back(
    turn: Mapping[str, Any], trace: Mapping[str, Any], reason: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Say in plan and trace that a group model failed and the rubric took its place.

    Args:
        turn: What `Plan.to_state` wrote.
        trace: What `Plan.trace` wrote.
        reason: Why.

    Returns:
        Plan and trace of what the turn got instead.
    """
    mode = "context" if turn["block"] is not None else "plain"
    shown = {**trace, "mode": mode, "aspects": turn["guided"], "degraded": reason}
    shown.pop("tools_removed", None)  # the host's own model gets them all
    return {**turn, "model": None}, shown


def served_trace(trace: Mapping[str, Any], failures: Sequence[str | None]) -> dict[str, Any]:
    """Add failures that came after planning to a trace.

    Args:
        trace: What `Plan.trace` wrote.
        failures: Reasons, or None.

    Returns:
        A new trace.
    """
    reasons = [r for r in (trace.get("degraded"), *failures) if r]
    return {**trace, "degraded": "; ".join(reasons) or None}
