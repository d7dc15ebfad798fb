"""When a rubric may change: not at every look, and not for a single person."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.publishing import WAITS, changes, only_live, settle
from gpa_agent.learning.ripening import (
    RIPENING_STAGE,
    RIPENING_VERSION,
    Passing,
    newly_heard,
    passing_since,
    print_of,
    unripe,
)
from gpa_agent.rubrics.records import Aspect, ContrastModel, Evidence, Rubric
from gpa_agent.testing.chat_world import ChatWorld

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def aspect(name: str, *, q: float = 0.03, turns: int = 100, status: str = "approved") -> Aspect:
    evidence = Evidence(
        effect=0.5,
        interval=(0.2, 0.8),
        p_value=0.001,
        q_value=q,
        people={"a": 9, "b": 9},
        turns={"a": turns // 2, "b": turns - turns // 2},
    )
    return Aspect.model_validate(
        {
            "name": name,
            "rating": 3,
            "interpretation": "x",
            "guidance": {"a": f"do {name}"},
            "status": status,
            "evidence": evidence,
        }
    )


def rubric(*aspects: Aspect, version: int = 0) -> Rubric:
    return Rubric(
        intent="i", contrast=ContrastModel(group="a", other="b"), version=version, aspects=aspects
    )


def waiting(
    found: Rubric, before: Mapping[str, Passing] | None, *, half_life: float | None = None
) -> set[str]:
    """Names of what waits."""
    passing = passing_since(found, before, now=NOW)
    return set(unripe(found, passing, max_q=0.05, now=NOW, half_life_days=half_life))


def since(name: str, turns: int, *, days: int = 0) -> dict[str, Passing]:
    return {print_of(aspect(name)): Passing(turns, NOW - days * DAY)}


def test_the_first_weighing_waits_for_nothing_and_neither_does_what_it_found() -> None:
    found = rubric(aspect("one"))
    assert waiting(found, None) == set()
    first = passing_since(found, None, now=NOW)
    assert waiting(found, first) == set()


def test_what_passes_later_waits_for_half_as_many_turns_again() -> None:
    assert waiting(rubric(aspect("one", turns=100)), {}) == {"one"}
    assert waiting(rubric(aspect("one", turns=149)), since("one", 100)) == {"one"}
    assert waiting(rubric(aspect("one", turns=150)), since("one", 100)) == set()


def test_what_is_clear_does_not_wait() -> None:
    assert waiting(rubric(aspect("one", q=0.005)), {}) == set()
    assert waiting(rubric(aspect("one", q=0.0051)), {}) == {"one"}


def test_turns_that_have_faded_are_no_evidence_to_outgrow() -> None:
    # 100 turns of a half-life ago weigh 50 by now: 75 are half as many again.
    before = since("one", 100, days=90)
    assert waiting(rubric(aspect("one", turns=75)), before, half_life=90.0) == set()
    assert waiting(rubric(aspect("one", turns=74)), before, half_life=90.0) == {"one"}
    assert waiting(rubric(aspect("one", turns=75)), before) == {"one"}


def test_who_fails_once_or_asks_for_something_else_begins_anew() -> None:
    before = since("one", 100)
    failed = passing_since(rubric(aspect("one", status="candidate")), before, now=NOW)
    assert failed == {}
    reworded = aspect("one", turns=150).model_copy(update={"guidance": {"a": "another thing"}})
    assert waiting(rubric(reworded), before) == {"one"}


def test_what_waits_says_so_and_what_is_live_stays_meanwhile() -> None:
    live = rubric(aspect("one", status="live"), version=2)
    reworded = aspect("one").model_copy(update={"guidance": {"a": "another thing"}})
    found, why = rubric(reworded, aspect("new")), {"one": "it is early", "new": "it is early"}
    settled = settle(found, live, publish="auto", held=(), unripe=why)
    assert {a.name: a.status for a in settled.aspects} == {"one": "approved", "new": "approved"}
    assert {a.reason for a in settled.aspects} == {f"{WAITS}it is early"}
    assert changes(live, settled) is None
    assert [a.guidance for a in only_live(settled, live).aspects] == [{"a": "do one"}]
    # Under review a person decides, and need not be told that the machine would wait.
    review = settle(rubric(aspect("new")), None, publish="review", held=(), unripe=why)
    assert review.aspects[0].reason is None


@pytest.mark.parametrize("publish", ["auto", "review"])
def test_where_too_few_were_heard_only_harm_changes_anything(
    publish: Literal["auto", "review"],
) -> None:
    live = rubric(aspect("gone", status="live"), aspect("bad", status="live"), version=2)
    settled = settle(
        rubric(aspect("new")),
        live,
        publish=publish,
        held=(),
        harmed={"bad": "less"},
        too_few="few",
    )
    assert {a.name: a.status for a in settled.aspects} == {
        "new": "approved",
        "gone": "live",
        "bad": "retired",
    }
    assert changes(live, settled) == "removed bad"


def test_how_many_people_are_new_at_least() -> None:
    then = Counter({1: 3, 4: 2})
    assert newly_heard(then, then) == 0
    # Somebody came; somebody who had one turn has five.
    assert newly_heard(then, Counter({1: 4, 4: 2})) == 1
    assert newly_heard(then, Counter({1: 2, 4: 2, 5: 1})) == 1
    # One with one turn now has four, one with four has six: told apart from nobody else.
    assert newly_heard(then, Counter({1: 2, 4: 2, 6: 1})) == 1
    # Everybody has one more; and whoever is forgotten is no news.
    assert newly_heard(then, Counter({2: 3, 5: 2})) == 5
    assert newly_heard(then, Counter({1: 1, 4: 2})) == 0


TASTES = {
    "novice": {"debugging": {"steps": 2.5, "warmth": 1.5}},
    "expert": {"debugging": {"steps": -2.5, "warmth": -1.5}},
}


def log(path: Path, people: range) -> Path:
    world = ChatWorld(
        tastes=TASTES, intents=("debugging",), people=40, conversations=4, explicit=1.0, seed=3
    )
    records = [r for r in world.log() if int(str(r["user"]).rsplit("-", 1)[-1]) in people]
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def versions(folder: Path, people: range, **settings: Any) -> list[tuple[int, int]]:
    """Version and number of items of each rubric, once more people were learned from."""
    groups = ("novice", "expert")
    with Workspace.open(folder, groups=groups, encoder=HashingEncoder(), **settings) as ws:
        if people:
            ws.ingest(log(folder.with_suffix(".jsonl"), people))
        ws.learn()
        return [(r.version, len(r.body["aspects"])) for r in ws.ledger.live_rubrics()]


def test_a_version_waits_until_enough_people_are_new(tmp_path: Path) -> None:
    first = tmp_path / "ws"
    ((version, items),) = versions(first, range(30), permutations=999, bootstrap=100)
    assert version == 1
    assert items > 0
    # No q-value is as small as that: whoever weighs again now takes everything out.
    alone = Path(shutil.copytree(first, tmp_path / "alone"))
    assert versions(alone, range(0), max_q=1e-6) == [(2, 0)]
    # A novice and an expert came, then two more: what has changed could be told to be theirs.
    assert versions(first, range(30, 31), max_q=1e-6) == [(1, items)]
    assert versions(first, range(31, 32), max_q=1e-6) == [(1, items)]
    assert versions(first, range(32, 33), max_q=1e-6) == [(2, 0)]


def test_what_is_kept_of_it_names_nobody_and_nothing(workspace: Workspace, tmp_path: Path) -> None:
    workspace.ingest(log(tmp_path / "a.jsonl", range(30)))
    learned = workspace.learn()
    live = [a for r in learned.rubrics for a in r.aspects if a.status == "live"]
    kept = workspace.ledger.stage_values(RIPENING_STAGE, RIPENING_VERSION)
    assert [json.loads(place) for place in kept] == [["debugging", "novice", "expert"]]
    (body,) = (json.loads(value) for value in kept.values())
    assert {print_of(a) for a in live} <= body["passing"].keys()
    assert sum(body["heard"].values()) == 60
    assert not [a.name for a in live if a.name in str(body)]
