"""The stages between raw log and observations: judge, label, explain, measure.

Each stage asks the ledger for the inputs that lack its result under the current version of
whoever computes it, and stores results batch by batch; run again it does nothing, stopped it
resumes where it was. An input on which a stage fails is left out, and lacks its result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import UNKNOWN, Judgment, Label, Verdict
from gpa_agent.errors import GPAError
from gpa_agent.learning.report import StageReport
from gpa_agent.learning.surviving import Losses, surviving
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import (
    AnswerText,
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
    lost: set[str] | None = None,
) -> StageReport:
    """Judge every answered turn that a later utterance can speak for.

    Args:
        ledger: Where they are.
        reader: Who judges.
        progress: Called as judgments are made.
        standing: Version of somebody else's judgments that stand.
        only: Conversations to look at; None for all.
        lost: Takes the ids of conversations it could not work on.
    """
    started, done, abstained = time.perf_counter(), 0, 0
    losses = Losses("judge", lost)
    versions = [reader.version, *([standing] if standing else [])]
    for batch in ledger.turns_to_judge(*versions, batch=_BATCH, only=only):
        judged = surviving(
            lambda some: reader.judge([as_judged(t) for t in some]),
            batch,
            lambda t, error: losses.add(t.conversation, error),
        )
        ledger.add_judgments(
            [
                JudgmentRow(
                    t.conversation, t.idx, v.judgment, v.confidence, v.source, reader.version
                )
                for t, v in judged
            ]
        )
        done += len(judged)
        abstained += sum(v.judgment is Judgment.NEITHER for _, v in judged)
        progress("judge", done, None)
    losses.tell()
    return StageReport(done=done, skipped=abstained, seconds=time.perf_counter() - started)


def label(
    ledger: Ledger,
    kind: LabelKind,
    labeller: Labeller,
    progress: Progress,
    *,
    standing: str | None = None,
    only: Collection[str] | None = None,
    lost: set[str] | None = None,
) -> StageReport:
    """Label every conversation and pair whose record names no intent (or group).

    Args:
        ledger: Where they are.
        kind: ``intent`` or ``group``.
        labeller: Who labels.
        progress: Called as labels are made.
        standing: Version of somebody else's labels that stand.
        only: Conversations to look at; None for all, and pairs.
        lost: Takes the ids of conversations and pairs it could not work on.
    """
    started, done, unknown = time.perf_counter(), 0, 0
    losses = Losses(f"label {kind}", lost)
    versions = [labeller.version, *([standing] if standing else [])]
    for batch in ledger.to_label(kind, *versions, batch=_BATCH, only=only):
        labelled = surviving(
            lambda some: labeller.classify(list(some)),
            batch,
            lambda s, error: losses.add(s.subject_id, error),
        )
        ledger.add_labels(
            [
                LabelRow(
                    s.subject, s.subject_id, kind, x.value, x.confidence, x.source, labeller.version
                )
                for s, x in labelled
            ]
        )
        done += len(labelled)
        unknown += sum(x.value == UNKNOWN for _, x in labelled)
        progress(f"label {kind}", done, None)
    losses.tell()
    return StageReport(done=done, skipped=unknown, seconds=time.perf_counter() - started)


def explain_preferences(
    ledger: Ledger,
    progress: Progress,
    *,
    only: Collection[str] | None = None,
    lost: set[str] | None = None,
) -> StageReport:
    """Write down what each pleased or displeased user seems to have expected.

    Args:
        ledger: Where their turns are.
        progress: Called as turns are explained.
        only: Conversations to look at; None for all.
        lost: Takes the ids of conversations it could not work on.
    """
    started, done = time.perf_counter(), 0
    losses = Losses("explain", lost)
    for batch in ledger.turns_to_explain(EXPLAINER_VERSION, batch=_BATCH, only=only):
        explained = surviving(
            lambda some: [_explained(text) for text in some],
            batch,
            lambda text, error: losses.add(text.turn.conversation, error),
        )
        ledger.add_preferences(
            [preference for _, preference in explained],
            source=EXPLAINER_VERSION,
            seen=[text.input_id for text, _ in explained],
        )
        done += len(explained)
        progress("explain", done, None)
    losses.tell()
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
    ledger: Ledger,
    progress: Progress,
    *,
    only: Collection[str] | None = None,
    lost: set[str] | None = None,
) -> StageReport:
    """Measure the catalogue's traits on every judged answer and both sides of every pair.

    Args:
        ledger: Where the answers are.
        progress: Called as answers are measured.
        only: Conversations to look at; None for all, and pairs.
        lost: Takes the ids of conversations and pairs it could not work on.
    """
    started, done = time.perf_counter(), 0
    try:
        for named in _measured(ledger, only):
            ledger.add_stage_results(MEASURE_STAGE, CATALOGUE_VERSION, named)
            done += len(named)
            progress("measure", done, None)
    except GPAError:
        raise
    except Exception:  # noqa: BLE001 -- an answer it fails on: what is left is done with more care
        done += _measure_surviving(ledger, progress, only, lost)
    return StageReport(done=done, seconds=time.perf_counter() - started)


def _measured(ledger: Ledger, only: Collection[str] | None) -> Iterator[list[tuple[str, bytes]]]:
    """Measurements by input id, on as many cores as pays."""
    ids: list[str] = []

    def texts() -> Iterator[tuple[str, str]]:
        for batch in _unmeasured(ledger, only):
            for answer in batch:
                ids.append(answer.input_id)
                yield answer.prompt, answer.answer

    for chunk in _chunks(measure_many(texts()), _BATCH):
        yield [(ids[i], _packed(v)) for i, v in enumerate(chunk)]
        del ids[: len(chunk)]


def _measure_surviving(
    ledger: Ledger, progress: Progress, only: Collection[str] | None, lost: set[str] | None
) -> int:
    """Measure every answer that can be; one after the other."""
    done, losses = 0, Losses("measure", lost)
    for batch in _unmeasured(ledger, only):
        measured = surviving(
            lambda some: list(measure_many(((a.prompt, a.answer) for a in some), workers=1)),
            batch,
            lambda a, error: losses.add(_subject(a.input_id), error),
        )
        named = [(answer.input_id, _packed(v)) for answer, v in measured]
        ledger.add_stage_results(MEASURE_STAGE, CATALOGUE_VERSION, named)
        done += len(named)
        progress("measure", done, None)
    losses.tell()
    return done


def _unmeasured(ledger: Ledger, only: Collection[str] | None) -> Iterator[list[AnswerText]]:
    return ledger.answers_to_measure(MEASURE_STAGE, CATALOGUE_VERSION, batch=_BATCH, only=only)


def _packed(vector: NDArray[np.float32]) -> bytes:
    return vector.astype("<f4").tobytes()


def _subject(input_id: str) -> str:
    """Id of the conversation or pair of an answer."""
    kind, _, name = input_id.partition(":")
    return name.rpartition(":")[0] if kind == "t" else name


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
