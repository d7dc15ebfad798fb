"""What was tested is remembered, and what changed is tested again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.kept_contrasts import CONTRAST_STAGE, CONTRAST_VERSION, KeptContrasts
from gpa_agent.learning.report import LearnReport
from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.contrast import ContrastConfig, ContrastResult, run_cell
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.observations import Observations
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.weighing import Test, Weighed, weigh
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.world_logs import lines
from gpa_agent.testing.worlds import GROUPS, PlantedWorld

PLANTED = PlantedWorld(traits=6, divergent=2, people=24, wrong_labels=0.0).sample(seed=1)
ROWS = replace(
    PLANTED.observations,
    intent=tuple("ab"[n % 2] for n in range(len(PLANTED.observations))),
)
CONFIG = ContrastConfig(permutations=199, bootstrap=20)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(str(tmp_path / "ledger.db"), people_key=b"k" * 32) as opened:
        yield opened


def weighed(rows: Observations, test: Test = run_cell, config: ContrastConfig = CONFIG) -> Weighed:
    return weigh(
        rows,
        PLANTED.traits,
        [Contrast(*GROUPS), Contrast(GROUPS[0])],
        contrast_config=config,
        gate_config=GateConfig(),
        test=test,
    )


def run_again(
    ledger: Ledger, rows: Observations, config: ContrastConfig = CONFIG
) -> tuple[Weighed, int]:
    kept = KeptContrasts(ledger)
    found = weighed(rows, kept.test, config)
    kept.keep()
    return found, kept.anew


def assert_same(one: Weighed, two: Weighed) -> None:
    """Bit for bit."""
    assert one.rubrics == two.rubrics
    for first, second in zip(one.results, two.results, strict=True):
        assert plain(first) == plain(second)


def plain(result: ContrastResult) -> dict[str, object]:
    values = {f.name: getattr(result, f.name) for f in fields(ContrastResult)}
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in values.items()}


def test_what_is_remembered_is_what_would_be_found(ledger: Ledger) -> None:
    assert run_again(ledger, ROWS)[1] == 4
    remembered, anew = run_again(ledger, ROWS)
    assert anew == 0
    assert_same(remembered, weighed(ROWS))


def test_only_what_changed_is_tested_again(ledger: Ledger) -> None:
    run_again(ledger, ROWS)
    of_a = np.array([i == "a" for i in ROWS.intent])
    changes = {
        "a judgment": replace(ROWS, sat=ROWS.sat ^ (np.arange(len(ROWS)) == 0)),
        "a weight": replace(ROWS, weight=np.where(np.arange(len(ROWS)) == 2, 0.5, 1.0)),
        "what was served": replace(ROWS, stratum=(np.arange(len(ROWS)) == 4).astype(np.int64)),
        "a row is gone": ROWS.select(np.arange(len(ROWS)) != 6),
        "people are numbered anew": replace(ROWS, person=ROWS.person + ~of_a * 1000),
    }
    expected = {**dict.fromkeys(changes, 2), "people are numbered anew": 0}
    found = {}
    for name, rows in changes.items():
        changed, found[name] = run_again(ledger, rows)
        assert_same(changed, weighed(rows))
        run_again(ledger, ROWS)
    assert found == expected


def test_another_question_is_another_test(ledger: Ledger) -> None:
    run_again(ledger, ROWS)
    assert run_again(ledger, ROWS, replace(CONFIG, seed=1))[1] == 4


def test_a_place_that_is_gone_is_forgotten(ledger: Ledger) -> None:
    run_again(ledger, ROWS)
    run_again(ledger, ROWS.select(np.array([i == "a" for i in ROWS.intent])))
    kept = ledger.stage_values(CONTRAST_STAGE, CONTRAST_VERSION)
    assert sorted(kept) == ['["a", "novice", "*"]', '["a", "novice", "expert"]']


def test_what_is_kept_names_no_preference_of_anybody(ledger: Ledger) -> None:
    found, _ = run_again(ledger, ROWS)
    linked = {i for r in found.results for sides in r.preferences for ids in sides for i in ids}
    assert linked
    stored = b"".join(ledger.stage_values(CONTRAST_STAGE, CONTRAST_VERSION).values())
    assert not [i for i in linked if f'"{i}"'.encode() in stored]


def test_ten_portions_end_where_one_does(tmp_path: Path) -> None:
    tastes = {
        "novice": {"debugging": {"steps": 2.0, "warmth": 1.5}},
        "expert": {"debugging": {"steps": -2.0, "warmth": -1.5}},
    }
    world = ChatWorld(
        seed=1, tastes=tastes, intents=("debugging",), people=40, conversations=2, explicit=1.0
    )
    log = list(lines(world))
    order = np.random.default_rng(0).permutation(len(log))
    portions = [[log[i] for i in part] for part in np.array_split(order, 10)]
    at_once = learned(tmp_path / "once", [log])
    assert any(a.status == "live" for r in at_once.rubrics for a in r.aspects)
    # Equal to the last bit; 0.05 of an effect is what anybody would notice.
    assert evidence(learned(tmp_path / "portions", portions)) == evidence(at_once)


def learned(path: Path, portions: list[list[str]]) -> LearnReport:
    """What is reported after the last portion."""
    groups = ["novice", "expert"]
    with Workspace.open(
        path, groups=groups, encoder=HashingEncoder(), permutations=499, bootstrap=100
    ) as ws:
        for number, portion in enumerate(portions):
            log = path.with_name(f"{path.name}-{number}.jsonl")
            log.write_text("".join(portion))
            ws.ingest(log)
            ws.learn()
        # Everything is there by now: this is about the last portion, once more.
        return ws.learn()


def evidence(report: LearnReport) -> dict[tuple[str, str], object]:
    return {
        # What is weighed again and again opens later than what is weighed once (decision 15).
        (r.intent, a.name): a.evidence
        for r in report.rubrics
        for a in r.aspects
        if a.status != "retired"
    }
