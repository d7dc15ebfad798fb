"""The append-only record of everything observed and learned, in SQL."""

from __future__ import annotations

from gpa_agent.ledger.exclusive import Busy
from gpa_agent.ledger.ingesting import Ingest
from gpa_agent.ledger.rows import (
    AnswerText,
    AspectRow,
    CallRow,
    ContrastRow,
    JudgedRow,
    JudgedText,
    JudgmentRow,
    LabelKind,
    LabelledText,
    LabelRow,
    Outcome,
    PendingTurn,
    PreferenceRow,
    RunRow,
    StoredRubric,
    Subject,
    Unlabelled,
    chosen_input,
    rejected_input,
    turn_input,
)
from gpa_agent.ledger.store import Ledger

__all__ = [
    "AnswerText",
    "AspectRow",
    "Busy",
    "CallRow",
    "ContrastRow",
    "Ingest",
    "JudgedRow",
    "JudgedText",
    "JudgmentRow",
    "LabelKind",
    "LabelRow",
    "LabelledText",
    "Ledger",
    "Outcome",
    "PendingTurn",
    "PreferenceRow",
    "RunRow",
    "StoredRubric",
    "Subject",
    "Unlabelled",
    "chosen_input",
    "rejected_input",
    "turn_input",
]
