"""``gpa audit``."""

import json
from pathlib import Path

import pytest

from gpa_agent import Workspace
from tests.cli.support import Invoke
from tests.evaluation.simulated_serving import Serving, arms


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A workspace whose served turns are simulated."""
    path = tmp_path / "served"
    Workspace.open(path, groups=["novice", "expert"]).close()
    app = Serving(path=path / "ledger.sqlite", people=100, held_out=20)
    with app.ledger:
        app.publish("steps", novice="Use steps.")
        app.serve(600, arms(0.8, 0.5))
    return path


def test_it_says_whether_it_is_better(served: Path, invoke: Invoke) -> None:
    done = invoke("audit", "-w", served)
    assert done.exit_code == 0, done.output
    assert "Is it better? Yes: +0." in done.stdout
    assert "Worst group: " in done.stdout
    assert "group novice" in done.stdout


def test_json_is_the_report_and_the_page_is_written_whole(
    served: Path, invoke: Invoke, tmp_path: Path
) -> None:
    page = tmp_path / "new" / "audit.html"
    done = invoke("audit", "-w", served, "--json", "--html", page)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["turns"] == 600
    low, high = told["overall"]["interval"]
    assert f"{told['overall']['lift']:+.2f} [{low:+.2f}, {high:+.2f}]" in page.read_text("utf-8")
    assert [p.name for p in page.parent.iterdir()] == ["audit.html"]


def test_an_empty_workspace_is_told_so(tmp_path: Path, invoke: Invoke) -> None:
    Workspace.open(tmp_path / "empty").close()
    done = invoke("audit", "-w", tmp_path / "empty")
    assert done.exit_code == 0
    assert done.stdout == "nothing to audit yet: no turn was served and nothing was learned\n"
    assert json.loads(invoke("audit", "-w", tmp_path / "empty", "--json").stdout)["turns"] == 0


@pytest.mark.parametrize(
    ("since", "turns"), [("2026-05-04T16:00:00", 122), ("2026-06-01", 0), ("1h", 0)]
)
def test_since_takes_a_date_or_a_span(served: Path, invoke: Invoke, since: str, turns: int) -> None:
    # A turn a minute, the first at 08:02: 478 by 15:59, so 122 from 16:00 on.
    told = json.loads(invoke("audit", "-w", served, "--since", since, "--json").stdout)
    assert told["turns"] == turns


@pytest.mark.parametrize("since", ["7 days", "d", "yesterday", "-3d"])
def test_a_since_that_is_neither_is_misuse(served: Path, invoke: Invoke, since: str) -> None:
    done = invoke("audit", "-w", served, f"--since={since}")
    assert done.exit_code == 2
    assert f"--since {since!r} is neither a span" in done.stderr


def test_no_workspace_is_misuse(invoke: Invoke) -> None:
    assert invoke("audit", "-w", "nowhere").exit_code == 2
