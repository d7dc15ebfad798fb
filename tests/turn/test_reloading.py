"""A turn never waits for a classifier to be loaded, least of all on the app's event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.watching import LOOK_SECONDS
from gpa_agent.turn.tailor import Tailor
from gpa_agent.workspace import Workspace
from tests.turn.test_tailor import asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gpa_agent.turn.plan import Plan


class Slow(HashingEncoder):
    """Takes its time with each request, and remembers which thread asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_by: list[str] = []

    def encode(self, texts: Sequence[str]) -> Any:
        self.asked_by.append(threading.current_thread().name)
        time.sleep(0.01)
        return super().encode(texts)


INTENTS = {name: f"Help with {name}" for name in "abcdefgh"}


@pytest.fixture
def encoder() -> Slow:
    return Slow()


@pytest.fixture
def app(tmp_path: Path, encoder: Slow) -> Iterator[Workspace]:
    """A workspace with a taxonomy, so that telling intents apart takes an encoder."""
    with Workspace.open(
        tmp_path / "my.gpa", groups=["novice", "expert"], intents=INTENTS, encoder=encoder
    ) as opened:
        yield opened


def engine(ws: Workspace) -> Tailor:
    return Tailor(ws, mode="auto", holdout=0.0, budget_seconds=2.0, group_models={}, record=True)


async def served(tailor: Tailor) -> Plan:
    return await tailor.arun(tailor.find_plan(asked("How do I cook rice?"), can_dispatch=False))


async def test_a_turn_whose_classifiers_are_not_loaded_leaves_the_loop_alone(
    app: Workspace, encoder: Slow
) -> None:
    tailor = engine(app)
    await tailor.arun(tailor.find_group(asked("Why?")))  # loads the group's alone
    await served(tailor)
    assert encoder.asked_by
    assert threading.current_thread().name not in encoder.asked_by


async def test_forgetting_elsewhere_leaves_the_loop_alone(app: Workspace, encoder: Slow) -> None:
    tailor = engine(app)
    tailor.warm()
    with Workspace.open(app.path, encoder=HashingEncoder()) as other:
        other.record_turn(
            conversation="c",
            key="first",
            user="How do I cook rice?",
            assistant="Boil it.",
            user_id="anna",
            group=None,
            intent=None,
            trace={},
        )
        other.forget("anna")
    await asyncio.sleep(2 * LOOK_SECONDS)
    encoder.asked_by.clear()
    assert (await served(tailor)).degraded is None
    assert encoder.asked_by
    assert threading.current_thread().name not in encoder.asked_by
