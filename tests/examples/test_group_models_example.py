"""The miniature of group models: from a log to two adapters that serve, in one program."""

import ast
import re
from pathlib import Path

import pytest

from tests.examples.test_examples import _run

GROUPS = ("novice", "expert")


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute and a half of two idle cores; far more where they are shared
def test_group_models_go_from_a_log_to_answers_that_fit(tmp_path: Path) -> None:
    here, pictures = tmp_path / "here", tmp_path / "pictures"
    here.mkdir()
    out = _run("group_models.py", "--pictures", str(pictures), cwd=here, seconds=840)
    for intent in ("howto", "debug"):
        assert re.search(rf"^{intent} \[.*'analogies'", out, re.MULTILINE)
    for group in GROUPS:
        assert f"{group} served" in out
        assert f"asked as {group}: finetuned: To sort a list, begin with the list." in out
    found = re.search(r"^wins: (\{.*\})$", out, re.MULTILINE)
    assert found
    wins = ast.literal_eval(found.group(1))
    for group, other in (GROUPS, GROUPS[::-1]):
        assert wins[group][group] >= 0.7
        assert wins[group][other] <= 0.15
    for name in ("wins", "curve-novice", "curve-expert"):
        assert (pictures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
