"""Each kind of trouble has its exit code, one line on stderr, and leaves no mess."""

import gzip
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpa_agent
from gpa_agent.testing.chat_world import ChatWorld
from gpa_agent.testing.world_logs import lines
from gpa_agent.workspace import Workspace
from tests.cli.support import Invoke, Run, Taught


def test_version(invoke: Invoke) -> None:
    done = invoke("--version")
    assert (done.exit_code, done.stdout.strip()) == (0, gpa_agent.__version__)


@pytest.mark.parametrize(
    "command",
    ["init", "learn", "worker", "chat", "feedback", "forget", "demo", "doctor", "rubrics history"]
    + [
        f"rubrics {c}"
        for c in ["list", "show", "diff", "approve", "reject", "rollback", "export", "import"]
    ],
)
def test_every_command_has_help_with_an_example(invoke: Invoke, command: str) -> None:
    done = invoke(*command.split(), "--help", env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert f"Example: gpa {command}" in done.stdout
    assert "--json" in done.stdout
    assert "--workspace" in done.stdout


def test_the_example_commands_parse(invoke: Invoke) -> None:
    """An example that is itself misuse would be worse than none: exit 2 must come from the data."""
    done = invoke("rubrics", "list", "--json")
    assert done.exit_code == 2
    assert "No such option" not in done.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("fly", "No such command"),
        ("learn --fly", "No such option"),
        ("learn missing.jsonl", "'missing.jsonl' is not a file"),
        ("learn log.jsonl --publish never", "'never'"),
        ("learn log.jsonl --groups a,,b", "not a list of names"),
        ("learn log.jsonl --max-bad 2", "max-bad"),
        ("learn log.jsonl --intents intents.yaml", ".json or .toml"),
        ("learn log.jsonl --intents nowhere.json", "'nowhere.json'"),
        ("learn log.jsonl --format klingon", "klingon"),
        ("learn", "no workspace at gpa-workspace"),
        ("rubrics list", "no workspace at gpa-workspace"),
        ("rubrics history debugging", "no workspace at gpa-workspace"),
        ("worker --once", "no workspace at gpa-workspace"),
        ("rubrics show debugging", "no workspace at gpa-workspace"),
        ("rubrics import nowhere.json", "'nowhere.json'"),
        ("feedback c1 0 wonderful", "'wonderful' is not a judgment"),
        ("feedback c1 zero up", "TURN"),
        ("forget somebody --yes", "no workspace"),
        ("chat hello", "no workspace"),
    ],
)
def test_misuse_exits_2(invoke: Invoke, tmp_path: Path, command: str, words: str) -> None:
    (tmp_path / "log.jsonl").write_text("".join(lines(ChatWorld(people=1, conversations=1))))
    (tmp_path / "intents.yaml").write_text("debugging: x")
    before = {p.name for p in tmp_path.iterdir()}
    done = invoke(*command.split(), env={"COLUMNS": "200"})
    assert done.exit_code == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert {p.name for p in tmp_path.iterdir()} == before


def _record(**changes: Any) -> str:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    return json.dumps({"id": "c1", "messages": messages} | changes) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.jsonl", b"", "empty.jsonl"),
        ("cut.jsonl", (_record() + _record(id="c2")[:30]).encode(), "cut.jsonl"),
        ("latin.jsonl", _record().replace("Hi", "Grü").encode("latin-1"), "latin.jsonl"),
        ("short.jsonl.gz", gzip.compress(_record().encode() * 50, mtime=0)[:-12], "short.jsonl.gz"),
        ("role.jsonl", _record(messages=[{"role": "wizard", "content": "x"}]).encode(), "wizard"),
        ("prose.jsonl", b"Dear diary, today\n", "prose.jsonl"),
    ],
)
def test_bad_data_exits_3_and_stores_nothing(
    invoke: Invoke, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = invoke("learn", name, "--quiet")
    assert done.exit_code == 3, done.stderr
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "gpa-workspace").exists()

    with Workspace.open(tmp_path / "gpa-workspace", groups=["a", "b"]):
        settings = (tmp_path / "gpa-workspace" / "settings.json").read_bytes()
    assert invoke("learn", name, "--quiet", "--groups", "c,d").exit_code == 3
    assert (tmp_path / "gpa-workspace" / "settings.json").read_bytes() == settings
    with Workspace.open(tmp_path / "gpa-workspace", create=False) as ws:
        assert ws.stats()["conversations"] == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "holds no intents"),
        ("{}", "holds no intents"),
        ('{"debugging": 3}', "debugging"),
        ('{"debugging": {"descripton": "x"}}', "descripton"),
    ],
)
def test_a_bad_taxonomy_exits_3(invoke: Invoke, tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "intents.json").write_text(content)
    done = invoke("init", "--intents", "intents.json")
    assert done.exit_code == 3, done.stderr
    assert "'intents.json'" in done.stderr
    assert words in done.stderr
    assert not (tmp_path / "gpa-workspace").exists()


@pytest.mark.parametrize("content", ["{", '{"rubrics": [{"intent": "x"}]}', "[1]", '{"a": 1}'])
def test_bad_rubrics_exit_3(invoke: Invoke, tmp_path: Path, content: str) -> None:
    (tmp_path / "rubrics.json").write_text(content)
    done = invoke("rubrics", "import", "rubrics.json")
    assert done.exit_code == 3, done.stderr
    assert "'rubrics.json'" in done.stderr
    assert not (tmp_path / "gpa-workspace").exists()


def test_a_workspace_from_a_newer_version_exits_3(invoke: Invoke, workspace: Path) -> None:
    settings = workspace / "settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"format": 99}))
    done = invoke("rubrics", "list", "-w", workspace)
    assert done.exit_code == 3
    assert "newer" in done.stderr


def test_a_folder_that_is_no_workspace_exits_3(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    done = invoke("init", "photos")
    assert done.exit_code == 3
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_store_that_cannot_be_made_exits_4(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = invoke("init", "file/workspace")
    assert done.exit_code == 4, done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_cannot_be_reached_exits_4(run: Run, workspace: Path) -> None:
    done = run(
        *("chat", "Why a KeyError?", "--group", "novice", "-w", str(workspace)),
        # Port 9 is "discard": nothing listens there.
        OPENAI_API_KEY="none",
        OPENAI_BASE_URL="http://127.0.0.1:9/v1",
    )
    assert done.returncode == 4, done.stderr
    assert "the model failed" in done.stderr
    assert "Traceback" not in done.stderr


def _fail_with(error: BaseException) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_a_bug_exits_1_with_a_traceback_only_where_asked(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "open", _fail_with(RuntimeError("boom")))
    done = invoke("rubrics", "list")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: this is our bug: RuntimeError: boom")
    assert "Traceback" not in done.stderr
    assert "Traceback" in invoke("rubrics", "list", env={"GPA_DEBUG": "1"}).stderr


def test_an_interrupt_exits_130(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "open", _fail_with(KeyboardInterrupt()))
    done = invoke("rubrics", "list")
    assert done.exit_code == 130
    assert "run it again" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of a POSIX shell")
def test_a_reader_that_goes_away_is_no_error(taught: Taught) -> None:
    gpa = shlex.join([sys.executable, "-m", "gpa_agent.cli"])
    for command in ("rubrics export", "rubrics show debugging"):
        line = f"{gpa} {command} -w {shlex.quote(str(taught.path))} | true; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.strip() == "0"
        assert done.stderr == ""


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, gpa_agent.cli.app\n"
        "heavy = {'torch', 'chromadb', 'sklearn', 'langgraph', 'langchain_core', 'sqlalchemy',"
        " 'numpy', 'rich.progress'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
