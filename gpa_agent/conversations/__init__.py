"""What was said: frozen records and streaming readers for the logs apps keep."""

from __future__ import annotations

from gpa_agent.conversations.normalise import clean_text
from gpa_agent.conversations.reading import FORMATS, BadLine, read_log
from gpa_agent.conversations.records import (
    GENERAL_INTENT,
    UNKNOWN,
    Conversation,
    Judgment,
    Label,
    Message,
    PreferencePair,
    Record,
    Turn,
    Verdict,
)

__all__ = [
    "FORMATS",
    "GENERAL_INTENT",
    "UNKNOWN",
    "BadLine",
    "Conversation",
    "Judgment",
    "Label",
    "Message",
    "PreferencePair",
    "Record",
    "Turn",
    "Verdict",
    "clean_text",
    "read_log",
]
