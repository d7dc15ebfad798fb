"""Learning over HTTP from a provider that fails, and in a process that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Workspace
from gpa_agent.calls.limits import Limits
from gpa_agent.testing.faults import Faults
from gpa_agent.testing.provider_server import ProviderServer
from gpa_agent.testing.voiced_world import VoicedWorld
from gpa_agent.testing.world_logs import write_log

CONCURRENCY = 32
IN_FLIGHT = Limits(concurrency=CONCURRENCY).unstored


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 2,000 questions in all."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    write_log(VoicedWorld(seed=5, people=70), path)
    return path


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer(faults=Faults(latency=0.05)) as server:
        yield server


def start(provider: ProviderServer, ws: Path, log: Path, runner: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GPA_", "OPENAI_"))}
    env |= {"OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": "any", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.learning.run_learning", str(ws), str(log), runner]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err + out
    return dict(json.loads(out.splitlines()[-1]))


def kill_at(provider: ProviderServer, process: subprocess.Popen[str], requests: int) -> None:
    deadline = time.monotonic() + 120
    while provider.seen.requests < requests:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def rubrics(report: dict[str, Any]) -> str:
    return json.dumps(report["rubrics"], sort_keys=True)


@pytest.mark.slow
@pytest.mark.parametrize(("runner", "shares"), [("asyncio", (0.25, 0.5, 0.75)), ("daft", (0.5,))])
def test_a_killed_run_repeats_no_more_than_was_in_flight_and_ends_the_same(
    provider: ProviderServer, log: Path, tmp_path: Path, runner: str, shares: tuple[float, ...]
) -> None:
    whole = finish(start(provider, tmp_path / "whole", log, runner))
    asked = dict(provider.seen.attempts)
    total = provider.seen.requests
    assert total > 1800

    for share in shares:
        before = provider.seen.requests
        counted = dict(provider.seen.attempts)
        path = tmp_path / f"killed-{share}"
        kill_at(provider, start(provider, path, log, runner), before + int(share * total))
        report = finish(start(provider, path, log, runner))
        repeated = sum(
            max(0, provider.seen.attempts[question] - counted[question] - times)
            for question, times in asked.items()
        )
        assert repeated <= IN_FLIGHT
        assert provider.seen.attempts.keys() == asked.keys()
        assert rubrics(report) == rubrics(whole)


def test_every_fifth_attempt_failing_changes_the_counts_and_not_the_result(
    log: Path, tmp_path: Path
) -> None:
    with ProviderServer() as calm:
        smooth = finish(start(calm, tmp_path / "smooth", log, "asyncio"))
    faults = Faults(server_errors=0.07, rate_limited=0.07, malformed=0.06, retry_after=0.05)
    with ProviderServer(faults=faults) as troubled:
        rough = finish(start(troubled, tmp_path / "rough", log, "asyncio"))
        drawn = troubled.seen.faults
    model = rough["model"]
    assert model["failed"] == 0
    assert drawn["rate_limited"] == model["rate_limited"] > 50
    assert drawn["server_errors"] <= model["retried"]
    assert model["repaired"] > 50
    judged = smooth["stages"]["judge"]["done"]
    assert rough["stages"]["judge"]["done"] == judged
    # An answer is lost only where its repair was malformed too: 0.06 squared of them.
    assert model["malformed"] < 0.02 * judged


def test_a_provider_that_is_down_ends_in_exit_code_4_with_everything_kept(
    log: Path, tmp_path: Path
) -> None:
    with ProviderServer(faults=Faults(latency=0.01)) as server:
        process = start(server, tmp_path / "ws", log, "asyncio")
        while server.seen.requests < 300:
            time.sleep(0.005)
        server.faults = Faults(down=True)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 4
        assert "again" in json.loads(out)["error"]
        answered = server.seen.answered.total()
        with Workspace.open(tmp_path / "ws") as ws:
            assert answered - IN_FLIGHT <= ws.ledger.count_calls() <= answered
        server.faults = Faults()
        report = finish(start(server, tmp_path / "ws", log, "asyncio"))
        # Only what was in flight is asked again, beside questions that two turns share.
        left = len(server.seen.attempts) - answered
        assert report["model"]["calls"] <= left + 2 * IN_FLIGHT
