"""The stages between raw log and observations: judge, label, explain, measure.

Each stage asks the ledger for the inputs that lack its result under the current version of
whoever computes it, and stores results batch by batch; run again it does nothing, stopped it
resumes where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import UNKNOWN, Judgment, Label, Verdict
from gpa_agent.learning.report import StageReport
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import (
    JudgedText,
    JudgmentRow,
    LabelKind,
    LabelRow,
    PendingTurn,
    PreferenceRow,
    Unlabelled,
)
from gpa_agent.preferences.embedded import EXPLAINER_VERSION, explain
from gpa_agent.rubrics.traits import CATALOGUE_VERSION, measure_many
from gpa_agent.understanding.protocols import JudgedTurn, SatisfactionReader

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total or None)."""

MEASURE_STAGE = "traits"
_BATCH = 2000


class Labeller(NamedTuple):
    """Whoever labels conversations with an intent or a group.

    Attributes:
        classify: Conversations and pairs in, labels out, in order.
        version: Part of the stage's key.
    """

    classify: Callable[[list[Unlabelled]], list[Label]]
    version: str


def as_judged(turn: PendingTurn) -> JudgedTurn:
    """A turn of the ledger as a satisfaction reader takes it."""
    return JudgedTurn(turn.user, turn.assistant, turn.reply, turn.earlier, turn.last)


def judge(
    ledger: Ledger,
    reader: SatisfactionReader,
    progress: Progress,
    *,
    standing: str | None = None,
    only: Collection[str] | None = None,
) -> StageReport:
    """Judge every answered turn that a later utterance can speak for.

    Args:
        ledger: Where they are.
        reader: Who judges.
        progress: Called as judgments are made.
        standing: Version of somebody else's judgments that stand.
        only: Conversations to look at; None for all.
    """
    started, done, abstained = time.perf_counter(), 0, 0
    versions = [reader.version, *([standing] if standing else [])]
    for batch in ledger.turns_to_judge(*versions, batch=_BATCH, only=only):
        verdicts = reader.judge([as_judged(t) for t in batch])
        ledger.add_judgments(
            [
                JudgmentRow(
                    t.conversation, t.idx, v.judgment, v.confidence, v.source, reader.version
                )
                for t, v in zip(batch, verdicts, strict=True)
            ]
        )
        done += len(batch)
        abstained += sum(v.judgment is Judgment.NEITHER for v in verdicts)
        progress("judge", done, None)
    return StageReport(done=done, skipped=abstained, seconds=time.perf_counter() - started)


def label(
    ledger: Ledger,
    kind: LabelKind,
    labeller: Labeller,
    progress: Progress,
    *,
    standing: str | None = None,
    only: Collection[str] | None = None,
) -> StageReport:
    """Label every conversation and pair whose record names no intent (or group).

    Args:
        ledger: Where they are.
        kind: ``intent`` or ``group``.
        labeller: Who labels.
        progress: Called as labels are made.
        standing: Version of somebody else's labels that stand.
        only: Conversations to look at; None for all, and pairs.
    """
    started, done, unknown = time.perf_counter(), 0, 0
    versions = [labeller.version, *([standing] if standing else [])]
    for batch in ledger.to_label(kind, *versions, batch=_BATCH, only=only):
        labels = labeller.classify(batch)
        ledger.add_labels(
            [
                LabelRow(
                    s.subject, s.subject_id, kind, x.value, x.confidence, x.source, labeller.version
                )
                for s, x in zip(batch, labels, strict=True)
            ]
        )
        done += len(batch)
        unknown += sum(x.value == UNKNOWN for x in labels)
        progress(f"label {kind}", done, None)
    return StageReport(done=done, skipped=unknown, seconds=time.perf_counter() - started)


def explain_preferences(
    ledger: Ledger, progress: Progress, *, only: Collection[str] | None = None
) -> StageReport:
    """Write down what each pleased or displeased user seems to have expected.

    Args:
        ledger: Where their turns are.
        progress: Called as turns are explained.
        only: Conversations to look at; None for all.
    """
    started, done = time.perf_counter(), 0
    for batch in ledger.turns_to_explain(EXPLAINER_VERSION, batch=_BATCH, only=only):
        ledger.add_preferences(
            [_explained(text) for text in batch],
            source=EXPLAINER_VERSION,
            seen=[text.input_id for text in batch],
        )
        done += len(batch)
        progress("explain", done, None)
    return StageReport(done=done, seconds=time.perf_counter() - started)


def _explained(text: JudgedText) -> PreferenceRow:
    turn = text.turn
    verdict = Verdict(text.judgment, text.confidence, text.source)
    preference = explain(
        as_judged(turn), verdict, conversation=turn.conversation, turn_number=turn.idx
    )
    return PreferenceRow(
        preference.id,
        "conversation",
        turn.conversation,
        turn.idx,
        int(preference.polarity),
        preference.expectation,
        preference.reason,
        preference.cues,
        EXPLAINER_VERSION,
    )


def measure(
    ledger: Ledger, progress: Progress, *, only: Collection[str] | None = None
) -> StageReport:
    """Measure the catalogue's traits on every judged answer and both sides of every pair.

    Args:
        ledger: Where the answers are.
        progress: Called as answers are measured.
        only: Conversations to look at; None for all, and pairs.
    """
    started, done = time.perf_counter(), 0
    ids: list[str] = []

    def texts() -> Iterator[tuple[str, str]]:
        pending = ledger.answers_to_measure(
            MEASURE_STAGE, CATALOGUE_VERSION, batch=_BATCH, only=only
        )
        for batch in pending:
            for answer in batch:
                ids.append(answer.input_id)
                yield answer.prompt, answer.answer

    for chunk in _chunks(measure_many(texts()), _BATCH):
        named = [(ids[i], v.astype("<f4").tobytes()) for i, v in enumerate(chunk)]
        del ids[: len(chunk)]
        ledger.add_stage_results(MEASURE_STAGE, CATALOGUE_VERSION, named)
        done += len(named)
        progress("measure", done, None)
    return StageReport(done=done, seconds=time.perf_counter() - started)


def _chunks(
    vectors: Iterable[NDArray[np.float32]], size: int
) -> Iterator[list[NDArray[np.float32]]]:
    chunk: list[NDArray[np.float32]] = []
    for vector in vectors:
        chunk.append(vector)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
