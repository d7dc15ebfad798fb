"""Items whose served turns please less than the holdout's are found, and others are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpa_agent.learning.harm import served_effects
from tests.evaluation.simulated_serving import Serving, arms

PLACE = ("debugging", "novice", "expert")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Serving]:
    serving = Serving(path=tmp_path / "ledger.db", people=100, held_out=20)
    with serving.ledger:
        yield serving


def test_an_item_that_pleases_less_is_harmful_and_the_reason_gives_the_figures(
    app: Serving,
) -> None:
    app.publish("steps", "warmth")
    app.serve(400, arms(0.3, 0.7))
    found = served_effects(app.ledger).harmed
    assert found.keys() == {PLACE}
    assert found[PLACE].keys() == {"steps", "warmth"}
    figures = re.fullmatch(
        r"served turns please less than the holdout's: (\S+) \[(\S+), (\S+)\] over (\d+) turns of "
        r"(\d+) people",
        found[PLACE]["steps"],
    )
    assert figures is not None
    value, low, high = (float(figures[n]) for n in (1, 2, 3))
    assert low < value < high < 0
    assert int(figures[4]) <= 400
    assert int(figures[5]) <= 80


def test_what_pleased_before_the_tastes_turned_does_not_hide_it(app: Serving) -> None:
    app.publish("steps")
    app.serve(800, arms(0.9, 0.6))
    assert served_effects(app.ledger).harmed == {}
    app.serve(600, arms(0.3, 0.6))
    total = sum(r.judgment == 1 for r in app.ledger.outcomes() if r.arm == "tailored")
    served = sum(r.arm == "tailored" for r in app.ledger.outcomes())
    assert total / served > 0.6  # over its whole life it still pleases more
    assert "steps" in served_effects(app.ledger).harmed[PLACE]


@pytest.mark.parametrize("seed", range(5))
def test_an_item_that_does_no_harm_is_left_alone_at_every_look(tmp_path: Path, seed: int) -> None:
    app = Serving(path=tmp_path / "ledger.db", people=60, held_out=12, seed=seed)
    app.publish("steps")
    with app.ledger as ledger:
        for _ in range(20):
            app.serve(50, arms(0.6, 0.6))
            assert served_effects(ledger).harmed == {}


def test_one_groups_gain_does_not_pay_for_the_others_loss(app: Serving) -> None:
    app.publish("steps")
    app.serve(900, lambda out, group: 0.6 if out else {"novice": 0.95, "expert": 0.2}[group])
    (reason,) = served_effects(app.ledger).harmed[PLACE].values()
    assert reason.startswith("served turns of 'expert' please less than the holdout's: ")


def test_a_group_that_an_item_says_nothing_to_says_nothing_of_it(app: Serving) -> None:
    app.publish("steps", also={"warmth": {"novice": "Be warm."}})
    app.serve(900, lambda out, group: 0.9 if out or group == "novice" else 0.05)
    assert served_effects(app.ledger).harmed[PLACE].keys() == {"steps"}


def test_what_happened_before_an_item_came_is_not_its_doing(app: Serving) -> None:
    app.publish("steps")
    app.serve(400, arms(0.3, 0.7))
    second = app.publish("steps", "warmth")
    app.serve(20, arms(0.3, 0.7), rubric_version=second)
    assert served_effects(app.ledger).harmed[PLACE].keys() == {"steps"}


def test_new_guidance_begins_a_new_life(app: Serving) -> None:
    app.publish("steps")
    app.serve(400, arms(0.3, 0.7))
    app.publish("steps", novice="Avoid steps.", expert="Use steps.")
    assert served_effects(app.ledger).harmed == {}


def test_turns_of_other_intents_and_without_a_rubric_do_not_count(app: Serving) -> None:
    app.publish("steps")
    app.serve(400, arms(0.3, 0.7), intent="planning")
    app.serve(400, arms(0.3, 0.7), rubric_version=None)
    assert served_effects(app.ledger).harmed == {}


def test_without_a_holdout_nothing_is_called_harmful(tmp_path: Path) -> None:
    app = Serving(path=tmp_path / "ledger.db", held_out=0)
    app.publish("steps")
    app.serve(400, arms(0.1, 0.7))
    with app.ledger as ledger:
        assert served_effects(ledger).harmed == {}


def test_an_item_that_pleases_more_is_borne_out_by_the_holdout(app: Serving) -> None:
    app.publish("steps")
    app.serve(400, arms(0.8, 0.4))
    effects = served_effects(app.ledger)
    assert effects.harmed == {}
    assert effects.borne_out[PLACE]["steps"].startswith(
        "served turns please more than the holdout's: +0."
    )


def test_what_pleased_long_ago_bears_nothing_out(app: Serving) -> None:
    app.publish("steps")
    app.serve(800, arms(0.9, 0.4))
    app.serve(800, arms(0.6, 0.6))
    assert PLACE in served_effects(app.ledger).borne_out
    moments = sorted(row.at for row in app.ledger.outcomes())
    late = (moments[-1] - moments[900]).total_seconds() / 86400
    assert served_effects(app.ledger, half_life_days=late).borne_out == {}
