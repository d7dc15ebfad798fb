"""Group models outside of this package: plain PEFT, merged folders, other servers."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gpa_agent.alignment.fingerprints import fingerprint
from gpa_agent.alignment.serving.exporting import merge, merge_group, serve_command
from gpa_agent.alignment.serving.group_models import GroupModels
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.alignment.serving.parity import parity
from gpa_agent.errors import DataError, StoreError, UsageError
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.openai_server import OpenAIServer
from tests.alignment.shelves import mark_stale, put
from tests.alignment.tiny_models import ask, groups, make_base

__all__ = ["groups"]

Groups = tuple[Path, dict[str, Path]]
ASKED = ["why does my loop skip items?", "what is a heap?", "größer, naïve?"]

PLAIN = """
import json, sys
sys.modules["gpa_agent"] = None  # importing it would fail
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(1)
jobs, asked = json.loads(sys.argv[1]), json.loads(sys.argv[2])
said = []
for base, adapter in jobs:
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(base)
    if adapter:
        from peft import PeftModel
        model = PeftModel.from_pretrained(model, adapter)
    said.append([])
    for text in asked:
        messages = [{"role": "user", "content": text}]
        given = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = model.generate(**given, max_new_tokens=24, do_sample=False)
        made = out[0, given["input_ids"].shape[1]:]
        said[-1].append(tokenizer.decode(made, skip_special_tokens=True))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def workspace(groups: Groups, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two group models; read only."""
    folder = tmp_path_factory.mktemp("workspace")
    base, adapters = groups
    first, second, _ = adapters.values()
    put(folder, "novice", first, base)
    put(folder, "Power users!", second, base)
    return folder


def without_us(*jobs: tuple[Path, Path | None]) -> list[list[str]]:
    """Greedy answers of transformers and PEFT in a process that cannot import our package."""
    given = json.dumps([[str(base), adapter and str(adapter)] for base, adapter in jobs])
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, given, json.dumps(ASKED)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"},
        timeout=120,
    )
    said: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return said


def ours(base: Path, adapters: dict[str, Path], group: str | None) -> list[str]:
    with LocalEngine(base, adapters, device="cpu") as engine:
        return [engine.submit(ask(text, group)).result().text for text in ASKED]


def run_of(workspace: Path, name: str = "novice") -> Path:
    return workspace / "models" / "groups" / name / "0001"


# Without our package --------------------------------------------------------------------------


def test_plain_peft_and_a_merged_folder_say_the_same(
    groups: Groups, workspace: Path, tmp_path: Path
) -> None:
    base, _ = groups
    adapter = run_of(workspace)
    merged = merge_group(workspace, "novice", tmp_path / "merged")
    expected = ours(base, {"novice": adapter}, "novice")
    assert without_us((base, adapter), (merged, None)) == [expected, expected]
    assert ours(merged, {}, None) == expected
    assert ours(base, {}, None) != expected


# Merging --------------------------------------------------------------------------------------


def test_a_merged_folder_has_everything_and_nothing_else(
    groups: Groups, workspace: Path, tmp_path: Path
) -> None:
    base, _ = groups
    before = fingerprint(base)
    merged = merge(run_of(workspace), tmp_path / "out" / "merged")
    names = {path.name for path in merged.iterdir()}
    assert names == {path.name for path in base.iterdir()} | {"README.md"}
    assert "adapter_config.json" not in names
    assert fingerprint(base) == before
    after = fingerprint(merged)
    assert after.sha256 != before.sha256
    assert (after.tokenizer_sha256, after.template_sha256) == (
        before.tokenizer_sha256,
        before.template_sha256,
    )
    assert {path.stat().st_mode & 0o777 for path in merged.iterdir()} == {0o644}
    assert merged.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in merged.parent.iterdir()] == ["merged"]
    assert str(base.parent) not in (merged / "README.md").read_text()


def test_what_may_not_be_merged(groups: Groups, tmp_path: Path) -> None:
    base, adapters = groups
    adapter = next(iter(adapters.values()))
    target = tmp_path / "merged"
    refused = put(tmp_path, "refused", adapter, base, reasons=("gibberish",))
    stale = put(tmp_path, "stale", adapter, base)
    mark_stale(stale)
    fine = put(tmp_path, "fine", adapter, base)
    torn = put(tmp_path, "torn", adapter, base, manifest=False)
    other = make_base(tmp_path / "other", seed=5)
    for folder, error, said in (
        (refused, UsageError, "gibberish"),
        (stale, UsageError, "stale"),
        (torn, DataError, "manifest"),
    ):
        with pytest.raises(error, match=said):
            merge(folder, target)
    with pytest.raises(DataError, match="another base"):
        merge(fine, target, base=other)
    with pytest.raises(UsageError, match="none was tuned"):
        merge_group(tmp_path, "expert", target)
    with pytest.raises(UsageError, match="gibberish"):
        merge_group(tmp_path, "refused", target)
    assert not target.exists()
    target.mkdir()
    with pytest.raises(UsageError, match="there already"):
        merge(fine, target)


def test_a_disk_that_is_full_leaves_nothing_behind(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StoreError, match="No space left"):
        merge(run_of(workspace), tmp_path / "out" / "merged")
    assert list((tmp_path / "out").iterdir()) == []


# Other servers --------------------------------------------------------------------------------


def test_the_line_that_starts_vllm(groups: Groups, workspace: Path) -> None:
    base, _ = groups
    launch = serve_command(workspace, port=8100)
    power = next(path for path in (workspace / "models" / "groups").glob("power*"))
    assert shlex.split(launch.line) == [
        *("vllm", "serve", str(base), "--host", "127.0.0.1", "--port", "8100"),
        *("--enable-lora", "--max-loras", "2", "--max-lora-rank", "8"),  # of rank 4
        *("--lora-modules", f"{power.name}={power / '0001'}", f"novice={run_of(workspace)}"),
    ]
    assert launch.models == {"Power users!": power.name, "novice": "novice"}
    assert launch.refused == {}
    one = serve_command(workspace, groups=["novice"], base="owner/name")
    assert one.line.startswith("vllm serve owner/name ")
    assert one.models == {"novice": "novice"}


def test_the_line_leaves_out_what_may_not_serve_and_survives_odd_names(
    groups: Groups, tmp_path: Path
) -> None:
    base, adapters = groups
    first, second, _ = adapters.values()
    folder = tmp_path / "it's; my $(ws)"
    run = put(folder, "novice", first, base)
    other = make_base(tmp_path / "other", seed=5)
    put(folder, "other", first, other)  # tuned on day 1 as well: the order of groups decides
    mark_stale(put(folder, "stale", second, base))
    launch = serve_command(folder)
    assert f"novice={run}" in shlex.split(launch.line)
    assert set(launch.refused) == {"other", "stale"}
    with pytest.raises(UsageError, match="stale"):
        serve_command(folder, groups=["stale"])
    with pytest.raises(UsageError, match="none was tuned"):
        serve_command(tmp_path / "nothing")
    assert set(serve_command(folder, base=other).models) == {"other"}
    with pytest.raises(UsageError, match="another base"):
        serve_command(folder, groups=["novice"], base=other)


@pytest.mark.parametrize(("rank", "room"), [(8, "8"), (9, "16"), (300, "320")])
def test_the_line_has_room_for_the_highest_rank(
    groups: Groups, tmp_path: Path, rank: int, room: str
) -> None:
    base, adapters = groups
    first, second, _ = adapters.values()
    put(tmp_path, "novice", first, base)
    config = put(tmp_path, "expert", second, base) / "adapter_config.json"
    said = json.loads(config.read_text())
    config.write_text(json.dumps({**said, "r": 2, "rank_pattern": {"q_proj": rank}}))
    words = shlex.split(serve_command(tmp_path).line)
    assert words[words.index("--max-lora-rank") + 1] == room


def test_parity_is_a_share_of_equal_answers_and_of_their_beginnings() -> None:
    def one(_: object) -> str:
        return "abcdefghij"

    answers = iter(["abcdefghij", "abcdeXXXXX", "zzz", ""])
    here = {"novice": ScriptedChatModel(script=one), "only here": ScriptedChatModel()}
    there = {"novice": ScriptedChatModel(script=lambda _: next(answers))}
    found = parity(here, there, ["1", "2", "3", "4"])
    # 1 of 4 equal; the beginnings agree in 10, 5, 0 and 0 of 10 characters: 1.5 / 4.
    assert found == {"novice": (4, 0.25, 0.375)}
    with pytest.raises(UsageError, match="nothing to compare"):
        parity(here, {}, ["1"])
    with pytest.raises(UsageError, match="nothing to compare"):
        parity(here, there, [])


def test_parity_tells_a_server_that_does_not_apply_the_adapter(
    groups: Groups, workspace: Path
) -> None:
    """A scripted server stands for vLLM: it answers with our engine, with or without adapters."""
    base, _ = groups
    greedy: dict[str, Any] = {"temperature": 0.0, "max_tokens": 24}
    with (
        GroupModels.local(workspace, device="cpu", **greedy) as here,
        LocalEngine(base, {"novice": run_of(workspace)}, device="cpu") as engine,
    ):

        def answer(adapter: str | None) -> Any:
            return lambda request: (
                engine.submit(ask(request["messages"][-1]["content"], adapter)).result().text
            )

        found = {}
        for adapter in ("novice", None):
            with OpenAIServer(reply=answer(adapter)) as server:
                there = GroupModels.endpoint(server.url, {"novice": "novice"}, **greedy)
                found[adapter] = parity(here, there, ASKED)["novice"]
    assert found["novice"] == (3, 1.0, 1.0)
    assert found[None].equal == 0.0
    assert found[None].agreement < 0.3


# A merged folder behind somebody else's server ------------------------------------------------


@pytest.fixture
def hf_server(workspace: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """``transformers serve`` with a merged folder: its address and the folder."""
    pytest.importorskip("fastapi", reason="transformers serve needs transformers[serving]")
    merged = merge_group(workspace, "novice", tmp_path / "merged")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    words = [program, "serve", merged, "--device", "cpu", "--host", "127.0.0.1", "--port", port]
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = tmp_path / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(word) for word in words], stdout=out, stderr=out, env={**os.environ, **quiet}
        )
    try:
        until_listening(port, server, log)
        yield f"http://127.0.0.1:{port}/v1", merged
    finally:
        server.terminate()
        server.wait(timeout=20)


def until_listening(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(log.read_text(errors="replace")[-2000:])


@pytest.mark.slow
def test_a_merged_folder_is_served_by_transformers_serve(
    hf_server: tuple[str, Path], groups: Groups, workspace: Path
) -> None:
    base, _ = groups
    url, merged = hf_server
    names = {"novice": str(merged)}  # that server names a model by its folder
    models = GroupModels.endpoint(url, names, temperature=0.0, max_tokens=24, request_seconds=60)
    expected = ours(base, {"novice": run_of(workspace)}, "novice")
    assert [models["novice"].invoke(text).text for text in ASKED] == expected
    # In pieces it shows the halves of characters that random weights make, each in its own way.
    assert len([c for c in models["novice"].stream(ASKED[0]) if c.text]) > 3
