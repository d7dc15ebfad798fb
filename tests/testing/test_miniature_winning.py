"""Win shares over held-out prompts, on answers that are written and not generated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpa_agent.testing.miniature.domain import GROUPS, prompts, write_reply
from gpa_agent.testing.miniature.preferences import style
from gpa_agent.testing.miniature.winning import (
    BASE,
    beats,
    coherence,
    draw,
    win_matrix,
)


def _bare() -> list[str]:
    return [write_reply(prompt, ()) for prompt in prompts("holdout") for _ in range(3)]


def _styled(group: str) -> list[str]:
    return [write_reply(p, style(group)) for p in prompts("holdout") for _ in range(3)]


def test_each_style_wins_for_its_own_group_and_loses_for_the_other() -> None:
    matrix = win_matrix({BASE: _bare(), "novice": _styled("novice"), "expert": _styled("expert")})
    # Bare answers fulfil what is not wanted alone: more than 0 and less than 1.
    assert matrix == {
        "novice": {"novice": (1, 0, 0), "expert": (0, 0, 1)},
        "expert": {"novice": (0, 0, 1), "expert": (1, 0, 0)},
    }


def test_an_answer_that_makes_no_sense_loses_whatever_its_style() -> None:
    # Every third answer breaks off, which leaves its features as they are: 1/3 is lost.
    broken = [text[:-1] if n % 3 == 0 else text for n, text in enumerate(_styled("novice"))]
    assert beats(broken, _bare(), "novice") == pytest.approx((2 / 3, 0, 1 / 3))
    assert coherence(broken) == pytest.approx(2 / 3)
    # Two broken ones are a tie.
    assert beats(broken, broken, "novice") == (0, 1, 0)


def test_pictures_are_drawn_where_matplotlib_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = win_matrix({BASE: _bare(), **{group: _styled(group) for group in GROUPS}})
    runs = {group: tmp_path / group for group in GROUPS}
    runs["novice"].mkdir()
    (runs["novice"] / "curve.png").write_bytes(b"a curve")
    made = draw(matrix, runs, tmp_path / "pictures")
    assert [path.name for path in made] == ["wins.png", "curve-novice.png"]
    assert made[0].read_bytes().startswith(b"\x89PNG")
    assert made[1].read_bytes() == b"a curve"
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw(matrix, runs, tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
