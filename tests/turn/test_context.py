from __future__ import annotations

from types import SimpleNamespace

import pytest

from gpa_agent.turn.context import Asker, GPAContext, read_asker


def test_nothing_said_is_nothing_known() -> None:
    assert read_asker(None, None) == Asker()
    assert read_asker(None, {}) == Asker()


@pytest.mark.parametrize(
    "context",
    [
        GPAContext(user_id="u", group="novice", intent="debugging"),
        {"user_id": "u", "group": "novice", "intent": "debugging"},
        SimpleNamespace(user_id="u", group="novice", intent="debugging", other=1),
    ],
)
def test_reads_objects_and_mappings(context: object) -> None:
    assert read_asker(context, {"thread_id": "t"}) == Asker("u", "novice", "debugging", "t")


def test_context_wins_over_configurable_field_by_field() -> None:
    keys = {"user_id": "config", "group": "expert", "thread_id": "t"}
    assert read_asker(GPAContext(user_id="context"), keys) == Asker("context", "expert", None, "t")


def test_blank_and_odd_values_count_as_not_said() -> None:
    keys = {"user_id": 17, "group": "  ", "intent": ["debugging"], "thread_id": True}
    assert read_asker(None, keys) == Asker(user_id="17")
