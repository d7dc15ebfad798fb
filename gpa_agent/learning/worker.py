"""The worker: learns from what came in since, after the reply and off the hot path.

The ledger is the queue. An event says which conversation to look at; handling it brings the
stages' results for that conversation up to date, and only then is it done. Now and then, when
enough has been handled, everything is weighed again and published. Both are level-triggered: what
is to be done follows from what the ledger lacks, so that work that was killed, done twice or done
in another order ends in the same place (`docs/decisions/0011-the-ledger-is-the-queue.md`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict

from gpa_agent.errors import GPAError, ServiceError
from gpa_agent.learning.forgetting import Workplace as Forgettable
from gpa_agent.learning.forgetting import settle
from gpa_agent.learning.spending import Spend
from gpa_agent.learning.stages import Progress, explain_preferences, judge, measure
from gpa_agent.ledger.exclusive import Busy

if TYPE_CHECKING:
    from gpa_agent.learning.labelling import Labelling
    from gpa_agent.learning.report import LearnReport
    from gpa_agent.understanding.protocols import SatisfactionReader

logger = logging.getLogger("gpa_agent.learning")

BATCH = 500
"""Events taken at a time."""
PATIENCE_SECONDS = 30.0
"""How long whoever waits for the work to be done waits for another process that does it."""


class Handled(BaseModel):
    """What was done for a number of events."""

    model_config = ConfigDict(frozen=True)

    events: int = 0
    """Events that do not wait any more."""
    failed: int = 0
    """Events among them whose conversations something is wrong with: what could be learned is."""
    judged: int = 0
    """Turns that got a judgment."""
    explained: int = 0
    """Turns that were looked at for a preference."""

    def __add__(self, other: Handled) -> Handled:
        return Handled(
            events=self.events + other.events,
            failed=self.failed + other.failed,
            judged=self.judged + other.judged,
            explained=self.explained + other.explained,
        )


class WorkReport(Handled):
    """What a worker did."""

    refined: bool = False
    """Whether everything was weighed again."""
    live: int | None = None
    """Aspects live after it; None where nothing was weighed."""
    to_approve: int | None = None
    """Aspects that wait: for ``gpa rubrics approve``, as the quarantined, or for more evidence,
    which approving spares them; as ``live``."""
    waiting: int = 0
    """Events that wait still."""
    seconds: float = 0.0
    """How long it took."""


class Workplace(Forgettable, Protocol):
    """What a worker needs of a workspace."""

    def satisfaction_reader(self) -> SatisfactionReader:
        """Who judges turns locally."""
        ...

    def labelling(self) -> Labelling:
        """Who labels intents and groups locally."""
        ...

    def learn(
        self, *, spend: Spend | None = None, wait_seconds: float = 0.0, progress: Progress = ...
    ) -> LearnReport:
        """Weigh everything again and publish what passes."""
        ...


class Stopped(ServiceError):  # noqa: N818 -- reads as the fact it reports
    """The worker was closed while it was at it; what it had not done waits."""


def _silent(stage: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


class Worker:
    """Learns from what waits, once or in a thread of its own; any number may run at a time.

    Example:
        ```python
        with Workspace.open("my.gpa") as ws:
            Worker(ws).drain()
        ```

    Args:
        workplace: The workspace.
        progress: Called with (stage, done, total) as work goes on.
    """

    def __init__(self, workplace: Workplace, *, progress: Progress = _silent) -> None:
        self._workplace = workplace
        self._progress = progress
        self._refined_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._process = 0
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._complaints: dict[str, str] = {}
        self._retried = False

    # What it does -----------------------------------------------------------------------------

    def run_once(self) -> WorkReport:
        """Undo what forgetting left, handle a batch of what waits, and refine where that is due.

        Raises:
            Stopped: It was closed meanwhile.
            Busy: Another process does it at the moment.
            StoreError: The ledger cannot be read or written; what waits waits on.
            ModelError: The model is down or the day's budget spent; what was done is kept.
        """
        started = time.perf_counter()
        self.settle()
        self._retry()
        handled = self.handle()
        report = self.refine() if self.due() else None
        return self._report(handled, report, started)

    def drain(self, *, wait_seconds: float = PATIENCE_SECONDS) -> WorkReport:
        """Handle all that waits and refine, whatever came in; in this thread.

        Args:
            wait_seconds: How long to wait for another process that learns.

        Raises:
            Busy: Another process still learned after that time.
            StoreError: As for `run_once`.
            ModelError: As for `run_once`.
        """
        started, handled = time.perf_counter(), Handled()
        settle(self._workplace, wait_seconds=wait_seconds)
        self._retry()
        while (more := self.handle(wait_seconds=wait_seconds)).events:
            handled += more
        behind = self._workplace.ledger.events_since_refined() > 0
        report = self.refine(wait_seconds=wait_seconds) if behind else None
        return self._report(handled, report, started)

    def settle(self) -> None:
        """Undo what forgetting has left to undo; where that fails, learning goes on.

        A failure is logged, and the next call tries again; so it does where another process learns.
        """
        try:
            settle(self._workplace)
        except Busy:
            return
        except Exception as error:  # noqa: BLE001 -- as in the thread
            self._complain("forgetting", error)
        else:
            self._complaints.pop("forgetting", None)

    def handle(self, *, conversation: str | None = None, wait_seconds: float = 0.0) -> Handled:
        """Judge, label, explain and measure what a batch of events speaks of.

        Args:
            conversation: Only what waits in one conversation.
            wait_seconds: How long to wait for another process that does it.

        Raises:
            Busy: Another process does it.
        """
        ledger = self._workplace.ledger
        if ledger.url.get_backend_name() == "sqlite":
            with ledger.exclusive("work", wait_seconds=wait_seconds):
                return self._handle(None, conversation)
        handled = Handled()
        # Each worker takes the parts that no other has at the moment.
        for shard in ledger.waiting_shards():
            try:
                with ledger.exclusive(f"work-{shard}"):
                    handled += self._handle(shard, conversation)
            except Busy:
                continue
        return handled

    def due(self) -> bool:
        """Whether enough came in since everything was weighed, and long enough ago."""
        settings = self._workplace.settings
        if time.monotonic() - self._refined_at < settings.refine_seconds:
            return False
        return self._workplace.ledger.events_since_refined() >= settings.refine_after_turns

    def refine(self, *, wait_seconds: float = 0.0) -> LearnReport:
        """Weigh everything again and publish what passes.

        Args:
            wait_seconds: How long to wait for another process that learns.

        Raises:
            Busy: Another process learns.
            ModelError: The model is down or the day's budget spent; what was done is kept.
            Stopped: The worker was closed.
        """
        self._go_on()
        self._refined_at = time.monotonic()
        return self._workplace.learn(
            spend=self._left_today(), wait_seconds=wait_seconds, progress=self._tell
        )

    def _handle(self, shard: int | None, conversation: str | None) -> Handled:
        place, ledger = self._workplace, self._workplace.ledger
        events = ledger.waiting_events(BATCH, shard=shard, conversation=conversation)
        if not events:
            return Handled()
        judged = explained = 0
        lost = set[str]()
        # A chat model is asked when everything is weighed: many turns, one round of questions.
        if place.settings.model is None:
            only = {event.conversation for event in events}
            place.labelling().label_new(ledger, only, self._tell, lost=lost)
            self._go_on()
            reader = place.satisfaction_reader()
            judged = judge(ledger, reader, self._tell, only=only, lost=lost).done
            self._go_on()
            explained = explain_preferences(ledger, self._tell, only=only, lost=lost).done
            self._go_on()
            measure(ledger, self._tell, only=only, lost=lost)
            self._go_on()
        failed = [event.seq for event in events if event.conversation in lost]
        ledger.events_done([event.seq for event in events if event.conversation not in lost])
        ledger.events_failed(failed)
        return Handled(events=len(events), failed=len(failed), judged=judged, explained=explained)

    def _retry(self) -> None:
        """What an earlier process failed on waits again once: the program may have been mended."""
        if not self._retried:
            self._workplace.ledger.retry_failed()
            self._retried = True

    def _left_today(self) -> Spend:
        """What is left of the day's budget; the day is UTC's."""
        settings = self._workplace.settings
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        calls, cost = self._workplace.ledger.spent_since(today)
        most, dearest = settings.daily_calls, settings.daily_cost
        return Spend(
            max_calls=None if most is None else max(most - calls, 0),
            max_cost=None if dearest is None else max(dearest - cost, 0.0),
        )

    def _report(self, handled: Handled, learned: LearnReport | None, started: float) -> WorkReport:
        found = Counter(a.status for r in learned.rubrics for a in r.aspects) if learned else None
        return WorkReport(
            **handled.model_dump(),
            refined=learned is not None,
            live=None if found is None else found["live"],
            to_approve=None if found is None else found["approved"],
            waiting=self._workplace.ledger.count_waiting(),
            seconds=time.perf_counter() - started,
        )

    # In the background ------------------------------------------------------------------------

    def start(self) -> None:
        """Work in a daemon thread of this process; called again it does nothing.

        A process that was forked since has none of its parent's threads: it gets its own.
        """
        if self._thread is not None and self._process == os.getpid():
            return
        with self._starting:
            if self._thread is not None and self._process == os.getpid():
                return
            self._process, self._stop = os.getpid(), threading.Event()
            self._thread = threading.Thread(target=self._work, name="gpa-worker", daemon=True)
            self._thread.start()

    def close(self, *, drain_seconds: float = 0.0) -> None:
        """Stop the thread; what waits then waits for the next process.

        Args:
            drain_seconds: How long to wait for the thread to end what it is at. Where it takes
                longer, it ends at the next point at which something was done.
        """
        self._stop.set()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join(timeout=max(drain_seconds, 0.1))

    def _work(self) -> None:
        while not self._stop.wait(self._workplace.settings.work_seconds):
            try:
                self.run_once()
            except Stopped:
                return
            except Busy:
                continue
            except Exception as error:  # noqa: BLE001 -- the thread must live
                self._complain("learning", error)
            else:
                self._complaints.pop("learning", None)

    def _go_on(self) -> None:
        """Raise `Stopped` where the worker was closed: the ledger may be, too."""
        if self._stop.is_set():
            raise Stopped("learning was stopped; what waits is learned from by the next worker")

    def _tell(self, stage: str, done: int, total: int | None) -> None:
        self._go_on()
        self._progress(stage, done, total)

    def _complain(self, about: str, error: Exception) -> None:
        """Log a failure once, not at every turn of the loop."""
        what = str(error)
        if not isinstance(error, GPAError):  # its text may quote users
            what = f"{type(error).__name__}; run `gpa worker --once` to see it"
        if what != self._complaints.get(about):
            self._complaints[about] = what
            logger.warning("%s pauses, and tries again: %s", about, what)
