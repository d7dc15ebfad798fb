"""Why turns pleased or not, in a model's words: Tables 11 and 12 over every judged turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

from gpa_agent.calls.engine import Answered, Engine
from gpa_agent.conversations.records import Judgment
from gpa_agent.learning.model_labels import turn_of
from gpa_agent.learning.report import StageReport
from gpa_agent.learning.stages import Progress
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import JudgedText, PreferenceRow
from gpa_agent.preferences.embedded import preference_id
from gpa_agent.prompts import PreferenceAnswer, load, preference_ask
from gpa_agent.prompts.asking import Ask

_STORED_AT_ONCE = 200


def preference_source(model: str) -> str:
    """Names a model's explanations; changes with the prompts."""
    return f"{model}/{load('preference_sat').version}.{load('preference_dsat').version}"


def preference_asks(ledger: Ledger, source: str) -> Iterator[Ask]:
    """A question for every judged turn that has words to go by and is not explained yet."""
    for page in ledger.turns_to_explain(source):
        yield from (ask_of(text) for text in page if text.turn.reply)


def ask_of(text: JudgedText) -> Ask:
    """The question about one judged turn."""
    turn = text.turn
    return preference_ask(
        turn.user,
        turn.assistant,
        turn.reply,
        pleased=text.judgment is Judgment.SAT,
        earlier=turn.earlier,
        subject=text.input_id,
    )


def explain_with_model(
    ledger: Ledger, engine: Engine, source: str, progress: Progress
) -> StageReport:
    """Ask why each judged turn pleased or not, and keep what was voiced.

    Returns:
        ``done`` turns were answered; ``skipped`` of them voiced nothing, or nothing readable.
    """
    started, done, silent = time.perf_counter(), 0, 0
    waiting: list[Answered] = []
    for answered in engine.map(preference_asks(ledger, source)):
        done += answered.why != "failed"
        silent += answered.why != "failed" and _row(answered, source) is None
        waiting.append(answered)
        if len(waiting) == _STORED_AT_ONCE:
            _store(ledger, waiting, source)
            waiting = []
        progress("explain", done, None)
    _store(ledger, waiting, source)
    return StageReport(done=done, skipped=silent, seconds=time.perf_counter() - started)


def _store(ledger: Ledger, answers: list[Answered], source: str) -> None:
    rows = [row for answered in answers if (row := _row(answered, source)) is not None]
    seen = [a.ask.subject or "" for a in answers if a.why != "failed"]
    ledger.add_preferences(rows, source=source, seen=seen)


def _row(answered: Answered, source: str) -> PreferenceRow | None:
    if answered.value is None:
        return None
    said = cast("PreferenceAnswer", answered.value)
    if not said.expectation:
        return None
    conversation, idx = turn_of(answered.ask)
    return PreferenceRow(
        preference_id(conversation, idx, source),
        "conversation",
        conversation,
        idx,
        1 if answered.ask.prompt == "preference_sat" else -1,
        said.expectation,
        "; ".join(said.reasons),
        (),
        source,
    )
