"""The commands of docs/backup.md, run as they stand while turns are being recorded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.postgres.server import Server

KEY = b"k" * 32
PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text(encoding="utf-8")
SQLITE, SQLITE_RESTORE, POSTGRES, POSTGRES_RESTORE = re.findall(
    r"```bash\n(.*?)```", PAGE, flags=re.DOTALL
)
WRITER = """
import sys
from itertools import count
from gpa_agent.ledger import Ledger
with Ledger.open(sys.argv[1], people_key=b"k" * 32) as ledger:
    for n in count():
        ledger.record_turn(conversation=f"c{n % 50}", key=str(n), user="u" * 2000, assistant="a")
        print(n, flush=True)
"""
RUBRIC = {
    "intent": "debugging",
    "contrast": {"group": "novice", "other": "*"},
    "version": 1,
    "aspects": [
        {
            "name": "steps",
            "rating": 4,
            "interpretation": "Novices want steps.",
            "guidance": {"novice": "Give numbered steps."},
            "status": "live",
        }
    ],
}


@contextmanager
def writing(where: str, *, turns: int) -> Generator[None]:
    """Another process that records turns; the block starts when so many are acknowledged."""
    command = [sys.executable, "-c", WRITER, where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(turns):
            assert process.stdout.readline()
        yield
        assert process.poll() is None, "nothing was being written"
        process.kill()


def run(commands: str, folder: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_holds(ledger: Ledger, *, turns: int) -> None:
    """All turns acknowledged before are there, each conversation without a gap."""
    with ledger._read() as connection:
        rows = connection.exec_driver_sql("SELECT conversation_id, idx, key FROM turns").all()
    assert {str(n) for n in range(turns)} <= {key for _, _, key in rows}
    places: dict[Any, set[Any]] = {}
    for conversation, idx, _ in rows:
        places.setdefault(conversation, set()).add(idx)
    assert all(found == set(range(len(found))) for found in places.values())


def test_a_workspace_is_backed_up_and_restored_while_turns_are_recorded(tmp_path: Path) -> None:
    with Workspace.open(
        tmp_path / "my.gpa", groups=["novice", "expert"], encoder=HashingEncoder()
    ) as ws:
        ws.ledger.publish(RUBRIC, reason="seed")
        found = ws.search_rubrics("steps to follow")
    assert found
    with writing(str(tmp_path / "my.gpa" / "ledger.sqlite"), turns=300):
        assert run(SQLITE, tmp_path).split() == ["ok"]
    assert (tmp_path / "backup" / "people.key").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "backup" / "chroma").exists()
    told = run(SQLITE_RESTORE, tmp_path)
    assert "everything needed is there" in told
    with Workspace.open(tmp_path / "restored.gpa", encoder=HashingEncoder()) as ws:
        assert_holds(ws.ledger, turns=300)
        with ws.ledger._read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert [aspect.name for _, aspect, *_ in ws.search_rubrics("steps to follow")] == ["steps"]


def test_a_database_is_backed_up_and_restored_while_turns_are_recorded(
    tmp_path: Path, postgres: Server, postgres_url: str
) -> None:
    restored = postgres.new_database(empty=True)
    programs = f"{Path(postgres.binary('pg_dump')).parent}{os.pathsep}{os.environ['PATH']}"
    with writing(postgres_url, turns=300):
        run(POSTGRES, tmp_path, GPA_LEDGER=plain(postgres_url), PATH=programs)
    run(
        POSTGRES_RESTORE, tmp_path, GPA_LEDGER_RESTORED=plain(postgres.url(restored)), PATH=programs
    )
    with Ledger.open(postgres.url(restored), people_key=KEY) as ledger:
        assert_holds(ledger, turns=300)
        assert ledger.record_turn(conversation="new", key="k", user="u", assistant="a") == 0
    postgres.drop_database(restored)


def plain(url: str) -> str:
    """A URL as PostgreSQL's own programs take it."""
    return url.replace("+psycopg", "")
