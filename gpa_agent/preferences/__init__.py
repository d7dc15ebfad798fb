"""Why a turn pleased or not: preference explanations."""

from __future__ import annotations

from gpa_agent.preferences.embedded import explain, preference_id
from gpa_agent.preferences.records import Preference

__all__ = ["Preference", "explain", "preference_id"]
