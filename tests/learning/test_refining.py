"""A log that grows: what is asked again, what stays, and what a turn's own rubric may not prove."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any, NamedTuple

import pytest

from gpa_agent import Workspace
from gpa_agent.errors import ModelError
from gpa_agent.learning.cases import Heard, hear
from gpa_agent.learning.kept_claims import KeptClaims, kept_claims
from gpa_agent.learning.model_preferences import preference_source
from gpa_agent.learning.report import LearnReport
from gpa_agent.learning.spending import Spend
from gpa_agent.testing.voiced_world import VoicedWorld, planted_of
from tests.learning.conftest import WORLD, Learned, open_workspace

QUESTIONS = ("aspects", "merging", "voices", "validity")


def asked(report: LearnReport, *prompts: str) -> int:
    assert report.model is not None
    return sum(report.model.by_prompt.get(p, {}).get("calls", 0) for p in prompts or QUESTIONS)


def effects(report: LearnReport) -> dict[tuple[str, frozenset[str]], float]:
    """Effects of the live items, by intent and wish: names differ by how a wish is put."""
    return {
        (r.intent, planted_of(" ".join(a.guidance.values()))): a.evidence.effect
        for r in report.rubrics
        for a in r.aspects
        if a.status == "live" and a.evidence is not None
    }


def ingest(ws: Workspace, records: list[dict[str, Any]], folder: Path) -> None:
    path = folder / "some.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    ws.ingest(path)


def shuffled_log(world: VoicedWorld) -> list[dict[str, Any]]:
    records = list(world.log())
    Random(world.seed).shuffle(records)
    return records


def learn_tenth(ws: Workspace, records: list[dict[str, Any]], n: int, folder: Path) -> LearnReport:
    ingest(ws, records[len(records) * n // 10 : len(records) * (n + 1) // 10], folder)
    return ws.learn()


def kept_of(ws: Workspace) -> dict[tuple[str, str, str], KeptClaims]:
    return kept_claims(ws.ledger, preference_source(ws.settings.model or ""))


def heard_of(ws: Workspace) -> Heard:
    source = preference_source(ws.settings.model or "")
    return hear(ws.ledger, source, one_intent=False, share=0.5)


class Ended(NamedTuple):
    """How a log learned in portions ended, beside the same log learned at once."""

    agreement: float
    """Jaccard of what is live, by intent and wish."""
    apart: float
    """Largest difference between the effects of what is live in both."""


def portions_against_whole(seed: int, folder: Path) -> Ended:
    records = shuffled_log(VoicedWorld(seed=seed, people=100, explicit=1.0))
    with open_workspace(folder / f"once-{seed}", concurrency=40) as ws:
        ingest(ws, records, folder)
        once = ws.learn()
    with open_workspace(folder / f"ten-{seed}", concurrency=40) as ws:
        *_, last = (learn_tenth(ws, records, n, folder) for n in range(10))
        again = ws.learn()
    # A tenth of the explaining, and of the contrasts what is new.
    assert last.calls <= 0.2 * once.calls
    assert asked(last) <= 0.5 * asked(once)
    assert again.calls == 0
    assert again.rubrics == last.rubrics
    whole, portions = effects(once), effects(last)
    both = whole.keys() & portions.keys()
    return Ended(
        len(both) / len(whole.keys() | portions.keys()),
        max(abs(whole[key] - portions[key]) for key in both),
    )


@pytest.mark.parametrize("seeds", [(1,), pytest.param((2, 3, 4), marks=pytest.mark.slow)])
def test_ten_portions_end_as_the_whole_log_does(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    ended = [portions_against_whole(seed, tmp_path) for seed in seeds]
    assert mean(e.agreement for e in ended) >= 0.8
    assert min(e.agreement for e in ended) >= 0.6
    assert max(e.apart for e in ended) <= 0.25


def test_a_few_new_preferences_are_attributed_and_nothing_else_is_asked(
    learned: Learned, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(learned.path, tmp_path / "copy"))
    new = [r for r in VoicedWorld(seed=0, people=83).log() if int(r["user"][-4:]) >= 80]
    with open_workspace(path) as ws:
        before = kept_of(ws)
        ingest(ws, new, tmp_path)
        report = ws.learn()
        after = kept_of(ws)
    assert asked(report, "aspects", "merging", "validity") == 0
    assert 1 <= asked(report, "voices") <= len(before)
    assert {k: v.claims for k, v in after.items()} == {k: v.claims for k, v in before.items()}
    for place, kept in after.items():
        assert kept.seen == before[place].seen
        old = before[place].voices
        assert all((kept.voices[i].values == v.values).all() for i, v in old.items())
        assert len(kept.voices) > len(old)


def test_a_new_fold_keeps_the_words_of_what_it_names_again(
    learned: Learned, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(learned.path, tmp_path / "copy"))
    new = [r for r in VoicedWorld(seed=0, people=120).log() if int(r["user"][-4:]) >= 80]
    with open_workspace(path, concurrency=40) as ws:
        before = kept_of(ws)
        ingest(ws, new, tmp_path)
        report = ws.learn()
        after = kept_of(ws)
    assert asked(report, "aspects") >= 1
    for place, kept in after.items():
        now = {c.item.name: c.item for c in kept.found}
        for was in before[place].found:
            if was.verdict == "proven":
                item = now[was.item.name]
                assert item.first_wants == was.item.first_wants
                assert item.second_wants == was.item.second_wants
        assert before[place].seen <= kept.seen
        assert len(kept.claims) <= 12 + sum(c.verdict == "proven" for c in kept.found)


def test_a_run_that_stops_half_way_goes_on_and_ends_the_same(
    learned: Learned, tmp_path: Path
) -> None:
    new = [r for r in VoicedWorld(seed=0, people=120).log() if int(r["user"][-4:]) >= 80]
    reports: dict[str, LearnReport] = {}
    calls = 0
    for name in ("whole", "stopped"):
        with open_workspace(Path(shutil.copytree(learned.path, tmp_path / name))) as ws:
            ingest(ws, new, tmp_path)
            if name == "stopped":
                # Among the last questions: the folds are through, the attributions are not.
                with pytest.raises(ModelError):
                    ws.learn(spend=Spend(max_calls=calls - 6))
            reports[name] = ws.learn()
        calls = reports["whole"].calls
    assert 0 < reports["stopped"].calls <= 6
    assert reports["stopped"].rubrics == reports["whole"].rubrics


def test_forgetting_takes_a_person_out_of_what_folds_have_seen(
    learned: Learned, tmp_path: Path
) -> None:
    with open_workspace(Path(shutil.copytree(learned.path, tmp_path / "copy"))) as ws:
        finding = heard_of(ws).finding
        users = [WORLD.person(group, n).id for group in WORLD.groups for n in range(80)]
        spoke = {t.voiced.person for turns in finding.values() for t in turns}
        user = next(u for u in users if ws.person(u) in spoke)
        theirs = {
            t.voiced.id
            for turns in finding.values()
            for t in turns
            if t.voiced.person == ws.person(user)
        }
        before = kept_of(ws)
        ws.forget(user)
        after = kept_of(ws)
        assert sum(len(k.seen) for k in after.values()) == sum(
            len(k.seen) for k in before.values()
        ) - len(theirs)
        assert not theirs & {i for k in after.values() for ids in k.support for i in ids}
        assert ws.learn().calls == 0


def record(ws: Workspace, user: str, trace: dict[str, Any]) -> None:
    """A turn that pleased and voices a wish, as the app records it."""
    said = ("How do I start?", "Thanks, that helps. I like that you name the costs.")
    for n, text in enumerate(said):
        ws.ledger.record_turn(
            conversation=f"c-{user}",
            key=str(n),
            user=text,
            assistant="First this, then that.",
            person=ws.person(user),
            served=trace,
        )


def test_a_turn_is_silent_of_what_it_was_served_and_of_that_alone(tmp_path: Path) -> None:
    trace = {"mode": "context", "intent": "debugging", "group": "novice", "rubric_version": 1}
    with open_workspace(tmp_path / "ws") as ws:
        record(ws, "ann", {**trace, "aspects": ["costs"]})
        record(ws, "ben", {"mode": "plain", "arm": "holdout", "aspects": []})
        record(ws, "cleo", {**trace, "mode": "finetuned", "aspects": []})
        ws.learn()
        source = preference_source(ws.settings.model or "")
        heard = hear(ws.ledger, source, one_intent=True, share=0.5)
    parts = (heard.finding, heard.testing)
    turns = [t for part in parts for some in part.values() for t in some]
    silent = {t.input_id: [n for n in ("costs", "humour") if t.silent_of(n)] for t in turns}
    assert silent == {"t:c-ann:0": ["costs"], "t:c-ben:0": [], "t:c-cleo:0": ["costs", "humour"]}
