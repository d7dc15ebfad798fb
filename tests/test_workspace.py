from __future__ import annotations

import json
import sqlite3
import stat
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Aspect, Judgment, Rubric, Workspace
from gpa_agent.conversations.records import Label
from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import DataError, UsageError, WorkspaceError
from gpa_agent.evaluation.audit import audit
from gpa_agent.learning.harm import Effects, served_effects
from gpa_agent.rubrics.records import Contrast, ContrastModel


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, chat_log: Path) -> Path:
    """A workspace that has learned; tests copy it."""
    path = tmp_path_factory.mktemp("learned") / "ws.gpa"
    with Workspace.open(
        path, groups=["novice", "expert"], encoder=HashingEncoder(), holdout=0.0
    ) as ws:
        ws.ingest(chat_log)
        ws.learn()
    return path


@pytest.fixture
def ws(learned: Path, tmp_path: Path) -> Workspace:
    import shutil

    shutil.copytree(learned, tmp_path / "copy.gpa")
    return Workspace.open(tmp_path / "copy.gpa", encoder=HashingEncoder())


def live_names(ws: Workspace, intent: str) -> set[str]:
    return {
        a.name for r in ws.rubrics() if r.intent == intent for a in r.aspects if a.status == "live"
    }


def seed(name: str = "haiku", intent: str = "poetry") -> Rubric:
    aspect = Aspect(
        name=name,
        rating=3,
        interpretation="By hand.",
        guidance={"novice": "Write a haiku."},
        status="live",
    )
    return Rubric(
        intent=intent,
        contrast=ContrastModel(group="novice", other="expert"),
        version=0,
        aspects=(aspect,),
    )


def test_a_new_workspace_keeps_what_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "a.gpa"
    with Workspace.open(
        path, groups=["a", "b"], intents={"x": "about x"}, contrasts=[Contrast("a")], min_people=7
    ):
        pass
    with Workspace.open(path) as again:
        assert again.settings.groups == ("a", "b")
        assert again.settings.intents["x"].description == "about x"
        assert again.settings.contrasts == (ContrastModel(group="a", other="*"),)
        assert again.settings.min_people == 7
    assert stat.S_IMODE((path / "people.key").stat().st_mode) == 0o600


def test_the_environment_wins_and_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPA_HOLDOUT", "0.2")
    with Workspace.open(tmp_path / "a.gpa", min_people=6) as ws:
        assert ws.settings.holdout == 0.2
    assert "holdout" not in json.loads((tmp_path / "a.gpa" / "settings.json").read_text())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format": 99}', "newer gpa-agent"),
        ("{", "not valid JSON"),
        ('{"groups": []}', "not a gpa-agent settings file"),
    ],
)
def test_a_workspace_that_cannot_be_read(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(WorkspaceError, match=said):
        Workspace.open(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["settings.json"]


def test_misuse_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gpa init"):
        Workspace.open(tmp_path / "none.gpa", create=False)
    with pytest.raises(UsageError, match="holdout"):
        Workspace.open(tmp_path / "b.gpa", holdout=3)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(WorkspaceError, match="other things"):
        Workspace.open(tmp_path / "photos")
    with pytest.raises(WorkspaceError, match="is a file"):
        Workspace.open(tmp_path / "photos" / "cat.jpg")


def test_learning_finds_what_was_planted_and_leaves_the_rest_empty(ws: Workspace) -> None:
    assert live_names(ws, "explanation")
    assert live_names(ws, "planning") == set()
    assert "planning" in {r.intent for r in ws.rubrics()}
    rubric = ws.rubric(intent="explanation", group="novice")
    assert rubric is not None
    assert all(a.status == "live" for a in rubric.aspects)
    assert ws.rubric(intent="planning", group="novice") is None
    assert ws.rubric(intent="explanation", group="stranger") is None


def test_learning_again_changes_nothing(ws: Workspace) -> None:
    before = [r.model_dump() for r in ws.rubrics()]
    report = ws.learn()
    assert [r.model_dump() for r in ws.rubrics()] == before
    for stage in ("judge", "explain", "measure", "train", "label"):
        assert report.stages[stage].done == 0


def test_shuffled_groups_show_nothing(
    chat_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a fixed key people are dealt the same way in every run of this test. Promised: at most
    # one in ten.
    monkeypatch.setenv("GPA_PEOPLE_KEY", "fixed for the test")
    with Workspace.open(
        tmp_path / "null.gpa", groups=["novice", "expert"], encoder=HashingEncoder()
    ) as ws:
        ws.ingest(chat_log)
        ws.learn()
        assert sum(n > 0 for n in ws.learn_null(20)) <= 2


def test_review_waits_for_approval(chat_log: Path, workspace: Workspace) -> None:
    workspace.ingest(chat_log)
    workspace.learn(publish="review")
    assert workspace.stats()["live_aspects"] == 0
    waiting = {
        a.name
        for r in workspace.rubrics()
        if r.intent == "explanation"
        for a in r.aspects
        if a.status == "approved"
    }
    assert waiting
    workspace.approve(intent="explanation")
    assert live_names(workspace, "explanation") == waiting
    refused = next(
        (a.name for r in workspace.rubrics() for a in r.aspects if a.status == "candidate"), None
    )
    if refused is not None:
        with pytest.raises(UsageError, match="did not pass"):
            workspace.approve(
                intent=next(
                    r.intent for r in workspace.rubrics() for a in r.aspects if a.name == refused
                ),
                name=refused,
            )


def test_rejected_stays_out_until_approved(ws: Workspace) -> None:
    name = sorted(live_names(ws, "explanation"))[0]
    ws.reject(intent="explanation", name=name)
    ws.learn()
    assert name not in live_names(ws, "explanation")
    ws.approve(intent="explanation", name=name)
    assert name in live_names(ws, "explanation")
    with pytest.raises(UsageError, match="no aspect"):
        ws.reject(intent="explanation", name="nothing")
    with pytest.raises(UsageError, match="no rubric of intent"):
        ws.reject(intent="nothing", name=name)


def test_rejected_is_shown_and_can_be_approved_at_once(ws: Workspace) -> None:
    name = sorted(live_names(ws, "explanation"))[0]
    ws.reject(intent="explanation", name=name)
    shown = {a.name: a.status for r in ws.rubrics() if r.intent == "explanation" for a in r.aspects}
    assert shown[name] == "retired"
    ws.approve(intent="explanation", name=name)
    assert name in live_names(ws, "explanation")


def test_rollback_restores_at_once_and_outlasts_learning(ws: Workspace) -> None:
    first = live_names(ws, "explanation")
    name = sorted(first)[0]
    ws.reject(intent="explanation", name=name)
    restored = ws.rollback(intent="explanation", version=1)
    assert restored.version == 3
    assert live_names(ws, "explanation") == first
    ws.rollback(intent="explanation", version=2)
    ws.learn()
    assert live_names(ws, "explanation") == first - {name}
    assert [v.version for v in ws.history(intent="explanation")] == [1, 2, 3, 4]
    with pytest.raises(UsageError, match="no version 9"):
        ws.rollback(intent="explanation", version=9)


def explained(ws: Workspace) -> Rubric:
    """What is live for explanations."""
    rubric = ws.rubric(intent="explanation", group="novice")
    assert rubric is not None
    return rubric


def published(ws: Workspace, *aspects: Aspect) -> None:
    """Serve explanations so from now on."""
    rubric = explained(ws).model_copy(update={"aspects": aspects})
    ws.ledger.publish(rubric.model_dump(mode="json"), reason="a run")
    ws.refresh()


def opposite(aspect: Aspect) -> Aspect:
    """What would have been found had the groups' tastes been the other's."""
    assert aspect.evidence is not None
    evidence = aspect.evidence.model_copy(update={"effect": -aspect.evidence.effect})
    guidance = {group: f"Not so: {words}" for group, words in aspect.guidance.items()}
    return aspect.model_copy(update={"guidance": guidance, "evidence": evidence})


def test_what_was_rolled_back_to_outlasts_learning_until_it_is_rejected(ws: Workspace) -> None:
    learned = explained(ws).aspects
    published(ws, learned[0].model_copy(update={"name": "unfounded"}))
    published(ws, *learned)
    ws.rollback(intent="explanation", version=2)
    ws.learn()
    assert live_names(ws, "explanation") == {"unfounded"}
    ws.reject(intent="explanation", name="unfounded")
    ws.learn()
    assert live_names(ws, "explanation") == set()


def test_a_rollback_while_a_run_publishes_is_not_undone(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = explained(ws).aspects
    published(ws, learned[0].model_copy(update={"name": "unfounded"}))
    published(ws)
    runs: list[None] = []

    def meanwhile(*args: Any, **options: Any) -> Effects:
        if not runs:
            ws.rollback(intent="explanation", version=2)
        runs.append(None)
        return served_effects(*args, **options)

    monkeypatch.setattr("gpa_agent.learning.pipeline.served_effects", meanwhile)
    ws.learn()
    assert len(runs) == 2
    assert live_names(ws, "explanation") == {"unfounded", *(a.name for a in learned)}


def test_neither_forgetting_nor_a_dip_lifts_the_quarantine_but_a_person_does(
    ws: Workspace,
) -> None:
    found = explained(ws).aspects[0]
    published(ws, opposite(found))
    ws.learn()
    assert explained(ws).aspects == (opposite(found),)
    ws.forget("simulated-11-0-0000")
    assert [a.guidance for a in explained(ws).aspects] == [opposite(found).guidance]
    ws.learn()
    assert [a.guidance for a in explained(ws).aspects] == [opposite(found).guidance]
    published(ws)
    ws.learn()
    assert found.name not in live_names(ws, "explanation")

    ws.approve(intent="explanation", name=found.name)
    served = {a.name: a.guidance for a in explained(ws).aspects}
    assert served[found.name] == found.guidance


def test_what_was_approved_out_of_quarantine_waits_no_more(ws: Workspace) -> None:
    found = explained(ws).aspects[0]
    published(ws, opposite(found))
    ws.learn()
    waiting = {w.aspect for w in audit(ws).to_approve}
    assert found.name in waiting
    ws.approve(intent="explanation")
    shown = [a.name for r in ws.rubrics() if r.intent == "explanation" for a in r.aspects]
    assert len(shown) == len(set(shown))
    assert not waiting & {w.aspect for w in audit(ws).to_approve}
    assert not any(r.kind.startswith("quarantined") for r in audit(ws).refusals)
    with pytest.raises(UsageError, match="nothing that waits"):
        ws.approve(intent="explanation")


def test_another_process_sees_a_change_within_a_second(ws: Workspace) -> None:
    with Workspace.open(ws.path, encoder=HashingEncoder()) as server:
        assert server.rubric(intent="poetry", group="novice") is None
        ws.import_rubrics([seed()])
        seen = threading.Event()
        for _ in range(100):
            if server.rubric(intent="poetry", group="novice") is not None:
                seen.set()
                break
            time.sleep(0.05)
        assert seen.is_set()


def test_seeds_are_marked_and_exported_rubrics_come_back(ws: Workspace) -> None:
    ws.import_rubrics([seed()])
    rubric = ws.rubric(intent="poetry", group="novice")
    assert rubric is not None
    assert rubric.aspects[0].evidence is None
    assert rubric.guidance("novice") == ("Write a haiku.",)
    ws.learn()
    assert live_names(ws, "poetry") == {"haiku"}
    exported = ws.export_rubrics()
    assert {r.intent for r in exported} >= {"poetry", "explanation"}
    assert Rubric.model_validate_json(exported[0].model_dump_json()) == exported[0]


def test_feedback_wins_and_is_checked(ws: Workspace) -> None:
    ws.record_turn(
        conversation="t",
        key="1",
        user="How?",
        assistant="So.",
        user_id="u",
        group=None,
        intent=None,
        trace={},
    )
    before = ws.stats()["explicit_judgments"]
    ws.feedback(conversation="t", turn=0, judgment=Judgment.DSAT, user="u")
    assert ws.stats()["explicit_judgments"] == before + 1
    with pytest.raises(UsageError, match="no answered turn"):
        ws.feedback(conversation="nowhere", turn=0, judgment=1)
    with pytest.raises(UsageError, match="is not 1"):
        ws.feedback(conversation="simulated-11-0-0000-0", turn=0, judgment=5)
    with pytest.raises(UsageError, match="another user"):
        ws.feedback(conversation="simulated-11-0-0000-0", turn=0, judgment=1, user="somebody")


def test_a_recorded_turn_is_judged_by_the_next(workspace: Workspace) -> None:
    def record(key: str, said: str) -> None:
        workspace.record_turn(
            conversation="t",
            key=key,
            user=said,
            assistant="Use sorted().",
            user_id="u",
            group=Label("novice", 1.0, "context"),
            intent=Label("debugging", 0.9, "classifier"),
            trace={"mode": "plain"},
        )

    record("1", "How do I sort a list?")
    assert workspace.catch_up().judged == 0
    record("2", "Perfect, that fixed it, thank you!")
    record("2", "Perfect, that fixed it, thank you!")
    assert workspace.stats()["judgments"] == 0  # what follows the reply never waits for a judge
    assert workspace.catch_up().judged == 1
    assert workspace.stats() | {"judgments": 1, "turns": 2, "people": 1} == workspace.stats()


def test_forgetting_deletes_and_recomputes(ws: Workspace) -> None:
    people = ws.stats()["people"]
    receipt = ws.forget("simulated-11-0-0000")
    assert receipt["deleted"]["conversations"] > 0
    assert ws.stats()["people"] == people - 1
    assert ws.forget("simulated-11-0-0000")["deleted"]["conversations"] == 0
    with pytest.raises(UsageError):
        ws.feedback(conversation="simulated-11-0-0000-0", turn=0, judgment=1)


def test_forgetting_reaches_evidence_and_never_publishes(
    chat_log: Path, workspace: Workspace
) -> None:
    workspace.ingest(chat_log)
    workspace.learn(publish="review")
    workspace.approve(intent="explanation")
    waiting = {a.name for r in workspace.rubrics() for a in r.aspects if a.status == "approved"}
    assert waiting
    before = workspace.rubric(intent="explanation", group="novice")
    assert before is not None
    evidence = before.aspects[0].evidence
    assert evidence is not None
    people = evidence.people["novice"]
    live = live_names(workspace, "debugging")

    receipt = workspace.forget("simulated-11-0-0000")
    assert receipt["deleted"]["links"] >= 0
    after = workspace.rubric(intent="explanation", group="novice")
    assert after is not None
    evidence = after.aspects[0].evidence
    assert evidence is not None
    assert evidence.people["novice"] == people - 1
    assert live_names(workspace, "debugging") == live == set()

    runs = len(workspace.history(intent="explanation"))
    workspace.forget("nobody at all")
    assert len(workspace.history(intent="explanation")) == runs


def test_links_lead_to_preferences_and_go_with_their_person(ws: Workspace) -> None:
    def links() -> set[str]:
        return {
            link
            for r in ws.rubrics()
            for a in r.aspects
            if a.evidence is not None
            for ids in a.evidence.preferences.values()
            for link in ids
        }

    with closing(sqlite3.connect(ws.path / "ledger.sqlite")) as connection:
        rows = connection.execute(
            "select p.id, c.person from preferences p join conversations c on c.id = p.subject_id"
        )
        owner = dict(rows.fetchall())
    linked = links()
    assert linked <= owner.keys()
    users = {ws.person(f"simulated-11-0-{n:04d}"): f"simulated-11-0-{n:04d}" for n in range(60)}
    user = next(users[owner[link]] for link in sorted(linked) if owner[link] in users)
    theirs = {link for link in linked if owner[link] == ws.person(user)}
    ws.forget(user)
    assert not theirs & links()
    raw = b"".join(p.read_bytes() for p in ws.path.glob("ledger.sqlite*"))
    assert not [link for link in theirs if link.encode() in raw]


def test_another_encoder_is_taken_up(ws: Workspace) -> None:
    class Other(HashingEncoder):
        name = "other"

    path = ws.path
    ws.close()
    with Workspace.open(path, encoder=Other()) as again:
        assert again.learn().stages["train"].done >= 1
        classifier = again.intent_classifier()
        assert classifier is not None
        assert classifier.classify(["Why does my loop stop?"])


def test_groups_not_compared_now_stay_as_they_are(ws: Workspace) -> None:
    live, path = live_names(ws, "explanation"), ws.path
    ws.close()
    with Workspace.open(path, groups=["someone", "else"], encoder=HashingEncoder()) as other:
        other.learn()
        assert live_names(other, "explanation") == live


def test_a_process_that_learned_follows_the_others(ws: Workspace) -> None:
    ws.learn()
    ws.snapshot()
    with Workspace.open(ws.path, encoder=HashingEncoder()) as other:
        other.import_rubrics([seed()])
    for _ in range(100):
        if ws.rubric(intent="poetry", group="novice") is not None:
            break
        time.sleep(0.05)
    assert ws.rubric(intent="poetry", group="novice") is not None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"groups": ["a", "a"]}, "named twice"),
        ({"contrasts": [("a", "a")]}, "another side"),
        ({"contrasts": [("*", "a")]}, "named group"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Workspace.open(tmp_path / "a.gpa", **wrong)
    assert not (tmp_path / "a.gpa" / "ledger.sqlite").exists()


def test_publish_is_checked(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="'atuo'"):
        workspace.learn(publish="atuo")  # type: ignore[arg-type]  # what a caller without types does


def test_search_finds_by_meaning_and_survives_a_damaged_index(ws: Workspace) -> None:
    ws.import_rubrics([seed()])
    found = ws.search_rubrics("Write a haiku for novice poetry", limit=2)
    assert found[0][1].name == "haiku"
    ws.close()
    for file in (ws.path / "chroma").glob("**/*"):
        if file.is_file():
            file.write_bytes(b"garbage")
    with Workspace.open(ws.path, encoder=HashingEncoder()) as again:
        assert again.search_rubrics("Write a haiku for novice poetry")[0][1].name == "haiku"
        again.reject(intent="poetry", name="haiku")
        assert "haiku" not in {a.name for _, a, _ in again.search_rubrics("haiku")}


def test_a_rubric_file_of_the_wrong_shape_cannot_be_a_rubric() -> None:
    with pytest.raises(ValueError, match="rating"):
        Aspect.model_validate(
            {"name": "x", "rating": 9, "interpretation": "", "guidance": {}, "status": "live"}
        )


def test_ingesting_is_a_stage_of_the_report(chat_log: Path, workspace: Workspace) -> None:
    done = workspace.ingest(chat_log).conversations
    assert workspace.learn().stages["ingest"].done == done
    assert workspace.learn().stages["ingest"].done == 0


def test_a_failed_log_changes_no_settings(ws: Workspace, tmp_path: Path) -> None:
    path, settings = ws.path, (ws.path / "settings.json").read_bytes()
    ws.close()
    (tmp_path / "bad.jsonl").write_text("{")
    with Workspace.open(path, groups=["x", "y"], encoder=HashingEncoder()) as again:
        with pytest.raises(DataError):
            again.ingest(tmp_path / "bad.jsonl")
        assert (path / "settings.json").read_bytes() == settings
        again.learn()
        assert (path / "settings.json").read_bytes() != settings


@pytest.mark.parametrize(
    "wrong", [{"groups": "novice,expert"}, {"intents": ["debugging"]}, {"contrasts": "ab"}]
)
def test_settings_of_the_wrong_kind(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Workspace.open(tmp_path / "a.gpa", **wrong)


def test_records_are_not_a_log(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="binary stream"):
        workspace.ingest([])  # type: ignore[arg-type]  # what a caller without types does
    with pytest.raises(UsageError, match="empty"):
        workspace.forget("")


def test_a_lost_key_is_not_replaced(ws: Workspace) -> None:
    ws.close()
    (ws.path / "people.key").unlink()
    with pytest.raises(WorkspaceError, match="restore it"):
        Workspace.open(ws.path)
    assert not (ws.path / "people.key").exists()


def test_a_duplicate_id_names_its_line(workspace: Workspace, tmp_path: Path) -> None:
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    other = [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]
    lines = [json.dumps({"id": "c1", "messages": m}) for m in (said, other)]
    (tmp_path / "twice.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"twice\.jsonl:2: id 'c1' is known"):
        workspace.ingest(tmp_path / "twice.jsonl")
    assert workspace.stats()["conversations"] == 0


@pytest.mark.parametrize(
    "parameters",
    [
        {"api_key": "sk-SWORDFISH"},
        {"default_headers": {"x-api": "SWORDFISH"}},
        {"base_url": "https://me:SWORDFISH@host/v1"},
        {"base_url": "https://host/v1?token=SWORDFISH"},
        {"model_kwargs": {"api_key": "SWORDFISH"}},
        {"azure_ad_token": "SWORDFISH"},
    ],
)
def test_a_secret_is_not_taken_as_a_setting_and_not_shown(
    tmp_path: Path, parameters: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match="environment variable") as refused:
        Workspace.open(tmp_path / "ws", model="openai:any", model_parameters=parameters)
    assert "SWORDFISH" not in str(refused.value)
    assert not any("SWORDFISH" in f.read_text() for f in tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [("gpt-4o-mini", "openai:gpt-4o-mini"), ("embedded", None), ("", None)],
)
def test_the_model_has_one_name_wherever_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, kept: str | None
) -> None:
    monkeypatch.setenv("GPA_MODEL", given)
    with Workspace.open(tmp_path / "ws") as ws:
        assert ws.settings.model == kept
