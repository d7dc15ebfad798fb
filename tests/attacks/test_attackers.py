"""A1 and A2: one loud person, and people who collude, against groups that want the same.

The continuous tests run a part of what ``benchmarks/attacks.py`` runs in full.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gpa_agent.testing.attackers import Attack
from tests.attacks.attack_logs import honest, loud, open_workspace, write


@pytest.mark.parametrize("people", [5, 20, 100])
def test_one_person_never_gets_their_taste_served(people: int) -> None:
    for seed in range(4):
        attack = Attack(people=people, turns=5 * seed + 1, extreme=bool(seed % 2), target="length")
        assert attack.target not in attack.outcome(seed=seed).served


@pytest.mark.parametrize("people", [20, 50, 100])
def test_just_under_a_fifth_who_collude_serve_nothing_where_that_is_asked_for(people: int) -> None:
    for seed in range(4):
        attack = Attack(
            people=people, colluders=-(-people // 5) - 1, turns=50, extreme=bool(seed % 2)
        )
        # Not the trait they push, and none that goes with it.
        assert attack.outcome(seed=seed, colluders=0.2).served == ()


def test_two_fifths_who_collude_raise_the_alarm() -> None:
    succeeded = 0
    for seed in range(4):
        attack = Attack(people=100, colluders=40, turns=50)
        pushed = attack.outcome(seed=seed).served
        watched = attack.outcome(seed=seed, colluders=0.4)
        succeeded += bool(pushed)
        assert watched.served == ()
        assert set(pushed) <= set(watched.quarantined)
    assert succeeded


@pytest.mark.parametrize("conversations", [1, 50])
def test_one_loud_person_changes_nothing_through_the_whole_pipeline(
    tmp_path: Path, conversations: int
) -> None:
    # Groups that want the same may differ by chance: what is served is what is served without them.
    served: list[set[str]] = []
    for name, attack in (("without", []), ("with", loud("mallory", conversations))):
        with open_workspace(tmp_path / name) as ws:
            ws.ingest(write(tmp_path / f"{name}.jsonl", honest(20, seed=1) + attack))
            report = ws.learn()
        served.append({a.name for r in report.rubrics for a in r.aspects if a.status == "live"})
    assert served[1] <= served[0]
    assert not served[1] & {"length", "sentence_length", "paragraphs"}
