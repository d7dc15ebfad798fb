"""Estimates against what runs of the simulated model really took."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Judgment, Workspace
from gpa_agent.calls.prices import Price
from gpa_agent.calls.tokens import finished, token_rates
from gpa_agent.embedding import HashingEncoder
from gpa_agent.learning.estimate import Estimate, estimate
from gpa_agent.models import model_name
from gpa_agent.testing.simulated_chat_model import SimulatedChatModel
from gpa_agent.testing.voiced_world import VoicedWorld, taxonomy
from gpa_agent.testing.world_logs import write_log
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction

MODEL = SimulatedChatModel()
CONTRASTS = ("aspects", "voices", "validity")


@contextmanager
def logged(tmp_path: Path, world: VoicedWorld, **settings: Any) -> Generator[Workspace]:
    """A workspace that holds a world's log."""
    write_log(world, tmp_path / "log.jsonl")
    with Workspace.open(
        tmp_path / "ws.gpa",
        groups=["novice", "expert"],
        encoder=HashingEncoder(),
        model=MODEL,
        price=Price(input=0.15, output=0.6),
        **settings,
    ) as ws:
        ws.ingest(tmp_path / "log.jsonl")
        yield ws


def expected(ws: Workspace, **more: Any) -> Estimate:
    reader = EmbeddedSatisfaction(HashingEncoder())
    return estimate(ws.ledger, ws.settings, model_name(MODEL), reader=reader, **more)


@pytest.mark.parametrize(
    ("world", "settings"),
    [
        (VoicedWorld(people=40), {}),
        (VoicedWorld(people=40, explicit=0.4, seed=1), {}),
        (VoicedWorld(people=40, name_groups=False, name_intents=False), {"intents": taxonomy()}),
    ],
    ids=["named", "thumbs", "nameless"],
)
def test_a_run_takes_what_was_expected(
    tmp_path: Path, world: VoicedWorld, settings: dict[str, Any]
) -> None:
    with logged(tmp_path, world, **settings) as ws:
        before = expected(ws)
        took = ws.learn().model
        assert took is not None
        assert before.calls == pytest.approx(took.calls, rel=0.10)
        sent, said = took.input_tokens, took.output_tokens
        assert before.input_tokens + before.output_tokens == pytest.approx(sent + said, rel=0.10)
        assert before.cost == pytest.approx(took.cost, rel=0.10)
        # What is known is counted, not guessed.
        counts = took.model_dump()["by_prompt"]
        for prompt in ("satisfaction", "intent"):
            if prompt in counts:
                assert before.by_prompt[prompt].calls == counts[prompt]["calls"]


def test_what_is_done_costs_nothing_more(tmp_path: Path) -> None:
    with logged(tmp_path, VoicedWorld(people=15)) as ws:
        ws.learn()
        after = expected(ws)
        assert (after.calls, after.input_tokens, after.cost) == (0, 0, 0)


def test_what_is_known_of_a_contrast_is_not_counted_again(tmp_path: Path) -> None:
    with logged(tmp_path, VoicedWorld(people=40)) as ws:
        ws.learn()
        write_log(VoicedWorld(people=10, seed=5), tmp_path / "more.jsonl")
        ws.ingest(tmp_path / "more.jsonl")
        before = expected(ws)
        took = ws.learn().model
    assert took is not None
    counts = took.model_dump()["by_prompt"]
    assert before.calls == pytest.approx(took.calls, rel=0.10)
    asked = sum(counts[p]["calls"] for p in CONTRASTS if p in counts)
    assert sum(before.by_prompt[p].calls for p in CONTRASTS) == pytest.approx(asked, abs=12)


def test_finished_calls_correct_the_rule_of_thumb(tmp_path: Path) -> None:
    with logged(tmp_path, VoicedWorld(people=15)) as ws:
        name = model_name(MODEL)
        assert token_rates(ws.ledger, name, finished(ws.ledger, name)).measured == 0
        took = ws.learn().model
        assert took is not None
        write_log(VoicedWorld(people=15, seed=5), tmp_path / "more.jsonl")
        ws.ingest(tmp_path / "more.jsonl")
        before = expected(ws).by_prompt
        again = ws.learn().model
        assert again is not None
        counts = again.model_dump()["by_prompt"]
        asked = before["satisfaction"]
        assert asked.input_tokens == pytest.approx(counts["satisfaction"]["input_tokens"], rel=0.02)
        assert asked.output_tokens == pytest.approx(
            counts["satisfaction"]["output_tokens"], rel=0.05
        )
        # The local reader mixes the poles up now and then; how many it leaves out is corrected.
        poles = ("preference_sat", "preference_dsat")
        explained = sum(counts[pole]["calls"] for pole in poles)
        assert sum(before[pole].calls for pole in poles) == pytest.approx(explained, rel=0.05)


def test_explicit_judgments_are_explained_and_not_asked_about(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}]
    record = {"id": "c", "group": "novice", "messages": [*said, {"role": "user", "content": "Ok"}]}
    with Workspace.open(
        tmp_path / "ws.gpa", groups=["novice", "expert"], encoder=HashingEncoder(), model=MODEL
    ) as ws:
        (tmp_path / "log.jsonl").write_text(json.dumps(record), encoding="utf-8")
        ws.ingest(tmp_path / "log.jsonl")
        assert expected(ws).by_prompt["satisfaction"].calls == 1
        ws.feedback(conversation="c", turn=0, judgment=Judgment.DSAT)
        before = expected(ws)
    assert {name: one.calls for name, one in before.by_prompt.items()} == {"preference_dsat": 1}
    assert before.cost is None  # nobody knows the price of a simulation


def test_only_what_is_sampled_is_labelled_and_all_is_explained(tmp_path: Path) -> None:
    with logged(tmp_path, VoicedWorld(people=15)) as ws:
        whole = expected(ws)
        (page, *_) = ws.ledger.turns_to_judge()
        some = [f"t:{turn.conversation}:{turn.idx}" for turn in page[:20]]
        part = expected(ws, sampled=some)
    assert part.by_prompt["satisfaction"].calls == 20
    assert part.by_prompt["preference_sat"] == whole.by_prompt["preference_sat"]


def test_an_empty_ledger_needs_nothing(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "ws.gpa", encoder=HashingEncoder(), model=MODEL) as ws:
        empty = expected(ws)
    assert (empty.calls, empty.by_prompt) == (0, {})
    assert "exactly" in json.loads(empty.model_dump_json())["basis"]
