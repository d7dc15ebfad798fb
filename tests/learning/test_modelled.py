"""The model engine from log to rubric, with a simulated model over simulated users."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import ModelError, UsageError
from gpa_agent.learning.cases import deal_groups, hear
from gpa_agent.learning.kept_claims import kept_claims
from gpa_agent.learning.model_preferences import preference_source
from gpa_agent.learning.spending import Spend
from gpa_agent.testing.simulated_chat_model import SimulatedChatModel
from gpa_agent.testing.simulated_provider import SimulatedProvider
from gpa_agent.testing.voiced_world import VoicedWorld, planted_of, taxonomy
from gpa_agent.testing.world_logs import write_log
from tests.learning.conftest import WORLD, Learned, open_workspace, served


class Unreachable(SimulatedChatModel):
    """Goes by the same name, and fails the test that calls it."""

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return SimulatedChatModel()._get_ls_params(stop, **kwargs)

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("nobody was to be asked")

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("nobody was to be asked")


def copy_of(learned: Learned, folder: Path) -> Path:
    return Path(shutil.copytree(learned.path, folder / "copy"))


def test_what_was_planted_is_found_and_nothing_else_is_served(learned: Learned) -> None:
    found = planted = 0
    for rubric in learned.report.rubrics:
        truth = WORLD.planted(rubric.intent, *WORLD.groups)
        live = [a for a in rubric.aspects if a.status == "live"]
        about = [planted_of(f"{a.name} {' '.join(a.guidance.values())}") for a in live]
        assert all(wishes & truth.keys() for wishes in about)
        found += len(truth.keys() & frozenset().union(*about))
        planted += len(truth)
    # A small log: at 100 people a group it is 0.93 (docs/figures.md).
    assert found >= 0.6 * planted


def test_every_claim_has_its_evidence(learned: Learned) -> None:
    for rubric in learned.report.rubrics:
        for aspect in rubric.aspects:
            assert aspect.evidence is not None
            assert (aspect.reason is None) == (aspect.status == "live")
            if aspect.status == "live":
                assert aspect.evidence.q_value <= 0.05
                assert min(aspect.evidence.people.values()) >= 5
                assert any(len(ids) >= 5 for ids in aspect.evidence.preferences.values())


def test_the_report_says_what_was_asked(learned: Learned) -> None:
    model = learned.report.model
    assert model is not None
    assert learned.report.engine == "model simulatedchatmodel:simulated"
    assert learned.report.calls == model.calls == sum(p["calls"] for p in model.by_prompt.values())
    assert model.by_prompt["satisfaction"]["calls"] == learned.report.stages["judge"].done
    assert model.failed == model.malformed == 0
    assert model.input_tokens > 100 * model.calls


def test_learning_again_asks_nobody_and_changes_nothing(learned: Learned, tmp_path: Path) -> None:
    with open_workspace(copy_of(learned, tmp_path), Unreachable()) as ws:
        again = ws.learn()
    assert again.calls == 0
    assert again.rubrics == learned.report.rubrics


def test_the_same_log_gives_the_same_rubric_in_another_workspace(
    learned: Learned, log: Path, tmp_path: Path
) -> None:
    with open_workspace(tmp_path / "other", concurrency=40) as ws:
        ws.ingest(log)
        other = ws.learn()
    assert other.rubrics == learned.report.rubrics


def test_forgetting_a_person_weighs_the_claims_again_without_asking(
    learned: Learned, tmp_path: Path
) -> None:
    with open_workspace(copy_of(learned, tmp_path), Unreachable()) as ws:
        before = {(r.intent, a.name): a for r in ws.rubrics() for a in r.aspects}
        receipt = ws.forget(WORLD.person("novice", 0).id)
        after = {(r.intent, a.name): a for r in ws.rubrics() for a in r.aspects}
    assert receipt["deleted"]["model_calls"] > 0
    assert before.keys() == after.keys()
    assert all(
        sum(a.evidence.turns.values()) <= sum(before[key].evidence.turns.values())  # type: ignore[union-attr]
        for key, a in after.items()
        if a.evidence
    )
    assert before != after


def test_nobody_finds_a_claim_and_tests_it_too(learned: Learned, tmp_path: Path) -> None:
    with open_workspace(copy_of(learned, tmp_path)) as ws:
        source = preference_source(ws.settings.model or "")
        heard = hear(ws.ledger, source, one_intent=False, share=0.5)
    finding = {t.voiced.person for ts in heard.finding.values() for t in ts}
    testing = {t.voiced.person for ts in heard.testing.values() for t in ts}
    assert not finding & testing
    assert 60 <= len(finding) <= 100  # half of 160, by a hash
    assert heard.seen.people_of == {"novice": 80, "expert": 80}


def test_dealing_groups_keeps_their_sizes_and_peoples_turns_together(
    learned: Learned, tmp_path: Path
) -> None:
    with open_workspace(copy_of(learned, tmp_path)) as ws:
        source = preference_source(ws.settings.model or "")
        heard = hear(ws.ledger, source, one_intent=False, share=0.5)
    dealt = deal_groups(heard, np.random.default_rng(1))
    was = {(t.voiced.person, t.group) for ts in heard.testing.values() for t in ts}
    now = {(t.voiced.person, t.group) for ts in dealt.testing.values() for t in ts}
    assert len(now) == len(was) == len({p for p, _ in now})
    assert 0 < len(now - was) < len(was)


def test_a_null_world_serves_nothing(tmp_path: Path) -> None:
    world = VoicedWorld(seed=3, people=40, null=True)
    write_log(world, tmp_path / "null.jsonl")
    with open_workspace(tmp_path / "ws") as ws:
        ws.ingest(tmp_path / "null.jsonl")
        report = ws.learn()
    assert not any(served(report).values())


def test_shuffled_groups_serve_nothing(learned: Learned, tmp_path: Path) -> None:
    with open_workspace(copy_of(learned, tmp_path)) as ws:
        assert sum(ws.learn_null(4)) == 0


def test_the_model_labels_intents_and_groups_that_the_log_does_not_name(tmp_path: Path) -> None:
    world = VoicedWorld(seed=1, people=50, name_groups=False, name_intents=False, manners=1.0)
    write_log(world, tmp_path / "log.jsonl")
    with open_workspace(tmp_path / "ws", intents=taxonomy()) as ws:
        ws.ingest(tmp_path / "log.jsonl")
        report = ws.learn()
        assert report.model is not None
        conversations = ws.stats()["conversations"]
        for prompt in ("intent", "group"):
            # Some conversations begin with the very same words: asked once, known the next time.
            figures = report.model.by_prompt[prompt]
            assert figures["calls"] + figures["cached"] == conversations
        heard = ws.ledger.heard(preference_source(ws.settings.model or ""))
        labelled = {row.conversation: (row.intent, row.group) for row in heard}
    assert {r.intent for r in report.rubrics} == set(world.intents)
    told = VoicedWorld(seed=1, people=50, manners=1.0).log()
    truth = {record["id"]: (record["intent"], record["group"]) for record in told}
    right = [labels == truth[conversation] for conversation, labels in labelled.items()]
    assert sum(right) > 0.9 * len(right)


def test_a_bare_group_name_is_not_asked_about(tmp_path: Path) -> None:
    world = VoicedWorld(seed=1, people=6, name_groups=False)
    write_log(world, tmp_path / "log.jsonl")
    asked: dict[str, set[str]] = {}
    for names in (["red", "blue"], ["novice", "expert"]):
        with Workspace.open(
            tmp_path / names[0], groups=names, model=SimulatedChatModel(), encoder=HashingEncoder()
        ) as ws:
            ws.ingest(tmp_path / "log.jsonl")
            report = ws.learn()
        assert report.model is not None
        asked[names[0]] = set(report.model.by_prompt)
    assert "group" not in asked["red"]
    assert "group" in asked["novice"]


def test_an_answer_that_is_no_answer_is_never_satisfied(tmp_path: Path, log: Path) -> None:
    said = itertools.repeat(AIMessage("Certainly! Happy to help."))
    talks = GenericFakeChatModel(messages=said)
    with open_workspace(tmp_path / "ws", talks) as ws:
        ws.ingest(log)
        report = ws.learn()
        assert report.model is not None
        assert report.model.malformed == report.stages["judge"].done
        assert ws.stats()["judgments"] == 0
    assert not any(r.aspects for r in report.rubrics)


def test_a_budget_stops_the_run_and_the_next_one_goes_on(tmp_path: Path, log: Path) -> None:
    with open_workspace(tmp_path / "ws", concurrency=8) as ws:
        ws.ingest(log)
        with pytest.raises(ModelError, match="300"):
            ws.learn(spend=Spend(max_calls=300))
        assert 300 <= ws.ledger.count_calls() <= 308
        kept = ws.ledger.count_calls()
        report = ws.learn()
    assert report.model is not None
    assert report.model.calls + kept >= report.stages["judge"].done


def test_poisoned_text_does_not_reach_what_is_served(tmp_path: Path) -> None:
    world = VoicedWorld(seed=2, people=40, poison=0.3)
    write_log(world, tmp_path / "log.jsonl")
    gullible = SimulatedChatModel(provider=SimulatedProvider(gullible=True))
    with open_workspace(tmp_path / "ws", gullible) as ws:
        ws.ingest(tmp_path / "log.jsonl")
        report = ws.learn()
    live = [a.model_dump_json() for r in report.rubrics for a in r.aspects if a.status == "live"]
    assert not any("ZQ-" in text for text in live)


def test_without_a_model_the_embedded_engine_learns_and_says_so(tmp_path: Path, log: Path) -> None:
    with Workspace.open(
        tmp_path / "ws", groups=["novice", "expert"], encoder=HashingEncoder()
    ) as ws:
        ws.ingest(log)
        report = ws.learn()
    assert (report.engine, report.calls, report.model) == ("embedded", 0, None)


def test_a_runner_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "ws") as ws, pytest.raises(UsageError, match="asyncio, daft"):
        ws.learn(spend=Spend(runner="spark"))


class Mumbling(SimulatedChatModel):
    """Goes by the same name, and says nothing readable about what groups want."""

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return SimulatedChatModel()._get_ls_params(stop, **kwargs)

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        result = await super()._agenerate(messages, *args, **kwargs)
        if '"claims"' in messages[1].text or '"aspects"' in messages[1].text:
            result.generations[0].message = AIMessage("Hm.")
        return result


def more_of_the_world(folder: Path) -> Path:
    """A few more people, so that the contrast is looked at anew."""
    path = folder / "more.jsonl"
    records = [r for r in VoicedWorld(seed=0, people=84).log() if int(r["user"][-4:]) >= 80]
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def test_a_model_that_gives_no_answer_takes_nothing_away(learned: Learned, tmp_path: Path) -> None:
    with open_workspace(copy_of(learned, tmp_path), Mumbling()) as ws:
        ws.ingest(more_of_the_world(tmp_path))
        report = ws.learn()
        assert ws.stats()["live_aspects"] == sum(map(len, learned.found.values()))
    # What was attributed before is weighed without what is new.
    assert not report.untested
    assert any("no usable answer" in note for note in report.notes)


def test_a_contrast_of_which_the_model_never_said_a_word_is_undecided(
    log: Path, tmp_path: Path
) -> None:
    with open_workspace(tmp_path / "ws", Mumbling()) as ws:
        ws.ingest(log)
        report = ws.learn()
    assert {u.reason for u in report.untested} == {"the model gave no usable answer; learn again"}


def test_when_the_log_grows_the_fold_goes_on_and_names_stay(
    learned: Learned, tmp_path: Path
) -> None:
    path = copy_of(learned, tmp_path)
    intent, name = next((i, sorted(names)[0]) for i, names in learned.found.items() if names)
    with open_workspace(path) as ws:
        ws.reject(intent=intent, name=name)
        ws.ingest(more_of_the_world(tmp_path))
        report = ws.learn()
    found = served(report)
    assert name not in found[intent]
    before = {(i, n) for i, names in learned.found.items() for n in names} - {(intent, name)}
    after = {(i, n) for i, names in found.items() for n in names}
    assert len(before & after) >= 0.8 * len(before)
    # What was rejected does not come back under another name.
    wishes = planted_of(name)
    again = [n for n in found[intent] if planted_of(n) & wishes]
    assert not again


def test_forgetting_recalls_the_engine_of_the_last_run_whatever_is_set_now(
    learned: Learned, tmp_path: Path
) -> None:
    with open_workspace(copy_of(learned, tmp_path), GenericFakeChatModel(messages=iter(()))) as ws:
        receipt = ws.forget(WORLD.person("expert", 1).id)
        live = ws.stats()["live_aspects"]
    total = sum(map(len, learned.found.values()))
    assert len(receipt["retired"]) <= 2
    assert live >= total - 2


def test_the_words_that_only_few_stand_behind_are_never_written_down(
    learned: Learned, tmp_path: Path
) -> None:
    with open_workspace(copy_of(learned, tmp_path)) as ws:
        kept = kept_claims(ws.ledger, preference_source(ws.settings.model or ""))
        heard = hear(
            ws.ledger, preference_source(ws.settings.model or ""), one_intent=False, share=0.5
        )
        person = {t.voiced.id: t.voiced.person for ts in heard.finding.values() for t in ts}
        claims = [(k, i) for k in kept.values() for i in range(len(k.claims))]
        assert claims
        assert all(len({person[p] for p in k.support[i]}) >= 5 for k, i in claims)
        place, smallest = min(
            ((place, k) for place, k in kept.items()), key=lambda pair: len(pair[1].support[0])
        )
        name = smallest.claims[0].name
        backers = {person[p] for p in smallest.support[0]}
        raw = {
            ws.person(WORLD.person(g, n).id): WORLD.person(g, n).id
            for g in WORLD.groups
            for n in range(80)
        }
        for backer in sorted(backers)[: len(backers) - 4]:
            ws.forget(raw[backer])
        left = kept_claims(ws.ledger, preference_source(ws.settings.model or ""))[place]
        assert name not in {c.name for c in left.claims}
        told = [a.name for r in ws.rubrics() if r.intent == place[0] for a in r.aspects]
        assert name not in told
        versions = ws.history(intent=place[0])
        assert not any(a["name"] == name for v in versions for a in v.body["aspects"])


def test_one_person_does_not_crowd_out_the_others(tmp_path: Path) -> None:
    world = VoicedWorld(seed=6, people=10)
    records = list(world.log())
    loud = [r for r in records if r["user"] == records[0]["user"]]
    flood = [{**r, "id": f"{r['id']}-again-{i}"} for i in range(60) for r in loud]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records + flood))
    with open_workspace(tmp_path / "ws") as ws:
        ws.ingest(path)
        ws.learn()
        heard = hear(
            ws.ledger, preference_source(ws.settings.model or ""), one_intent=False, share=0.5
        )
    for part in (heard.finding, heard.testing):
        for turns in part.values():
            said = Counter((t.voiced.person, t.group) for t in turns)
            assert max(said.values()) <= 20


def test_thumbs_without_a_word_are_told_apart_from_no_judgment(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        for n in range(30):
            messages = [
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": "Because.", "judgment": 1 if n % 2 else -1},
            ]
            record = {"id": str(n), "user": str(n), "group": "novice", "messages": messages}
            file.write(json.dumps(record) + "\n")
    with open_workspace(tmp_path / "ws") as ws:
        ws.ingest(path)
        notes = ws.learn().notes
    assert any("none has a reply" in note for note in notes)
    assert not any("No judged answer: nothing" in note for note in notes)


def test_people_who_say_the_same_in_the_same_words_are_as_many_people(tmp_path: Path) -> None:
    model = SimulatedChatModel(provider=SimulatedProvider(paraphrases=False))
    log = tmp_path / "log.jsonl"
    write_log(WORLD, log)
    with open_workspace(tmp_path / "ws", model=model) as ws:
        ws.ingest(log)
        report = ws.learn()
    assert sum(a.status == "live" for r in report.rubrics for a in r.aspects) >= 6
