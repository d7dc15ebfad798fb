"""A3: one person who toggles, clicks and talks without end takes nobody's turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gpa_agent import Judgment, Workspace
from gpa_agent.conversations.records import Label
from gpa_agent.learning.stages import MEASURE_STAGE
from gpa_agent.learning.worker import Worker
from gpa_agent.ledger.pacing import PEOPLE, PER_HOUR, Pace
from gpa_agent.rubrics.traits import CATALOGUE_VERSION
from tests.attacks.attack_logs import open_workspace

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
SAID = ("Perfect, that fixed it, thank you!", "That is wrong, it still fails.")


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    settings = {"refine_after_turns": 10, "refine_seconds": 0, "queue_limit": 200}
    with open_workspace(tmp_path / "ws", **settings) as opened:
        yield opened


def _say(ws: Workspace, user: str, n: int) -> None:
    ws.record_turn(
        conversation=f"of {user}",
        key=str(n),
        user=SAID[(n + len(user)) % 2],
        assistant=f"Answer {n}.",
        user_id=user,
        group=Label("novice", 1.0, "context"),
        intent=Label("explanation", 1.0, "context"),
        trace={},
    )


def _thumb(ws: Workspace, n: int) -> None:
    ws.feedback(
        conversation="of mallory",
        turn=0,
        judgment=Judgment.SAT if n % 2 else Judgment.DSAT,
        user="mallory",
    )


def _verdicts(ws: Workspace) -> dict[tuple[str, int], Judgment]:
    """How every turn of the others is judged."""
    ws.catch_up()
    rows = ws.ledger.judged_rows(MEASURE_STAGE, CATALOGUE_VERSION)
    return {(r.subject_id, r.idx): r.judgment for r in rows if r.subject_id != "of mallory"}


def test_a_flood_leaves_the_verdicts_of_others_as_they_are(tmp_path: Path) -> None:
    found: list[dict[tuple[str, int], Judgment]] = []
    for flood in (0, 200):
        with open_workspace(tmp_path / f"{flood}", queue_limit=400) as ws:
            for n in range(6):
                for m in range(flood // 6):
                    _say(ws, "mallory", n * flood + m)
                    _thumb(ws, m)
                for person in range(30):
                    _say(ws, f"u{person:02}", n)
            found.append(_verdicts(ws))
            assert ws.ledger.count_waiting() == 0
    calm, flooded = found
    assert len(calm) == 150  # 30 people's answers that a reply followed on
    same = sum(flooded.get(turn) is judgment for turn, judgment in calm.items())
    assert same >= 0.98 * len(calm)


def test_a_thumb_that_is_toggled_between_looks_is_counted_once(ws: Workspace) -> None:
    worker = Worker(ws)
    _say(ws, "mallory", 0)
    assert worker.run_once().events == 1
    refined = 0
    for n in range(100):
        _thumb(ws, n)
        report = worker.run_once()
        assert report.events == 1  # what it says now is heard at once
        refined += report.refined
    assert refined == 0
    assert ws.ledger.events_since_refined() == 2
    assert ws.stats()["judgments"] == 1


def test_after_a_weighing_another_verdict_is_news_once(ws: Workspace) -> None:
    worker = Worker(ws)
    _say(ws, "mallory", 0)
    _thumb(ws, 0)
    assert worker.drain().refined
    for n in range(1, 8):
        _thumb(ws, n)
        worker.handle()
        assert ws.ledger.events_since_refined() == 1
    assert worker.drain().refined
    assert ws.ledger.events_since_refined() == 0


def test_the_same_thumb_again_is_no_event(ws: Workspace) -> None:
    worker = Worker(ws)
    _say(ws, "mallory", 0)
    _thumb(ws, 0)
    worker.drain()
    for _ in range(200):
        _thumb(ws, 0)
    assert ws.ledger.count_events() == {"waiting": 0, "done": 2, "shed": 0, "failed": 0}


def test_one_person_cannot_fill_the_queue(ws: Workspace) -> None:
    for n in range(500):
        _say(ws, "mallory", n)
    assert ws.ledger.count_events()["waiting"] == PER_HOUR
    for person in range(40):
        _say(ws, f"u{person:02}", person)
    counts = ws.ledger.count_events()
    assert counts == {"waiting": PER_HOUR + 40, "done": 0, "shed": 500 - PER_HOUR, "failed": 0}
    assert {e.conversation for e in ws.ledger.waiting_events()} >= {
        f"of u{person:02}" for person in range(40)
    }
    assert ws.stats()["turns"] == 540
    ws.learn()  # reads what was not waited for
    assert ws.stats()["judgments"] == 499
    assert ws.ledger.count_events()["shed"] == 0


@pytest.mark.parametrize("flood", [0, 300])
def test_thumbs_beyond_the_limit_stand_all_the_same(ws: Workspace, flood: int) -> None:
    for n in range(1 + flood):
        _say(ws, "mallory", n)
    _thumb(ws, 0)
    shed = ws.ledger.count_events()["shed"]
    assert shed == max(0, 2 + flood - PER_HOUR)
    assert ws.stats()["explicit_judgments"] == 1


def test_a_thumb_that_waits_goes_on_waiting_beyond_the_limit(ws: Workspace) -> None:
    _say(ws, "mallory", 0)
    for n in range(PER_HOUR + 50):
        _thumb(ws, n)
    assert ws.ledger.count_events() == {"waiting": 2, "done": 0, "shed": 0, "failed": 0}


def test_an_hour_later_there_is_room_again() -> None:
    pace = Pace()
    admitted = [pace.admits("p", START + timedelta(seconds=n)) for n in range(2 * PER_HOUR)]
    assert admitted == [True] * PER_HOUR + [False] * PER_HOUR
    # The first of them is an hour old, then, and the second is not.
    later = START + timedelta(hours=1)
    assert [pace.admits("p", later) for _ in range(2)] == [True, False]
    assert pace.admits("q", START)


def test_what_is_replayed_out_of_order_is_not_held_up() -> None:
    pace = Pace()
    days = [START + timedelta(days=n) for n in range(3 * PER_HOUR)]
    assert all(pace.admits("p", day) for day in (*days, *reversed(days)))


def test_nobody_in_particular_is_not_limited_and_people_are_forgotten_in_turn() -> None:
    pace = Pace()
    assert all(pace.admits(None, START) for _ in range(2 * PER_HOUR))
    for _ in range(PER_HOUR):
        pace.admits("p", START)
    assert not pace.admits("p", START)
    for n in range(PEOPLE):
        pace.admits(f"p{n}", START)
    assert pace.admits("p", START)  # memory is bounded: the longest silent are forgotten
