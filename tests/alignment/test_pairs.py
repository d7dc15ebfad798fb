"""Algorithm 4 over a ledger, with a simulated writer on loopback."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Workspace
from gpa_agent.alignment.pair import Pair, read_pairs
from gpa_agent.alignment.pairs.making import (
    PairsConfig,
    PairsReport,
    estimate_pairs,
    make_pairs,
    pairs_file,
)
from gpa_agent.conversations.records import Label
from gpa_agent.errors import ModelError, UsageError
from gpa_agent.learning.spending import Spend
from gpa_agent.testing.chat_models import ScriptedChatModel
from gpa_agent.testing.openai_server import OpenAIServer
from tests.alignment.pairs_support import (
    EXPERT,
    NOVICE,
    ingest,
    marked,
    open_workspace,
    record,
    recorded_pair,
    rubric,
)

ASKED = "Why does my loop never end?"
MODEL = "openai:simulated-writer"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(reply=marked) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield running


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws", model=MODEL) as opened:
        opened.import_rubrics([rubric()])
        yield opened


def made(ws: Workspace, group: str = "novice") -> dict[str, Pair]:
    """The pairs of a group, by subject."""
    return {pair.subject: pair for pair in read_pairs(pairs_file(ws, group))}


def accounts(report: PairsReport) -> bool:
    """Whether everything that was looked at is told of, once."""
    unused = sum(report.skipped.values()) + sum(report.sifted.values())
    return report.judged + report.recorded == report.pairs + unused


def test_an_answer_that_pleased_is_chosen_over_a_twin_in_the_other_sides_manner(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    ingest(ws, tmp_path / "log", record("c", ASKED, ("Step 1: check it.", 1)))
    report = make_pairs(ws)
    pair = made(ws)["t:c:0"]
    assert pair.chosen[0].content == "Step 1: check it."
    assert pair.rejected[0].content.startswith("Done by a listing only")
    assert (pair.judgment, pair.group, pair.intent) == (1, "novice", "debugging")
    assert (pair.rubric_version, pair.generator) == (1, MODEL)
    assert pair.person == ws.person("user-c")
    assert EXPERT in server.requests[0]["messages"][0]["content"]
    assert (report.pairs, report.calls, report.groups["novice"].pleased) == (1, 1, 1)


def test_an_answer_that_displeased_is_rejected_for_a_twin_in_the_own_manner(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    ingest(ws, tmp_path / "log", record("c", ASKED, ("while True: pass", -1), group="expert"))
    make_pairs(ws)
    pair = made(ws, "expert")["t:c:0"]
    assert pair.rejected[0].content == "while True: pass"
    assert pair.chosen[0].content.startswith("Done by a listing only")
    assert pair.judgment == -1


def test_the_prompt_is_the_conversation_before_the_answer(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    served = f"Hello. {NOVICE}"  # a sentence of our own that came back
    ingest(ws, tmp_path / "log", record("c", "hi", served, ASKED, ("Like this.", 1), "thanks"))
    make_pairs(ws)
    said = [(message.role, message.content) for message in made(ws)["t:c:1"].prompt]
    assert said == [("user", "hi"), ("assistant", "Hello."), ("user", ASKED)]
    data = json.loads(server.requests[0]["messages"][1]["content"])
    assert data["earlier"] == [{"user": "hi", "assistant": "Hello."}]
    assert (data["question"], data["answer"]) == (ASKED, "Like this.")


def test_a_prompt_begins_with_the_user_and_nobody_speaks_twice_in_a_row(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    opening = [
        {"role": "assistant", "content": "What can I do?"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": NOVICE},
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": "So.", "judgment": 1},
    ]
    ingest(ws, tmp_path / "log", record("c", messages=opening))
    make_pairs(ws)
    said = [(message.role, message.content) for message in made(ws)["t:c:2"].prompt]
    assert said == [("user", f"hi\n\n{ASKED}")]


def test_the_writer_is_told_neither_groups_nor_ids(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    ws.import_rubrics([rubric(intent="planning", expert="As an expert, read the whole plan.")])
    talk = record("the-id", ASKED, ("So.", 1), intent="planning", user="the-user")
    ingest(ws, tmp_path / "log", talk)
    make_pairs(ws)
    sent = json.dumps(server.requests[0]["messages"])
    assert "As an reader, read the whole plan." in sent
    for secret in ("the-id", "the-user", ws.person("the-user"), "novice", "planning"):
        assert secret not in sent


def test_every_turn_that_makes_no_pair_is_counted_with_its_reason(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    ws.import_rubrics([rubric(intent="planning", novice=NOVICE)])
    ingest(
        ws,
        tmp_path / "log",
        record("kept", ASKED, ("So.", 1)),
        record("no-rubric", ASKED, ("So.", 1), intent="travel"),
        record("no-guidance", ASKED, ("So.", 1), intent="planning"),
        record("other-group", ASKED, ("So.", 1), group="robots"),
        record("unjudged", ASKED, ("So.", 0)),
        record("no-group", ASKED, ("So.", 1), group=None),  # type: ignore[arg-type]
        record("too-long", "long " * 2000, ("So.", 1)),
        record("again", f"{ASKED} ", ("so.", 1)),
        record("first", messages=[{"role": "assistant", "content": "Hi!", "judgment": 1}]),
        recorded_pair("p", group="robots"),
    )
    report = make_pairs(ws)
    assert report.skipped == {
        "other_group": 2,
        "duplicate": 1,
        "no_group": 1,
        "no_guidance": 1,
        "no_question": 1,
        "no_rubric": 1,
        "too_long": 1,
    }
    assert [*made(ws)] == ["t:again:0"]  # of two that are the same, the first one read
    assert (report.pairs, report.judged, report.recorded) == (1, 8, 1)
    assert accounts(report)


def test_a_judgment_given_wins_over_one_that_was_read_and_unsure_ones_do_not_count(
    server: OpenAIServer, tmp_path: Path
) -> None:
    log = [
        record("read", ASKED, "So.", "Thanks, that solved it perfectly!"),
        record("given", ASKED, ("Thus.", -1), "Thanks, that solved it perfectly!"),
    ]
    with open_workspace(tmp_path / "ws") as ws:
        ingest(ws, tmp_path / "log", *log)
        ws.learn()  # the embedded engine reads what the reply says
        ws.import_rubrics([rubric()])
    with open_workspace(tmp_path / "ws", model=MODEL) as ws:
        sure = make_pairs(ws, config=PairsConfig(min_confidence=0.5))
        pairs = made(ws)
        assert (pairs["t:read:0"].judgment, pairs["t:given:0"].judgment) == (1, -1)
        strict = make_pairs(ws, config=PairsConfig(min_confidence=1.0))
    assert (sure.pairs, strict.pairs) == (2, 1)
    assert strict.skipped == {"unsure": 1}


def test_a_contrast_with_everybody_else_makes_pairs_of_displeasing_answers_only(
    tmp_path: Path, server: OpenAIServer
) -> None:
    with open_workspace(tmp_path / "ws", model=MODEL) as ws:
        ws.import_rubrics([rubric(other="*", novice=NOVICE)])
        log = [record("good", ASKED, ("So.", 1)), record("bad", ASKED, ("No.", -1))]
        ingest(ws, tmp_path / "log", *log)
        report = make_pairs(ws)
        assert [*made(ws)] == ["t:bad:0"]
    assert report.skipped == {"no_guidance": 1}


def test_a_tailored_answer_counts_unless_it_displeased_under_the_very_guidance(
    ws: Workspace, server: OpenAIServer
) -> None:
    trace: dict[str, Any] = {"mode": "context", "intent": "debugging", "group": "novice"}
    for name, judgment in (("good", 1), ("bad", -1)):
        ws.record_turn(
            conversation=name,
            key="1",
            user=ASKED,
            assistant=f"A {name} answer.",
            user_id=name,
            group=Label("novice", 1.0, "context"),
            intent=Label("debugging", 1.0, "context"),
            trace={**trace, "rubric_version": 1, "aspects": ["form"]},
        )
        ws.feedback(conversation=name, turn=0, judgment=judgment)
    report = make_pairs(ws)
    assert [*made(ws)] == ["t:good:0"]
    assert report.skipped == {"own_guidance": 1}


def test_turns_served_to_nobody_known_make_no_pairs(ws: Workspace, server: OpenAIServer) -> None:
    for user in ("somebody", None):
        name = user or "nobody"
        ws.record_turn(
            conversation=name,
            key="1",
            user=f"{ASKED} asked {name}",
            assistant="So.",
            user_id=user,
            group=Label("novice", 1.0, "context"),
            intent=Label("debugging", 1.0, "context"),
            trace={"mode": "plain"},
        )
        ws.feedback(conversation=name, turn=0, judgment=1)
    report = make_pairs(ws)
    assert report.judged == 1
    assert [*made(ws)] == ["t:somebody:0"]


def test_pages_of_the_ledger_hold_the_same_turns_whatever_their_size(
    ws: Workspace, tmp_path: Path
) -> None:
    talk = (ASKED, ("One.", 1), "and?", ("Two.", -1), "so?", ("Three.", 1))
    log = [record(f"c{n}", *talk) for n in range(3)]
    ingest(ws, tmp_path / "log", *log, *(recorded_pair(f"p{n}") for n in range(3)))
    for read in (ws.ledger.judged_answers, ws.ledger.recorded_pairs):
        whole = [row for page in read() for row in page]
        assert [row for page in read(batch=2) for row in page] == whole
    turns = [turn for page in ws.ledger.judged_answers(batch=2) for turn in page]
    assert len(turns) == 9
    assert [m.content for m in turns[2].said] == [ASKED, "One.", "and?", "Two.", "so?"]
    assert (turns[2].asked, turns[2].answer) == ("so?", "Three.")


def test_preference_pairs_of_the_log_join_as_they_are_without_any_model(
    tmp_path: Path, server: OpenAIServer
) -> None:
    with open_workspace(tmp_path / "ws") as ws:
        ws.import_rubrics([rubric()])
        ingest(
            ws,
            tmp_path / "log",
            recorded_pair("p1"),
            recorded_pair("p2", group="expert"),
            recorded_pair("p3", group=None),  # type: ignore[arg-type]
            record("c", ASKED, ("So.", 1)),
        )
        report = make_pairs(ws)
        pair = made(ws)["pair:p1"]
        assert (pair.judgment, pair.rubric_version, pair.generator) == (None, None, None)
        assert pair.prompt[0].content == "Plan p1 for me"
        assert pair.chosen[0].content == "First p1, then the rest of it."
        assert pair.intent == "planning"
        assert [*made(ws, "expert")] == ["pair:p2"]
    assert report.skipped == {"no_group": 1, "no_model": 1}
    assert any("no chat model" in note for note in report.notes)
    assert report.model is None
    assert accounts(report)
    assert server.requests == []


def test_nobody_has_more_than_a_few_pairs_and_explicit_judgments_come_first(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    said: list[tuple[str, int | None] | str] = [
        part
        for n in range(15)
        for part in (f"{ASKED} Number {n}?", (f"Answer {n} of many.", 1 if n % 2 else -1))
    ]
    ingest(
        ws,
        tmp_path / "log",
        record("many", *said, user="flood"),
        *(recorded_pair(f"p{n}", user="flood") for n in range(3)),
        record("one", ASKED, ("So.", 1)),
    )
    report = make_pairs(ws, config=PairsConfig(per_person=5))
    owners = Counter(pair.person for pair in made(ws).values())
    assert owners == {ws.person("flood"): 5, ws.person("user-one"): 1}
    assert sum(subject.startswith("pair:") for subject in made(ws)) == 3
    assert report.skipped == {"over_cap": 13}
    assert report.calls == 3  # two of the flood's and one: who is over the cap costs nothing
    assert report.groups["novice"].largest_share == 5 / 6


def test_a_persons_pairs_are_all_trained_on_or_all_held_out(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    log = [
        record(f"c{n}", f"{ASKED} ({n})", (f"Answer {n}.", 1), user=f"u{n % 60}")
        for n in range(240)
    ]
    ingest(ws, tmp_path / "log", *log, *(recorded_pair(f"p{n}", user=f"u{n}") for n in range(60)))
    report = make_pairs(ws)
    parts: defaultdict[str | None, set[str]] = defaultdict(set)
    for pair in made(ws).values():
        parts[pair.person].add(pair.split)
    assert {len(splits) for splits in parts.values()} == {1}
    held_out = sum(splits == {"holdout"} for splits in parts.values())
    assert 4 <= held_out <= 22  # 60 people at 0.2: 12, and three standard deviations of 3.1
    assert report.groups["novice"].holdout == 5 * held_out
    assert make_pairs(ws, config=PairsConfig(holdout=0.0)).groups["novice"].holdout == 0


def test_conversations_of_nobody_are_split_one_by_one(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    log = [
        record(f"c{n}", f"{ASKED} ({n})", (f"Yes {n}.", 1), "more", (f"No {n}.", -1), user=None)
        for n in range(40)
    ]
    ingest(ws, tmp_path / "log", *log, *(recorded_pair(f"p{n}", user=None) for n in range(3)))
    report = make_pairs(ws)
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for pair in made(ws).values():
        parts[pair.subject.split(":")[1]].add(pair.split)
    assert {len(splits) for splits in parts.values()} == {1}
    assert {split for splits in parts.values() for split in splits} == {"train", "holdout"}
    assert report.groups["novice"].people == 43
    assert report.groups["novice"].largest_share == 2 / 83


def test_running_again_asks_nobody_and_writes_the_same(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    log = [record(f"c{n}", f"{ASKED} ({n})", (f"Answer {n}.", 1 - 2 * (n % 2))) for n in range(9)]
    ingest(ws, tmp_path / "log", *log)
    make_pairs(ws)
    before = pairs_file(ws, "novice").read_bytes()
    again = make_pairs(ws)
    assert (again.calls, again.model and again.model.cached, len(server.requests)) == (0, 9, 9)
    assert pairs_file(ws, "novice").read_bytes() == before


def test_a_limit_stops_it_without_a_file_and_the_next_run_goes_on(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    log = [record(f"c{n}", f"{ASKED} ({n})", (f"Answer {n}.", 1)) for n in range(9)]
    ingest(ws, tmp_path / "log", *log)
    with pytest.raises(ModelError, match="max_calls"):
        make_pairs(ws, spend=Spend(max_calls=4))
    assert not pairs_file(ws, "novice").exists()
    assert make_pairs(ws).calls == 5
    assert len(server.requests) == 9


def test_a_given_model_writes_and_is_named(ws: Workspace, tmp_path: Path) -> None:
    ingest(ws, tmp_path / "log", record("c", ASKED, ("So.", 1)))
    writer = ScriptedChatModel(script=['{"response": "Otherwise, as one can."}'])
    report = make_pairs(ws, model=writer)
    assert made(ws)["t:c:0"].rejected[0].content == "Otherwise, as one can."
    assert report.model is not None
    assert made(ws)["t:c:0"].generator == report.model.model != MODEL


def test_twins_that_cannot_be_used_are_counted_by_reason(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    logged = "Check the condition of the loop, it is never false."
    twins = {
        "empty": "",
        "near_identical": logged.upper(),
        "leak": "According to the guidance, this is it.",
        "refusal": "I'm sorry, but I can't help with that.",
        "cut": "First look at the condition and",
        "malformed": None,
        "good": "1. Print the condition.\n2. See why it holds.",
    }

    def reply(request: Any) -> str:
        asked = json.loads(request["messages"][1]["content"])["question"]
        twin = twins[asked.split()[0]]
        return "no JSON at all" if twin is None else json.dumps({"response": twin})

    server.reply = reply
    log = [record(name, f"{name} {ASKED}", (logged, 1)) for name in twins]
    ingest(ws, tmp_path / "log", *log)
    report = make_pairs(ws)
    assert report.sifted == {name: 1 for name in sorted(twins) if name != "good"}
    assert [*made(ws)] == ["t:good:0"]
    assert made(ws)["t:good:0"].rejected[0].content == twins["good"]  # lines and all
    assert accounts(report)


def test_one_group_alone_is_made_and_said(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    log = [record("a", ASKED, ("So.", 1)), record("b", ASKED, ("Thus.", 1), group="expert")]
    ingest(ws, tmp_path / "log", *log)
    both = make_pairs(ws)
    assert [*both.groups] == ["expert", "novice"]
    assert not any("one group only" in note for note in both.notes)
    only = make_pairs(ws, config=PairsConfig(groups=("novice",)))
    assert any("one group only" in note for note in only.notes)
    assert only.skipped == {"other_group": 1}
    assert pairs_file(ws, "expert").exists()  # nobody asked about it


def test_a_file_that_nothing_comes_of_any_more_goes(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    log = [record("a", ASKED, ("So.", 1)), record("b", ASKED, ("Thus.", 1), group="expert")]
    ingest(ws, tmp_path / "log", *log)
    make_pairs(ws)
    ws.feedback(conversation="b", turn=0, judgment=0)
    make_pairs(ws)
    assert pairs_file(ws, "novice").exists()
    assert not pairs_file(ws, "expert").exists()


def test_the_report_is_kept_beside_the_pairs(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    ingest(ws, tmp_path / "log", record("c", ASKED, ("So.", 1)))
    report = make_pairs(ws)
    kept = PairsReport.model_validate_json((ws.path / "pairs" / "report.json").read_text())
    assert kept == report


def test_an_estimate_asks_nobody_and_says_how_many_calls(
    ws: Workspace, server: OpenAIServer, tmp_path: Path
) -> None:
    log = [record(f"c{n}", f"{ASKED} ({n})", ("So it is, mostly.", 1)) for n in range(7)]
    ingest(ws, tmp_path / "log", *log)
    expected = estimate_pairs(ws)
    assert expected is not None
    assert (expected.calls, expected.by_prompt["twin"].calls) == (7, 7)
    assert expected.input_tokens > 7 * 500  # the prompt alone has more
    assert expected.output_tokens == 7 * 17 // 4 + 1  # 7 answers of 17 characters, 4 a token: 29.75
    assert expected.cost is None
    assert server.requests == []
    assert not (ws.path / "pairs").exists()


def test_what_is_missing_is_said(tmp_path: Path, server: OpenAIServer) -> None:
    with open_workspace(tmp_path / "ws", model=MODEL) as ws:
        with pytest.raises(UsageError, match="no judged answer"):
            make_pairs(ws)
        ingest(ws, tmp_path / "log", record("c", ASKED, ("So.", 1)))
        with pytest.raises(UsageError, match="no rubric is live"):
            make_pairs(ws)
        with pytest.raises(UsageError, match=r"no group 'robots'.*'expert', 'novice'"):
            make_pairs(ws, config=PairsConfig(groups=("robots",)))
        assert not (ws.path / "pairs").exists()
    with open_workspace(tmp_path / "ws", model="embedded") as ws:
        ws.import_rubrics([rubric()])
        with pytest.raises(UsageError, match=r"no chat model is configured.*1 judged"):
            make_pairs(ws)
    assert server.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"holdout": 1.0},
        {"per_person": 0},
        {"min_confidence": 1.1},
        {"max_similarity": 0.0},
        {"balance_lengths": 0.0},
    ],
)
def test_a_value_out_of_range_is_misuse(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        PairsConfig(**wrong)
