"""The loop closes: what users say about answers changes the answers they get, and pleases them.

`benchmarks/living_app.py` asks the same of ten apps of 3,000 turns, and flips the tastes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.living_app import Life, Plan, Served, Standing, live, outcome

PLAN = Plan(
    people=40,
    before=400,
    after=0,
    every=100,
    tastes={
        "novice": {"debugging": {"warmth": 1.6, "questions_back": -1.6}},
        "expert": {"debugging": {"warmth": -1.6, "questions_back": 1.6}},
    },
)


@pytest.mark.slow
def test_an_app_that_starts_empty_comes_to_please_those_it_tailors_for(tmp_path: Path) -> None:
    life = live(tmp_path / "app", PLAN, seed=0)
    first, last = life.standing[0], life.standing[-1]
    assert (first.turn, first.versions, first.right) == (100, 0, 0)
    assert last.right > 0
    assert last.wrong == 0
    # Answers to the held-out stay as they were; the others' are as their group wants them.
    tailored, held_out = (life.pleased(250, 400, tailored=t) for t in (True, False))
    assert tailored > held_out + 0.1
    assert any(turn.guided for turn in life.turns)
    assert not any(turn.guided for turn in life.turns if not turn.tailored)


def test_the_figures_are_read_as_they_say() -> None:
    plan = Plan(before=300, after=600, every=100)
    life = Life(
        turns=[Served(n % 5 > 0, n >= 200, 0.8 if n % 5 and n < 300 else 0.5) for n in range(900)],
        standing=[Standing(t, 1, int(t in (200, 300, 800, 900)), int(400 <= t <= 500))
                  for t in range(100, 1000, 100)],
    )  # fmt: skip
    found = outcome(life, plan)
    assert found.first == 200
    assert found.pleased == pytest.approx((0.8, 0.5))
    # Wrong at 500, not at 600: gone 300 turns after the flip at 300. Right again at 800.
    assert (found.gone, found.opposite) == (300, 500)
    assert found.again == pytest.approx((0.5, 0.5))
    assert found.lift == (0.0, -1.0, 1.0)
