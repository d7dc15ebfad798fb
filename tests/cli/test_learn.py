"""``gpa learn``: what it prints, for people and for machines."""

import json
import re
from pathlib import Path

from gpa_agent.learning.report import LearnReport
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.world_logs import lines, write_log
from gpa_agent.workspace import Workspace
from tests.cli.support import Invoke, Run, Taught


def test_json_is_the_report_of_the_design(taught: Taught) -> None:
    report = taught.report
    assert set(report) >= {
        "rubrics",
        "tested",
        "candidates",
        "rejected",
        "stages",
        "calls",
        "seconds",
    }
    assert LearnReport.model_validate(report).model_dump(mode="json") == report
    assert report["calls"] == 0
    assert set(report["stages"]["ingest"]) == {"done", "skipped", "seconds"}
    # 2 groups x 80 people x 4 conversations.
    assert report["stages"]["ingest"]["done"] == 640
    rubrics = {r["intent"]: r for r in report["rubrics"]}
    assert set(rubrics) == {"debugging", "explanation", "planning"}
    assert rubrics["debugging"]["contrast"] in (
        {"group": "novice", "other": "expert"},
        {"group": "expert", "other": "novice"},
    )
    live = [a for r in report["rubrics"] for a in r["aspects"] if a["status"] == "live"]
    assert live
    for aspect in live:
        assert set(aspect) >= {"name", "rating", "interpretation", "status", "guidance", "evidence"}
        evidence = aspect["evidence"]
        assert set(evidence) >= {"effect", "interval", "p_value", "q_value", "people", "turns"}
        low, high = evidence["interval"]
        assert low <= high
        assert evidence["q_value"] <= 0.05
        assert set(evidence["people"]) == set(evidence["turns"]) == {"novice", "expert"}
        assert set(aspect["guidance"]) <= {"novice", "expert"}


def test_what_is_found_was_planted(taught: Taught) -> None:
    """Signs agree with the planted log-odds; planning, where nothing is planted, stays silent."""
    world = ChatWorld(seed=1, people=80, conversations=4)
    for rubric in taught.report["rubrics"]:
        contrast = rubric["contrast"]
        truth = world.planted(rubric["intent"], contrast["group"], contrast["other"])
        live = {a["name"]: a for a in rubric["aspects"] if a["status"] == "live"}
        if not truth:
            assert live == {}
        for name in truth.keys() & live.keys():
            assert live[name]["evidence"]["effect"] * truth[name] > 0


def test_people_read_a_table_and_a_plain_no(invoke: Invoke, workspace: Path) -> None:
    done = invoke("learn", "-w", workspace)
    assert done.exit_code == 0, done.stderr
    assert re.search(r"[█]+[░]* [1-5]/5", done.stdout)
    assert re.search(r"[+-]\d\.\d\d \[[+-]\d\.\d\d, [+-]\d\.\d\d\]", done.stdout)
    assert re.search(r"^planning: .*no provable difference", done.stdout, re.MULTILINE)
    assert "hypotheses tested" in done.stdout
    assert "novice → " in done.stdout


def test_learning_again_from_the_ledger_changes_nothing(
    invoke: Invoke, taught: Taught, workspace: Path
) -> None:
    again = json.loads(invoke("learn", "-w", workspace, "--json").stdout)
    assert again["rubrics"] == taught.report["rubrics"]
    once_more = json.loads(invoke("learn", taught.log, "-w", workspace, "--json").stdout)
    assert once_more["rubrics"] == taught.report["rubrics"]
    assert once_more["stages"]["ingest"]["done"] == 0


def test_null_prints_real_against_shuffled(invoke: Invoke, workspace: Path) -> None:
    done = invoke("learn", "-w", workspace, "--null", "3", "--json")
    report = json.loads(done.stdout)
    assert len(report["null"]) == 3
    assert all(isinstance(n, int) and n >= 0 for n in report["null"])
    said = invoke("learn", "-w", workspace, "--null", "2").stdout
    assert re.search(r"groups as they are: \d+; with people shuffled .*: \d+, \d+ ", said)


def test_review_waits_for_approval(invoke: Invoke, taught: Taught, tmp_path: Path) -> None:
    args = ("-w", "new", "--groups", "novice,expert")
    done = invoke("learn", taught.log, *args, "--publish", "review", "--json")
    statuses = {a["status"] for r in json.loads(done.stdout)["rubrics"] for a in r["aspects"]}
    assert "live" not in statuses
    assert "approved" in statuses
    listed = invoke("rubrics", "list", "-w", "new").stdout
    assert "nothing live" in listed
    approved = invoke("rubrics", "approve", "debugging", "-w", "new", "--json")
    assert approved.exit_code == 0, approved.stderr
    assert {a["status"] for r in json.loads(approved.stdout)["rubrics"] for a in r["aspects"]} == {
        "live"
    }


def test_standard_input_taxonomy_and_progress(run: Run, tmp_path: Path) -> None:
    (tmp_path / "intents.toml").write_text(
        'debugging = "Repairing code."\n[explanation]\ndescription = "How things work."\n'
    )
    log = "".join(lines(ChatWorld(people=2, conversations=3)))
    done = run("learn", "-", "--intents", "intents.toml", "--json", input=log)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    with Workspace.open(tmp_path / "gpa-workspace", create=False) as ws:
        assert ws.stats()["conversations"] == 12
        assert ws.settings.intents["explanation"].description == "How things work."


def test_too_little_data_is_said_and_not_an_error(invoke: Invoke, tmp_path: Path) -> None:
    write_log(ChatWorld(people=2, conversations=3), tmp_path / "few.jsonl")
    done = invoke("learn", "few.jsonl", "--groups", "novice,expert")
    assert done.exit_code == 0, done.stderr
    assert "not tested" in done.stdout


def test_nothing_is_written_outside_the_workspace(run: Run, tmp_path: Path) -> None:
    write_log(ChatWorld(people=6, conversations=3), tmp_path / "log.jsonl")
    done = run("learn", "log.jsonl", "--workspace", "here/ws", "--quiet")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"log.jsonl", "here"}
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["ws"]


def test_terminal_codes_in_a_log_are_not_printed(invoke: Invoke, tmp_path: Path) -> None:
    world = ChatWorld(people=8, conversations=6, tastes={"a": {}, "b": {}}, intents=("debugging",))
    text = "".join(lines(world)).replace('"intent":"debugging"', '"intent":"\\u001b[31mred"')
    (tmp_path / "log.jsonl").write_text(text)
    done = invoke("learn", "log.jsonl")
    assert done.exit_code in {0, 3}
    assert "\x1b" not in done.stdout + done.stderr


def test_a_group_that_no_record_names_changes_nothing(
    invoke: Invoke, taught: Taught, workspace: Path
) -> None:
    settings = (workspace / "settings.json").read_bytes()
    done = invoke("learn", "--workspace", str(workspace), "--groups", "novise,expert")
    assert done.exit_code == 2
    assert "'novise'" in done.stderr
    assert "'novice'" in done.stderr
    assert (workspace / "settings.json").read_bytes() == settings
