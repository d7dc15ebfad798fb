"""``gpa rubrics``, ``feedback``, ``forget`` and ``init`` on a workspace that has learned."""

import json
from pathlib import Path
from typing import Any

from gpa_agent.cli.render import bar
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.workspace import Workspace
from tests.cli.support import Invoke, Run, Taught


def _live(report: dict[str, Any], intent: str) -> list[str]:
    rubric = next(r for r in report["rubrics"] if r["intent"] == intent)
    return [a["name"] for a in rubric["aspects"] if a["status"] == "live"]


def test_the_bar_has_five_cells() -> None:
    assert [bar(n) for n in (1, 5)] == ["█░░░░ 1/5", "█████ 5/5"]


def test_list_and_show(invoke: Invoke, taught: Taught, workspace: Path) -> None:
    names = _live(taught.report, "debugging")
    listed = invoke("rubrics", "list", "-w", workspace)
    assert listed.exit_code == 0
    assert f"{', '.join(names)}" in listed.stdout
    shown = invoke("rubrics", "show", "debugging", "-w", workspace)
    assert all(name in shown.stdout for name in names)
    as_json = json.loads(invoke("rubrics", "show", "debugging", "-w", workspace, "--json").stdout)
    assert [r["intent"] for r in as_json["rubrics"]] == ["debugging"]


def test_the_workspace_comes_from_the_environment(invoke: Invoke, workspace: Path) -> None:
    done = invoke("rubrics", "list", "--json", env={"GPA_WORKSPACE": str(workspace)})
    assert len(json.loads(done.stdout)["rubrics"]) == 3


def test_show_names_what_there_is(invoke: Invoke, workspace: Path) -> None:
    done = invoke("rubrics", "show", "gardening", "-w", workspace)
    assert done.exit_code == 2
    assert "'debugging'" in done.stderr


def test_reject_diff_rollback_and_approve(invoke: Invoke, taught: Taught, workspace: Path) -> None:
    name, *others = _live(taught.report, "debugging")
    w = ("-w", workspace)
    done = invoke("rubrics", "reject", "debugging", name, *w, "--json")
    assert done.exit_code == 0, done.stderr
    changed = json.loads(invoke("rubrics", "diff", "debugging", *w, "--json").stdout)
    assert (changed["from"], changed["to"]) == (1, 2)
    assert [line.split(":")[0] for line in changed["removed"]] == [name]
    assert changed["added"] == changed["changed"] == []
    assert f"removed: {name}" in invoke("rubrics", "diff", "debugging", *w).stdout
    back = invoke("rubrics", "rollback", "debugging", "1", *w, "--json")
    assert back.exit_code == 0, back.stderr
    assert [a["name"] for a in json.loads(back.stdout)["rubrics"][0]["aspects"]] == [name, *others]
    same = invoke("rubrics", "diff", "debugging", "--from", "1", "--to", "3", *w)
    assert "nothing changed" in same.stdout
    assert invoke("rubrics", "approve", "debugging", name, *w).exit_code == 2


def test_diff_of_a_version_that_is_not_there(invoke: Invoke, workspace: Path) -> None:
    alone = invoke("rubrics", "diff", "debugging", "-w", workspace)
    assert alone.exit_code == 2
    assert "a comparison needs two" in alone.stderr
    missing = invoke("rubrics", "diff", "debugging", "--from", "1", "--to", "9", "-w", workspace)
    assert missing.exit_code == 2
    assert "no version 9" in missing.stderr


def test_export_and_import_carry_the_guidance(
    invoke: Invoke, taught: Taught, workspace: Path
) -> None:
    out = workspace.parent / "rubrics.json"
    assert invoke("rubrics", "export", "--out", out, "-w", workspace).exit_code == 0
    on_screen = json.loads(invoke("rubrics", "export", "-w", workspace).stdout)
    assert json.loads(out.read_text(encoding="utf-8")) == on_screen
    done = invoke("rubrics", "import", out, "-w", "elsewhere", "--json")
    assert done.exit_code == 0, done.stderr
    taken = json.loads(done.stdout)["rubrics"]
    assert [a["name"] for a in taken[0]["aspects"]] == [
        a["name"] for a in on_screen["rubrics"][0]["aspects"]
    ]
    assert all(a["evidence"] is None for r in taken for a in r["aspects"])
    assert "no evidence" in invoke("rubrics", "show", "debugging", "-w", "elsewhere").stdout


def test_feedback_counts_and_an_unknown_turn_does_not(invoke: Invoke, workspace: Path) -> None:
    record = next(ChatWorld(seed=1, people=80, conversations=4).log())
    done = invoke("feedback", record["id"], "0", "-1", "-w", workspace, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"conversation": record["id"], "turn": 0, "judgment": -1}
    missing = invoke("feedback", record["id"], "77", "up", "-w", workspace)
    assert missing.exit_code == 2
    other = invoke("feedback", record["id"], "0", "up", "--user", "somebody", "-w", workspace)
    assert other.exit_code == 2


def test_forgetting_asks_first_and_reaches_the_conversations(
    invoke: Invoke, run: Run, workspace: Path
) -> None:
    user = ChatWorld(seed=1).person("novice", 0).id
    assert run("forget", user, "-w", str(workspace)).returncode == 2
    with Workspace.open(workspace) as ws:
        before = ws.stats()["conversations"]
    done = invoke("forget", user, "--yes", "-w", workspace, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["deleted"]["conversations"] == 4
    with Workspace.open(workspace) as ws:
        assert ws.stats()["conversations"] == before - 4
    nobody = invoke("forget", "nobody", "--yes", "-w", workspace)
    assert nobody.exit_code == 0
    assert "nothing of 'nobody' was found" in nobody.stdout


def test_init_stores_groups_intents_and_publishing(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "intents.json").write_text('{"debugging": "Repairing code."}')
    done = invoke(
        *("init", "my.gpa", "--groups", "novice, expert", "--intents", "intents.json"),
        *("--publish", "review", "--json"),
    )
    assert done.exit_code == 0, done.stderr
    settings = json.loads(done.stdout)["settings"]
    assert settings["groups"] == ["novice", "expert"]
    assert settings["publish"] == "review"
    with Workspace.open(tmp_path / "my.gpa", create=False) as ws:
        assert ws.settings.groups == ("novice", "expert")
        assert ws.settings.intents["debugging"].description == "Repairing code."
    assert "next:" in invoke("init", "my.gpa").stdout
