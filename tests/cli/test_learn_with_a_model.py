"""``gpa learn`` with a chat model: a real client, a simulated provider on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpa_agent.embedding import HashingEncoder
from gpa_agent.testing.faults import Faults
from gpa_agent.testing.provider_server import ProviderServer
from gpa_agent.testing.voiced_world import VoicedWorld
from gpa_agent.testing.world_logs import write_log
from tests.cli.support import Invoke

WITH = ("--workspace", "ws", "--groups", "novice,expert", "--model", "openai:simulated", "--quiet")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    write_log(VoicedWorld(seed=4, people=20), path)
    return path


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small encoder: what is tested here does not hang on sentence embeddings."""
    monkeypatch.setattr("gpa_agent.embedding.find_encoder", lambda **_: HashingEncoder())


@pytest.fixture
def provider(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        monkeypatch.setenv("GPA_PERMUTATIONS", "999")
        yield server


def test_it_says_what_it_asked(invoke: Invoke, provider: ProviderServer, log: Path) -> None:
    done = invoke("learn", log, *WITH, "--json", "--null", "1")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["engine"] == "model openai:simulated"
    assert report["calls"] == report["model"]["calls"] > 100
    assert report["null"] == [0]
    assert provider.seen.requests >= report["calls"]
    shown = invoke("learn", "--workspace", "ws", "--quiet")
    assert "openai:simulated: 0 calls, " in shown.stdout


def test_the_model_is_kept_and_can_be_left(
    invoke: Invoke, provider: ProviderServer, log: Path
) -> None:
    assert invoke("learn", log, *WITH, "--dry-run").exit_code == 0
    settings = json.loads(Path("ws/settings.json").read_text())
    assert settings["model"] == "openai:simulated"
    back = invoke("learn", "--workspace", "ws", "--model", "embedded", "--json", "--quiet")
    assert json.loads(back.stdout)["engine"] == "embedded"
    assert provider.seen.requests == 0


def test_a_dry_run_calls_nobody_and_is_near_the_truth(
    invoke: Invoke, provider: ProviderServer, log: Path
) -> None:
    expected = json.loads(invoke("learn", log, *WITH, "--dry-run", "--json").stdout)
    assert provider.seen.requests == 0
    report = json.loads(invoke("learn", "--workspace", "ws", "--json", "--quiet").stdout)
    assert report["calls"] == pytest.approx(expected["calls"], rel=0.15)


def test_a_limit_ends_in_exit_code_4_and_the_next_run_goes_on(
    invoke: Invoke, provider: ProviderServer, log: Path
) -> None:
    stopped = invoke("learn", log, *WITH, "--max-calls", "100")
    assert stopped.exit_code == 4
    assert "max_calls" in stopped.stderr
    assert provider.seen.requests == 100
    assert invoke("learn", "--workspace", "ws", "--quiet").exit_code == 0
    # In flight when the limit came: none twice, beside words that two turns share.
    assert provider.seen.stats()["answered_again"] <= 16


def test_a_limit_on_cost_needs_a_price(invoke: Invoke, provider: ProviderServer, log: Path) -> None:
    refused = invoke("learn", log, *WITH, "--max-cost", "1.5")
    assert refused.exit_code == 2
    assert "price" in refused.stderr
    assert provider.seen.requests == 0


def test_without_a_key_it_says_which(
    invoke: Invoke, provider: ProviderServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    refused = invoke("learn", log, *WITH)
    assert refused.exit_code == 2
    assert "OPENAI_API_KEY" in refused.stderr


def test_without_a_model_it_says_that_the_embedded_engine_learns(invoke: Invoke, log: Path) -> None:
    done = invoke("learn", log, "--workspace", "ws", "--groups", "novice,expert")
    assert done.exit_code == 0
    assert "no chat model is configured" in done.stderr
    assert "embedded engine" in done.stderr


def test_a_provider_that_is_down_ends_in_exit_code_4(
    invoke: Invoke, provider: ProviderServer, log: Path
) -> None:
    provider.faults = Faults(down=True)
    down = invoke("learn", log, *WITH)
    assert down.exit_code == 4
    assert "again" in down.stderr
    provider.faults = Faults()
    assert invoke("learn", "--workspace", "ws", "--quiet").exit_code == 0


def test_batches_are_written_answered_and_read_until_all_is_learned(
    invoke: Invoke, provider: ProviderServer, log: Path
) -> None:
    from gpa_agent.testing.provider_batches import answer_batch

    rounds = 0
    done = invoke("learn", log, *WITH, "--batch", "files", "--json")
    while "batch" in json.loads(done.stdout):
        assert done.exit_code == 0
        rounds += 1
        for written in json.loads(done.stdout)["batch"]["files"]:
            answer_batch(Path(written), Path("files") / f"output-{rounds}-{Path(written).name}")
        done = invoke("learn", "--workspace", "ws", "--batch", "files", "--json", "--quiet")
    assert rounds >= 4
    assert provider.seen.requests == 0
    online = invoke("learn", log, "--workspace", "other", *WITH[2:], "--json")
    assert json.loads(done.stdout)["rubrics"] == json.loads(online.stdout)["rubrics"]


def test_a_runner_that_does_not_exist_is_misuse(invoke: Invoke, log: Path) -> None:
    assert invoke("learn", log, *WITH, "--runner", "spark").exit_code == 2


def test_the_null_check_shares_the_limit_and_does_not_hide_what_was_learned(
    invoke: Invoke, provider: ProviderServer, log: Path
) -> None:
    expected = json.loads(invoke("learn", log, *WITH, "--json").stdout)
    spent = provider.seen.requests
    again = ("learn", "--workspace", "ws", "--null", "20", "--max-calls", "3", "--json", "--quiet")
    done = invoke(*again)
    assert done.exit_code == 4
    report = json.loads(done.stdout)
    assert report["rubrics"] == expected["rubrics"]
    assert report["null"] is None
    assert provider.seen.requests == spent + 3


def test_a_batch_has_no_limits_and_no_null_check(invoke: Invoke, log: Path) -> None:
    for more in (("--null", "1"), ("--max-calls", "5")):
        refused = invoke("learn", log, *WITH, "--batch", "files", *more)
        assert refused.exit_code == 2
        assert "--batch" in refused.stderr


def test_what_is_set_is_kept(invoke: Invoke, provider: ProviderServer, log: Path) -> None:
    more = ("--publish", "review", "--price", "1,2", "--label-budget", "60", "--concurrency", "7")
    first = json.loads(invoke("learn", log, *WITH, *more, "--json").stdout)
    again = json.loads(invoke("learn", "--workspace", "ws", "--json", "--quiet").stdout)
    for report in (first, again):
        assert not any(a["status"] == "live" for r in report["rubrics"] for a in r["aspects"])
    assert first["model"]["cost"] > 0
    assert first["model"]["estimate"]["cost"] > 0
    assert first["model"]["by_prompt"]["satisfaction"]["calls"] <= 60
    assert first["stages"]["judge locally"]["done"] > 0
    assert {d["classifier"] for d in first["distilled"]} >= {"satisfaction"}
    assert again["calls"] == 0


def test_a_dry_run_changes_no_setting_of_a_workspace(
    invoke: Invoke, provider: ProviderServer, log: Path
) -> None:
    assert invoke("learn", log, *WITH).exit_code == 0
    other = ("--model", "openai:gpt-4o", "--dry-run", "--quiet")
    assert invoke("learn", "--workspace", "ws", *other).exit_code == 0
    assert json.loads(Path("ws/settings.json").read_text())["model"] == "openai:simulated"


def test_a_price_that_is_none_is_misuse(invoke: Invoke, log: Path) -> None:
    refused = invoke("learn", log, *WITH, "--price", "cheap")
    assert refused.exit_code == 2
    assert "0.15,0.60" in refused.stderr


def test_a_field_for_groups_that_no_record_has_is_misuse(invoke: Invoke, tmp_path: Path) -> None:
    write_log(VoicedWorld(seed=4, people=3, name_groups=False), tmp_path / "bare.jsonl")
    refused = invoke("learn", tmp_path / "bare.jsonl", "--workspace", "ws", "--group-by", "tier")
    assert refused.exit_code == 2
    assert "'tier'" in refused.stderr


def test_doctor_says_whether_the_model_opens(
    invoke: Invoke, provider: ProviderServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("learn", log, *WITH).exit_code == 0
    checks = json.loads(invoke("doctor", "--workspace", "ws", "--json").stdout)["checks"]
    assert next(c for c in checks if c["name"] == "model")["ok"]
    monkeypatch.delenv("OPENAI_API_KEY")
    assert invoke("doctor", "--workspace", "ws").exit_code == 2
