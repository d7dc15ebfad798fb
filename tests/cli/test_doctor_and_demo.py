"""``gpa doctor`` says what is and what to do; ``gpa demo`` runs the whole loop."""

import json
import shutil
import time
from pathlib import Path

import pytest

from gpa_agent.alignment.manifest import write_manifest
from gpa_agent.cli.demo import QUESTION
from tests.alignment.manifests import manifest
from tests.cli.support import Invoke, Run


def test_doctor_without_a_workspace(run: Run, tmp_path: Path) -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    checks = {c["name"]: c for c in report["checks"]}
    assert report["ok"] is True
    assert checks["Python"]["ok"]
    assert checks["langgraph"]["detail"].startswith("1.")
    assert checks["embedding"]["detail"]
    assert not checks["workspace"]["ok"]
    assert "gpa learn" in checks["workspace"]["remedy"]
    assert all(c["remedy"] for c in report["checks"] if not c["ok"])
    # Looking must not make anything.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", ["-w", "GPA_WORKSPACE"])
def test_doctor_on_a_workspace_that_is_not_there(
    invoke: Invoke, workspace: Path, named: str
) -> None:
    mistyped = workspace.with_name("w")
    if named == "-w":
        done = invoke("doctor", "-w", mistyped)
    else:
        done = invoke("doctor", env={named: str(mistyped)})
    assert done.exit_code == 2
    told = " ".join(done.stdout.split())  # long paths wrap
    assert "none at" in told
    assert "check the path, or make one with" in told
    assert not mistyped.exists()


def test_doctor_on_a_workspace(invoke: Invoke, workspace: Path) -> None:
    before = sorted(p.name for p in workspace.iterdir())
    done = invoke("doctor", "-w", workspace)
    assert done.exit_code == 0, done.stdout
    told = " ".join(done.stdout.split())  # long paths wrap
    for words in ("ledger: ", "Chroma: opens and answers", "people key: ", "mode 0600"):
        assert words in told
    assert "everything needed is there" in done.stdout
    assert sorted(p.name for p in workspace.iterdir()) == before


def test_doctor_tells_which_model_answers_for_a_group(
    invoke: Invoke, workspace: Path, tmp_path: Path
) -> None:
    groups = workspace / "models" / "groups"
    try:
        for group, passed, stale in (("novice", True, False), ("expert", True, True)):
            folder = groups / group / "0001"
            folder.mkdir(parents=True)
            write_manifest(folder, manifest(group=group, passed=passed))
            if stale:
                (folder / "stale.json").write_text("{}")
        done = invoke("doctor", "-w", workspace, "--json")
    finally:
        shutil.rmtree(groups)
    assert done.exit_code == 0
    checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert checks["group model 'novice'"]["ok"]
    assert checks["group model 'novice'"]["detail"].startswith("0001, dpo on 40 pairs over ")
    assert "stale" in checks["group model 'expert'"]["detail"]
    assert not checks["group model 'expert'"]["ok"]


def test_doctor_never_prints_the_key(invoke: Invoke) -> None:
    done = invoke("doctor", env={"OPENAI_API_KEY": "sk-very-secret"})
    assert "OPENAI_API_KEY: set" in done.stdout
    assert "sk-very-secret" not in done.stdout


def test_doctor_on_what_is_broken(invoke: Invoke, workspace: Path) -> None:
    (workspace / "people.key").chmod(0o644)
    loose = invoke("doctor", "-w", workspace)
    assert loose.exit_code == 3
    assert "chmod 600" in loose.stdout
    (workspace / "people.key").chmod(0o600)
    (workspace / "settings.json").write_text("{")
    broken = invoke("doctor", "-w", workspace)
    assert broken.exit_code == 3
    assert "settings.json" in broken.stdout
    assert "Traceback" not in broken.stdout + broken.stderr


@pytest.mark.slow
def test_demo_closes_the_loop(run: Run, tmp_path: Path) -> None:
    started = time.monotonic()
    done = run("demo", "--json", "--workspace", "kept")
    assert done.returncode == 0, done.stderr
    # The promise is a minute on two idle cores; a busy test machine is given twice that.
    assert time.monotonic() - started < 120
    result = json.loads(done.stdout)
    assert result["simulated_log"] is result["simulated_answers"] is True
    first = {r["intent"]: r for r in result["first"]["rubrics"]}
    live = {i: [a for a in r["aspects"] if a["status"] == "live"] for i, r in first.items()}
    assert live["debugging"]
    assert live["planning"] == []
    answers = result["answers"]
    assert answers["novice"]["assistant"] != answers["expert"]["assistant"]
    for group in ("novice", "expert"):
        trace = answers[group]["trace"]
        assert (trace["intent"], trace["group"], trace["mode"]) == ("debugging", group, "context")
        assert "<reader_preferences>" in answers[group]["system"]
        assert group not in answers[group]["system"]
        tally = result["reactions"][group]
        # 30 people, two answers each; some are held out, some of unknown intent.
        assert tally["turns"] == 60
        assert tally["tailored"] >= 20
    stats = result["stats"]
    assert stats["after"]["turns"] >= stats["before"]["turns"] + 120
    assert stats["after"]["judgments"] > stats["before"]["judgments"]
    assert result["changes"]
    # Nothing but the workspace was made.
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    again = run("demo", "--workspace", "kept")
    assert again.returncode == 2


@pytest.mark.slow
def test_demo_for_people(run: Run, tmp_path: Path) -> None:
    done = run("demo")
    assert done.returncode == 0, done.stderr
    for words in (
        "simulated: no person stands behind it",
        "no provable difference",
        f"question: {QUESTION}",
        "asked as novice",
        "asked as expert",
        "<reader_preferences>",
        "rubric version 1",
        "counts: ",
    ):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []
