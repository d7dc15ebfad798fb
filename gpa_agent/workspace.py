"""A workspace: one folder that holds a deployment.

::

    my.gpa/
      settings.json      what is compared, thresholds, how turns are served
      people.key         the key under which user ids are hashed (mode 0600)
      ledger.sqlite      the only truth: everything observed and learned
      models/            small classifiers trained here, as safetensors and JSON
      chroma/            an index of the rubrics that can be rebuilt at any time

Everything a program needs is a method here; the command line is a thin shell over it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, TypeVar

from gpa_agent.conversations.records import Judgment, Label
from gpa_agent.errors import UsageError
from gpa_agent.learning import editing
from gpa_agent.learning.local import LocalReaders
from gpa_agent.learning.report import IngestReport, LearnReport, StageReport
from gpa_agent.learning.watching import Watched
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import LabelKind, StoredRubric
from gpa_agent.rubrics.records import Aspect, Contrast, Rubric
from gpa_agent.settings import EMBEDDED, Settings
from gpa_agent.settings_file import (
    ledger_of,
    load_settings,
    people_key,
    remember_ledger,
    store_settings,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from gpa_agent.embedding import TextEncoder
    from gpa_agent.learning.estimate import Estimate
    from gpa_agent.learning.finding import Finder, Shuffler
    from gpa_agent.learning.labelling import Labelling
    from gpa_agent.learning.spending import Spend
    from gpa_agent.learning.stages import Progress
    from gpa_agent.learning.worker import Worker, WorkReport
    from gpa_agent.rubrics.index import RubricIndex
    from gpa_agent.rubrics.snapshot import Snapshot
    from gpa_agent.understanding.protocols import (
        GroupClassifier,
        IntentClassifier,
        SatisfactionReader,
    )


_T = TypeVar("_T")
_FORGOTTEN = "recomputed after a person was forgotten"


def _silent(stage: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


class Workspace:
    """Everything a deployment has: settings, ledger, rubrics, classifiers.

    Thread-safe for serving; one process at a time learns, which the ledger sees to. Use it as a
    context manager or call `close`.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp() + "/my.gpa", groups=["novice", "expert"])
        >>> ws.stats()["conversations"]
        0
        >>> ws.close()
    """

    def __init__(
        self, path: Path, settings: Settings, ledger: Ledger, encoder: TextEncoder | None = None
    ) -> None:
        self.path = path
        self.settings = settings
        self.ledger = ledger
        self._readers = LocalReaders(path / "models", settings, encoder)
        self._watched = Watched(ledger, follow=self._readers.follow)
        self._chat_model: BaseChatModel | None = None
        self._given: Mapping[str, Any] = {}
        self._keeping = False
        self._ingested = StageReport()
        self._opening = threading.Lock()
        self._closed = False
        self._worker: Worker | None = None
        self._index: RubricIndex | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        groups: Sequence[str] | None = None,
        intents: Mapping[str, Any] | None = None,
        contrasts: Sequence[Contrast | tuple[str, str]] | None = None,
        create: bool = True,
        store: bool = True,
        encoder: TextEncoder | None = None,
        model: str | BaseChatModel | None = None,
        ledger: str | None = None,
        **settings: Any,  # noqa: ANN401 -- any field of Settings, checked by it
    ) -> Workspace:
        """Open a workspace, making it where there is none.

        Args:
            path: The folder.
            groups: Groups to compare; stored.
            intents: Taxonomy as ``{name: description}`` or ``{name: {"description": ...,
                "examples": [...]}}``; stored.
            contrasts: Contrasts to test instead of the default ones; stored.
            create: Whether to make a workspace where there is none.
            store: Whether the given settings are kept for later openings: at once in a new
                workspace, else after the first log that could be read or learned from. Without,
                `keep_settings` does it.
            encoder: Sentence encoder to use instead of the one that is found.
            model: Chat model that learns: ``openai:gpt-4o-mini``, any name that LangChain's
                ``init_chat_model`` takes, or a chat model; its name is stored. ``"embedded"`` goes
                back to the embedded engine.
            ledger: URL of a PostgreSQL database that holds the ledger, for several machines; the
                environment's ``GPA_LEDGER`` where None, else the folder's own SQLite file. Never
                stored: it may hold a password.
            **settings: Any further field of `gpa_agent.settings.Settings`; stored.

        Raises:
            UsageError: A setting is wrong, or there is no workspace and ``create`` is False.
            WorkspaceError: What is there is not a workspace, or from a newer version.
            StoreError: The folder cannot be read or written.
        """
        folder = Path(path).expanduser()
        given = dict(settings)
        if isinstance(groups, str) or isinstance(contrasts, str):
            raise UsageError("groups and contrasts are lists of names, as in groups=['a', 'b']")
        if not hasattr(intents or {}, "items"):
            raise UsageError("intents is a mapping, as in intents={'debugging': 'finding faults'}")
        if groups is not None:
            given["groups"] = tuple(groups)
        if intents is not None:
            given["intents"] = {
                name: {"description": entry} if isinstance(entry, str) else entry
                for name, entry in intents.items()
            }
        if contrasts is not None:
            given["contrasts"] = [{"group": g, "other": o} for g, o in contrasts]
        if model is not None:
            from gpa_agent.models import model_name  # noqa: PLC0415 -- keeps serving light

            given["model"] = model if model == EMBEDDED else model_name(model)
        merged = load_settings(folder, given, create=create)
        where = ledger_of(folder, ledger or os.environ.get("GPA_LEDGER"))
        opened = Ledger.open(where, people_key=people_key(folder))
        try:
            opened.check_people_key()
            remember_ledger(folder, opened.name)
        except BaseException:
            opened.close()
            raise
        workspace = cls(folder, merged, opened, encoder)
        workspace._given = given
        workspace._chat_model = None if model is None or isinstance(model, str) else model
        workspace._keeping = store
        if store and not (folder / "settings.json").exists():
            workspace.keep_settings()
        return workspace

    def keep_settings(self) -> None:
        """Store the settings this workspace was opened with, for every later opening.

        Raises:
            StoreError: They cannot be written; the stored ones are untouched.
        """
        store_settings(self.path, self._given)
        self._keeping = False

    def _keep_settings(self) -> None:
        """Something was done under the given settings: from now on they are the workspace's."""
        if self._keeping:
            self.keep_settings()

    def close(self) -> None:
        """Stop watching and learning and close the stores; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._worker is not None:
            self._worker.close(drain_seconds=10)
        self._watched.close()
        if self._index is not None:
            self._index.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- learning ------------------------------------------------------------------------------

    def ingest(
        self,
        source: str | Path | BinaryIO,
        *,
        format: str | None = None,  # noqa: A002 -- the word users know from other tools
        max_bad: float = 0.01,
        group_by: str | None = None,
        progress: Progress = _silent,
    ) -> IngestReport:
        """Read a log: all of it, or nothing where too many lines are unusable.

        Args:
            source: Path (plain, gzip or Parquet), ``"-"`` for standard input, or a binary stream.
            format: ``gpa``, ``openai``, ``sharegpt`` or ``wildchat``; None to find it by looking.
            max_bad: Largest share of unusable lines that is tolerated.
            group_by: Metadata field of each record that names the group.
            progress: Called with (stage, done, total).

        Raises:
            DataError: The log is empty, damaged, or has too many unusable lines.
        """
        from gpa_agent.learning.pipeline import ingest  # noqa: PLC0415 -- keeps serving light

        report = ingest(
            self.ledger,
            source,
            format=format,
            max_bad=max_bad,
            group_by=group_by,
            progress=progress,
        )
        self._keep_settings()
        self._ingested = StageReport(
            done=self._ingested.done + report.conversations + report.pairs + report.extended,
            skipped=self._ingested.skipped + report.skipped,
            seconds=self._ingested.seconds + report.seconds,
        )
        self.refresh()
        return report

    def learn(
        self,
        *,
        publish: Literal["auto", "review"] | None = None,
        spend: Spend | None = None,
        wait_seconds: float = 30.0,
        progress: Progress = _silent,
    ) -> LearnReport:
        """Learn from everything the ledger holds; run again it redoes nothing that is done.

        Args:
            publish: ``auto`` serves what passes the gate, ``review`` leaves it approved; None as
                the settings say.
            spend: What a chat model may cost and what runs its calls; without a model it has no
                effect.
            wait_seconds: How long to wait for another process that learns here.
            progress: Called with (stage, done, total).

        Raises:
            UsageError: ``publish`` is something else, or the model cannot be opened.
            Busy: Another process still learns after that time; the message says which.
            ModelError: The model's provider is down, refuses, or a limit of ``spend`` is reached;
                every answer that came is kept, and learning again goes on from there.
        """
        if publish not in (None, "auto", "review"):
            raise UsageError(f"publish {publish!r} is neither 'auto' nor 'review'")
        with self.ledger.exclusive("learning", wait_seconds=wait_seconds):
            return self._learn(publish, self._engine(spend), progress)

    def catch_up(self, *, progress: Progress = _silent) -> WorkReport:
        """Learn from everything that waits, now and in this thread.

        What the worker does in the background; for tests, notebooks and the end of a program.

        Args:
            progress: Called with (stage, done, total).

        Returns:
            What was done, and what waits still.

        Raises:
            Busy: Another process has been learning here for half a minute.
        """
        from gpa_agent.learning.worker import Worker  # noqa: PLC0415 -- keeps serving light

        return Worker(self, progress=progress).drain()

    def work_in_background(self) -> None:
        """Learn from what comes in, in a daemon thread; called again it does nothing.

        The thread ends with `close` or with the process; what waits then waits for the next one.
        """
        if self._worker is None:
            from gpa_agent.learning.worker import Worker  # noqa: PLC0415 -- keeps serving light

            with self._opening:
                self._worker = self._worker or Worker(self)
        if not self._closed:
            self._worker.start()

    def _learn(
        self,
        publish: Literal["auto", "review"] | None,
        finder: Finder,
        progress: Progress,
        *,
        republish: str | None = None,
    ) -> LearnReport:
        from gpa_agent.learning.pipeline import learn  # noqa: PLC0415 -- keeps serving light

        settings = self.settings
        if publish is not None:
            settings = settings.model_copy(update={"publish": publish})
        encoder = self.encoder()
        learned = learn(
            self.ledger, settings, finder=finder, progress=progress, republish=republish
        )
        self._keep_settings()
        stages = {"ingest": self._ingested, **learned.report.stages}
        self._ingested = StageReport()
        self.refresh()  # what was trained meanwhile serves from now on
        return learned.report.model_copy(
            update={"stages": stages, "encoder": f"{encoder.name} ({encoder.origin})"}
        )

    def estimate(self, spend: Spend | None = None) -> Estimate:
        """What learning with the model is expected to call and cost; nobody is asked.

        Args:
            spend: As for `learn`.

        Raises:
            UsageError: No model is configured.
        """
        from gpa_agent.calls.batch import BATCH_PRICE  # noqa: PLC0415 -- keeps serving light
        from gpa_agent.learning.estimate import estimate  # noqa: PLC0415 -- as above
        from gpa_agent.learning.spending import Spend  # noqa: PLC0415 -- as above
        from gpa_agent.learning.teaching import Budgeted  # noqa: PLC0415 -- as above
        from gpa_agent.understanding.satisfaction import (  # noqa: PLC0415 -- as above
            EmbeddedSatisfaction,
        )

        if self.settings.model is None:
            raise UsageError("no chat model is configured: learning calls nobody")
        chosen = spend or Spend()
        budget = self.settings.label_budget
        expected = estimate(
            self.ledger,
            self.settings,
            self.settings.model,
            reader=EmbeddedSatisfaction(self.encoder()),
            sampled=Budgeted(self.ledger, budget) if budget else None,
        )
        if chosen.batch is None or expected.cost is None:
            return expected
        return expected.model_copy(update={"cost": expected.cost * BATCH_PRICE})

    def learn_null(
        self, times: int, *, spend: Spend | None = None, progress: Progress = _silent
    ) -> list[int]:
        """How many aspects would be live with groups dealt at random, ``times`` times.

        Call it after `learn`. A sound log gives zeros. With a model, claims are found anew each
        time, which costs calls; what was judged, labelled and explained is not asked again.
        """
        from gpa_agent.learning.pipeline import learn_null  # noqa: PLC0415 -- keeps serving light

        return learn_null(
            self.ledger, self.settings, finder=self._engine(spend), times=times, progress=progress
        )

    def _engine(self, spend: Spend | None) -> Shuffler:
        from gpa_agent.learning.engines import chosen_engine  # noqa: PLC0415 -- keeps serving light

        return chosen_engine(
            self.settings, self.ledger, self._readers, model=self._chat_model, spend=spend
        )

    def feedback(
        self, *, conversation: str, turn: int, judgment: Judgment | int, user: str | None = None
    ) -> None:
        """Record an explicit judgment of an answer; it wins over anything read from the text.

        Args:
            conversation: Id of the conversation.
            turn: Position of the turn in it, from 0.
            judgment: SAT (1), DSAT (-1) or NEITHER (0, takes an earlier judgment back).
            user: Who judges, where that is to be checked against the conversation's user.

        Raises:
            UsageError: There is no such turn, or it is another user's.
        """
        try:
            verdict = Judgment(judgment)
        except ValueError:
            raise UsageError(
                f"judgment {judgment!r} is not 1 (pleased), -1 (displeased) or 0 (neither)"
            ) from None
        if user is not None:
            owner = self.ledger.owner(conversation)
            if owner is not None and owner != self.person(user):
                raise UsageError(f"conversation {conversation!r} belongs to another user")
        self.ledger.add_explicit(conversation, turn, verdict, queue_limit=self.settings.queue_limit)

    def forget(self, user: str, *, wait_seconds: float = 30.0) -> dict[str, Any]:
        """Delete everything of a person and recompute or retire what rested on them.

        Args:
            user: The raw user id.
            wait_seconds: How long to wait for a run of learning to end before what rests on them
                is left to it (``pending`` says so).

        Returns:
            A receipt, `gpa_agent.learning.forgetting.Receipt` as a dictionary: rows deleted by
            table, files removed or rewritten, what is not live any more, what was weighed again,
            which group models are stale, and what is still to be done.
        """
        from gpa_agent.learning.forgetting import forget  # noqa: PLC0415 -- keeps serving light

        if not user:
            raise UsageError("whom to forget? The user id is empty")
        receipt = forget(self, user, wait_seconds=wait_seconds)
        self.refresh()
        return receipt.model_dump(mode="json")

    def let_go(self) -> None:
        """Close the index: its files are about to go."""
        with self._opening:
            if self._index is not None:
                self._index.close()
                self._index = None

    def weigh_again(self) -> None:
        """Weigh without forgotten people, and drop what only they (and few others) stood for.

        Nobody is asked, and nothing new is served. Whoever calls it holds the lock of learning.
        """
        from gpa_agent.learning.engines import (  # noqa: PLC0415 -- keeps serving light
            recalling_engine,
        )
        from gpa_agent.learning.kept_claims import Recalled  # noqa: PLC0415 -- as above

        finder = recalling_engine(self.settings, self.ledger, self._readers)
        self._learn(None, finder, _silent, republish=_FORGOTTEN)
        if isinstance(finder, Recalled):
            for place, names in finder.dropped.items():
                self.ledger.forget_aspects(*place, names=names)

    def stats(self) -> dict[str, int]:
        """Counts of what the ledger holds."""
        return self.ledger.counts()

    # -- rubrics -------------------------------------------------------------------------------

    def rubric(self, *, intent: str, group: str) -> Rubric | None:
        """The rubric that serves a group in an intent (live aspects only), or None.

        Reads memory only, so it can stand on the hot path.
        """
        return self.snapshot().rubric(intent=intent, group=group)

    def rubrics(self) -> list[Rubric]:
        """Everything the last run found, and what is live, by intent and contrast."""
        return editing.all_rubrics(self.ledger)

    def approve(
        self, *, intent: str, name: str | None = None, group: str | None = None
    ) -> list[Rubric]:
        """Serve aspects that passed the gate and wait, or that a person had taken out.

        Args:
            intent: The intent.
            name: One aspect; None for all that are approved.
            group: A group of the contrast, where the intent has several.

        Raises:
            UsageError: There is no such aspect, or it did not pass (the reason is named).
        """
        return self._changed(editing.approve(self.ledger, intent=intent, name=name, group=group))

    def reject(self, *, intent: str, name: str, group: str | None = None) -> list[Rubric]:
        """Take an aspect out, now and for later runs, until somebody approves it.

        Raises:
            UsageError: The intent has no such aspect.
        """
        return self._changed(editing.reject(self.ledger, intent=intent, name=name, group=group))

    def rollback(self, *, intent: str, version: int, group: str | None = None) -> Rubric:
        """Serve an earlier version again, at once.

        What it lacks stays out until approved, and what it has stays until rejected, or until
        the harm watch takes it out.

        Raises:
            UsageError: There is no such version, or the intent has several contrasts and
                ``group`` does not say which.
        """
        return self._changed(
            editing.rollback(self.ledger, intent=intent, version=version, group=group)
        )

    def history(self, *, intent: str, group: str | None = None) -> list[StoredRubric]:
        """Every version of an intent's rubrics with its reason, oldest first."""
        return editing.history(self.ledger, intent=intent, group=group)

    def export_rubrics(self) -> list[Rubric]:
        """What is live, as it can be read, versioned and imported elsewhere."""
        return editing.live_rubrics(self.ledger)

    def import_rubrics(self, rubrics: Iterable[Rubric]) -> list[Rubric]:
        """Serve hand-written rubrics as seeds, marked as having no evidence here.

        A later run that finds evidence on the same aspect replaces the seed.

        Args:
            rubrics: Rubrics; aspects need a name, guidance, rating and interpretation. Evidence
                they carry was found on other data and is dropped.
        """
        return self._changed(editing.import_rubrics(self.ledger, rubrics))

    def search_rubrics(self, text: str, *, limit: int = 5) -> list[tuple[Rubric, Aspect, float]]:
        """Live aspects nearest in meaning to a text, from the Chroma index.

        Args:
            text: What to look for.
            limit: How many at most.

        Returns:
            (rubric, aspect, cosine similarity in [-1, 1]), best first.
        """
        from gpa_agent.rubrics.index import RubricIndex  # noqa: PLC0415 -- chromadb is heavy

        with self._opening:
            if self._index is None:
                self._index = RubricIndex(self.path / "chroma", self.encoder())
        return self._index.search(editing.live_rubrics(self.ledger), text, limit=limit)

    # -- serving -------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What is live, in memory; loaded at the first call and kept fresh by a thread.

        The same thread takes up classifiers that were trained, or taken away, elsewhere.
        """
        return self._watched.snapshot()

    def refresh(self) -> None:
        """Read what is live from the ledger, and what is trained, now."""
        self._watched.refresh()

    def person(self, user_id: str) -> str:
        """The keyed hash under which a user is stored."""
        return self.ledger.person(user_id)

    def known_group(self, user_id: str) -> str | None:
        """The group a user had in the log, from memory; None where unknown."""
        return self.snapshot().groups.get(self.person(user_id))

    @property
    def chat_model(self) -> BaseChatModel | None:
        """The chat model it was opened with, where it was given one and not a name."""
        return self._chat_model

    def encoder(self) -> TextEncoder:
        """The sentence encoder, found once."""
        return self._readers.encoder()

    def satisfaction_reader(self) -> SatisfactionReader:
        """The local reader of satisfaction: one that a model taught, else the shipped one."""
        return self._readers.satisfaction()

    def labelling(self) -> Labelling:
        """Who labels intents and groups locally."""
        return self._readers.labelling()

    def intent_classifier(self) -> IntentClassifier | None:
        """Who tells intents on the hot path; None where there is nothing to tell apart."""
        return self.labelling().intent_classifier()

    def group_classifier(self) -> GroupClassifier | None:
        """Who tells groups on the hot path; None where none was worth training."""
        return self.labelling().group_classifier()

    def is_loaded(self, kind: LabelKind) -> bool:
        """Whether the classifier of intents or groups is in memory: it can be had at once."""
        return self._readers.is_loaded(kind)

    def warm(self) -> None:
        """Load snapshot, encoder and classifiers now, so that the first turn need not."""
        self.snapshot()
        self.intent_classifier()
        self.group_classifier()
        self.satisfaction_reader()

    def record_turn(
        self,
        *,
        conversation: str,
        key: str,
        user: str,
        assistant: str,
        user_id: str | None,
        group: Label | None,
        intent: Label | None,
        trace: Mapping[str, Any],
    ) -> None:
        """Store a served turn durably; the worker learns from it later.

        Args:
            conversation: Id of the conversation (the thread).
            key: Identifies the turn in it; recording the same key again changes nothing.
            user: What the user said.
            assistant: The answer that was given.
            user_id: Raw user id, where known.
            group: The group served, with confidence.
            intent: The intent served, with confidence.
            trace: What was served, as in the state's ``gpa``.

        Raises:
            StoreError: The ledger cannot be written; nothing was stored.
        """
        self.ledger.record_turn(
            conversation=conversation,
            key=key,
            user=user,
            assistant=assistant,
            person=self.person(user_id) if user_id else None,
            group=group,
            intent=intent,
            served=trace,
            queue_limit=self.settings.queue_limit,
        )

    # -- inside --------------------------------------------------------------------------------

    def _changed(self, result: _T) -> _T:
        """Let this process serve at once what was changed."""
        self.refresh()
        return result
