"""What a chat model is asked: prompts as versioned data, questions built from them, answers read.

Pure: a prompt and texts in, an `Ask` out; an answer's text in, a pydantic model out. The prompts
restate, in our own words, Tables 11, 12, 13 and 15 of Group Preference Alignment (arXiv
2503.08035), and the signs of satisfaction of SPUR and WildFeedback (arXiv 2403.12388, 2408.15549).
"""

from __future__ import annotations

from gpa_agent.prompts.answers import (
    AspectItem,
    AspectsAnswer,
    DsatSign,
    GroupAnswer,
    IntentAnswer,
    PreferenceAnswer,
    Problem,
    SatisfactionAnswer,
    SatSign,
    TwinAnswer,
    ValidityAnswer,
    Voice,
    VoicesAnswer,
)
from gpa_agent.prompts.asking import Ask
from gpa_agent.prompts.asks import (
    EXPERTISE,
    ClaimSides,
    Exchange,
    Numbered,
    aspects_ask,
    group_ask,
    intent_ask,
    merge_ask,
    preference_ask,
    repair,
    satisfaction_ask,
    twin_ask,
    validity_ask,
    voices_ask,
)
from gpa_agent.prompts.prompt import Prompt, PromptName, load
from gpa_agent.prompts.quoting import data_of, quote
from gpa_agent.prompts.reading import Unreadable, read_answer

__all__ = [
    "EXPERTISE",
    "Ask",
    "AspectItem",
    "AspectsAnswer",
    "ClaimSides",
    "DsatSign",
    "Exchange",
    "GroupAnswer",
    "IntentAnswer",
    "Numbered",
    "PreferenceAnswer",
    "Problem",
    "Prompt",
    "PromptName",
    "SatSign",
    "SatisfactionAnswer",
    "TwinAnswer",
    "Unreadable",
    "ValidityAnswer",
    "Voice",
    "VoicesAnswer",
    "aspects_ask",
    "data_of",
    "group_ask",
    "intent_ask",
    "load",
    "merge_ask",
    "preference_ask",
    "quote",
    "read_answer",
    "repair",
    "satisfaction_ask",
    "twin_ask",
    "validity_ask",
    "voices_ask",
]
