"""Why a turn pleased or not, as a record: the paper's preference explanation E.

Group Preference Alignment has a model write, for every judged turn, what the user expected and
the reasons for happiness or frustration (Tables 11 and 12). Whoever explains, the result is this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpa_agent.conversations.records import Judgment


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """One explanation of one judged turn."""

    id: str
    """Deterministic: the same conversation, turn and source give the same id."""
    polarity: Judgment
    """SAT: a reason for happiness; DSAT: for frustration; NEITHER where nothing was said."""
    expectation: str
    """What the user expected of the answer."""
    reason: str
    """Why it pleased or displeased."""
    cues: tuple[str, ...]
    """Names of the cues it rests on, in the catalogue's order; empty where a model explained."""
    source: str
    """``cues`` or a model name."""
