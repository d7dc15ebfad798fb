from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from gpa_agent.conversations import Conversation, Judgment, Label, Message, PreferencePair, Turn
from gpa_agent.ledger import CallRow, JudgmentRow, LabelRow, Ledger, PreferenceRow
from gpa_agent.ledger.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEY = b"k" * 32


def fill(ledger: Ledger, user: str, secret: str) -> None:
    """Two turns and a pair of a person, with something of every stage about them."""
    with ledger.ingesting("log") as ingest:
        ingest.add(
            Conversation(
                id=f"c-{user}",
                user=user,
                metadata={"note": secret},
                turns=(
                    Turn(user=f"{secret} asked", assistant=f"{secret} told", judgment=Judgment.SAT),
                    Turn(user=f"{secret} thanked"),
                ),
            )
        )
        prompt = (Message("user", f"{secret} prompt"),)
        ingest.add(
            PreferencePair(
                id=f"p-{user}", user=user, prompt=prompt, chosen=secret, rejected=secret * 2
            )
        )
    ledger.record_turn(
        conversation=f"live-{user}",
        key="1",
        user=secret,
        assistant=secret,
        person=ledger.person(user),
        intent=Label("x", 0.5, "classifier"),
    )
    ledger.add_judgments([JudgmentRow(f"live-{user}", 0, Judgment.DSAT, 0.9, "cues", "1")])
    ledger.add_labels([LabelRow("pair", f"p-{user}", "intent", "x", 0.9, "classifier", "1")])
    ledger.add_stage_results(
        "traits",
        "1",
        [(f"t:c-{user}:0", secret.encode()), (f"c:p-{user}", b"1"), (f"r:p-{user}", b"2")],
    )
    row = PreferenceRow(
        f"e-{user}", "conversation", f"c-{user}", 0, 1, secret, secret, (secret,), "cues"
    )
    ledger.add_preferences([row], source="cues", seen=[f"t:c-{user}:0"])
    about = (f"t:c-{user}:0", f"conversation:c-{user}", f"pair:p-{user}", f"c:p-{user}")
    ledger.add_calls([call(f"{user}{subject}", subject, secret) for subject in about])


def call(key: str, subject: str | None, answer: str) -> CallRow:
    return CallRow(key, "openai:any", "intent", "1", subject, answer, "stop", 9, 9, 0, None)


def rows(ledger: Ledger) -> dict[str, int]:
    with ledger._read() as connection:
        return {
            name: connection.exec_driver_sql(f"SELECT COUNT(*) FROM {name}").scalar_one()
            for name in metadata.tables
        }


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_forgotten_person_leaves_no_row_and_no_byte(path: Path) -> None:
    with Ledger.open(path, people_key=KEY) as ledger:
        fill(ledger, "ann", "SWORDFISH")
        before = rows(ledger)
        fill(ledger, "bob", "MARMALADE")
        assert ledger.forget(ledger.person("bob")) == {
            "links": 0,
            "preferences": 1,
            "labels": 2,
            "model_calls": 4,
            "stage_results": 4,
            "events": 1,
            "judgments": 2,
            "turns": 3,
            "conversations": 2,
            "pairs": 1,
        }
        assert not ledger.forgetting_compacted()
        assert ledger.compact()
        assert ledger.forgetting_compacted()
        after = rows(ledger)
        assert after.pop("meta") == before.pop("meta") + 2  # the epoch, and that it was compacted
        assert after == before
        assert b"MARMALADE" not in on_disk(path)
        assert ledger.person("bob").encode() not in on_disk(path)
        assert b"SWORDFISH" in on_disk(path)


def test_calls_about_many_go_with_anybody_whose_preference_may_be_in_them(ledger: Ledger) -> None:
    fill(ledger, "ann", "SWORDFISH")
    with ledger.ingesting("log") as ingest:
        ingest.add(Conversation(id="c-bob", user="bob", turns=(Turn(user="hi"),)))
    ledger.add_calls([call("fold", None, "wants CUMQUATS")])
    assert ledger.forget(ledger.person("bob"))["model_calls"] == 0
    assert ledger.call("fold") is not None
    assert ledger.forget(ledger.person("ann"))["model_calls"] == 5
    assert ledger.count_calls() == 0


def test_calls_that_were_answered_after_the_forgetting_go_too(ledger: Ledger) -> None:
    fill(ledger, "ann", "SWORDFISH")
    fill(ledger, "bob", "MARMALADE")
    ledger.forget(ledger.person("bob"))
    late = ("t:c-bob:0", "conversation:c-bob", "pair:p-bob", "t:c-ann:9", None)
    ledger.add_calls([call(f"late {subject}", subject, "MARMALADE") for subject in late])
    ledger.add_calls([call("elsewhere", "something else", "kept")])
    assert ledger.forget_stray_calls() == len(late)
    assert ledger.count_calls() == 5  # four about ann, and the one about nobody we know of


def test_forgetting_nobody_changes_nothing(ledger: Ledger) -> None:
    fill(ledger, "ann", "secret")
    before = rows(ledger)
    receipt = ledger.forget(ledger.person("stranger"))
    assert set(receipt.values()) == {0}
    assert rows(ledger) == before
    assert ledger.forget_epoch() == 0
    assert ledger.forgetting_settled()
    assert ledger.forgetting_compacted()


def test_every_forgetting_is_a_new_epoch_until_it_is_settled(ledger: Ledger) -> None:
    for number, user in enumerate(("ann", "bob"), start=1):
        fill(ledger, user, "secret")
        ledger.forget(ledger.person(user))
        assert ledger.forget_epoch() == number
    ledger.settle_forgetting(1)
    assert not ledger.forgetting_settled()
    ledger.settle_forgetting(2)
    assert ledger.forgetting_settled()


def test_what_settling_dropped_is_to_be_rewritten_too(path: Path) -> None:
    with Ledger.open(path, people_key=KEY) as ledger:
        fill(ledger, "ann", "secret")
        ledger.forget(ledger.person("ann"))
        assert ledger.compact()
        ledger.settle_forgetting(1)
        assert not ledger.forgetting_compacted()
        assert ledger.compact()
        assert ledger.forgetting_compacted()


def test_whoever_reads_delays_only_the_bytes(path: Path) -> None:
    with Ledger.open(path, people_key=KEY) as ledger, Ledger.open(path, people_key=KEY) as other:
        fill(ledger, "ann", "MARMALADE")
        with other._read() as reading:
            reading.exec_driver_sql("SELECT COUNT(*) FROM turns").scalar()
            assert ledger.forget(ledger.person("ann"))["turns"] == 3
            assert ledger.counts()["conversations"] == 0
            assert not ledger.compact(wait_seconds=0.1)
            # Nobody had to wait for it.
            began = time.monotonic()
            ledger.add_labels([LabelRow("pair", "p", "intent", "x", 0.9, "classifier", "1")])
            assert time.monotonic() - began < 1.0
            # It is true that they are still there: the reader may look at them.
            assert b"MARMALADE" in on_disk(path)
        # Open, and not reading: that does not keep anything.
        assert ledger.compact()
        assert b"MARMALADE" not in on_disk(path)


def rubric(*people: int, name: str = "steps", links: Sequence[str] = ()) -> dict[str, Any]:
    """A rubric of one item with so many people on each side."""
    evidence = {
        "people": dict(zip(("novice", "expert"), people, strict=True)),
        "preferences": {"novice": list(links)},
    }
    aspect = {"name": name, "status": "live", "guidance": {"novice": "x"}, "evidence": evidence}
    contrast = {"group": "novice", "other": "expert"}
    return {"intent": "debugging", "contrast": contrast, "version": 0, "aspects": [aspect]}


def speak(ledger: Ledger, user: str, group: str | None, intent: str = "debugging") -> None:
    turn = Turn(user="How?", assistant="So.", judgment=Judgment.SAT)
    said = Conversation(id=f"c-{user}", user=user, group=group, intent=intent, turns=(turn,))
    with ledger.ingesting("log") as ingest:
        ingest.add(said)


@pytest.mark.parametrize(
    ("group", "intent", "left"),
    [
        ("novice", "debugging", ("steps", {"novice": 5, "expert": 5})),
        ("expert", "debugging", None),
        ("other", "debugging", ("steps", {"novice": 6, "expert": 5})),
        (None, "debugging", ("steps", {"novice": 6, "expert": 5})),
        ("expert", "cooking", ("steps", {"novice": 6, "expert": 5})),
    ],
)
def test_what_falls_under_k_is_out_at_once(
    ledger: Ledger, group: str | None, intent: str, left: tuple[str, dict[str, int]] | None
) -> None:
    speak(ledger, "ann", group, intent)
    ledger.publish(rubric(6, 5), reason="learned")
    ledger.forget(ledger.person("ann"), min_people=5)
    live = ledger.live_rubrics()[0]
    found = [(a["name"], a["evidence"]["people"]) for a in live.body["aspects"]]
    assert found == ([] if left is None else [left])
    assert live.version == live.body["version"] == (2 if left is None else 1)
    history = ledger.history(intent="debugging", group="novice", other="expert")
    assert [r.status for r in history].count("live") == 1
    assert (left is None) == ("fewer than 5" in history[-1].reason)


def test_of_everybody_else_counts_whoever_is_not_of_the_group(ledger: Ledger) -> None:
    speak(ledger, "ann", None)
    body = rubric(6, 6)
    body["contrast"]["other"] = "*"
    people = body["aspects"][0]["evidence"]["people"]
    people["*"] = people.pop("expert")
    ledger.publish(body, reason="learned")
    ledger.forget(ledger.person("ann"), min_people=5)
    assert ledger.live_rubrics()[0].body["aspects"][0]["evidence"]["people"] == {
        "novice": 6,
        "*": 5,
    }


def test_old_versions_lose_what_few_are_linked_to(ledger: Ledger) -> None:
    links = [f"e-{n}" for n in range(6)]
    for n in range(6):
        speak(ledger, str(n), "novice")
        row = PreferenceRow(f"e-{n}", "conversation", f"c-{n}", 0, 1, "a list", "said so", (), "")
        ledger.add_preferences([row], source="", seen=[])
    ledger.publish(rubric(9, 9, name="thin", links=links[:5]), reason="first")
    ledger.publish(rubric(9, 9, name="broad", links=links), reason="second")
    ledger.publish(rubric(9, 9, name="live", links=links[:5]), reason="third")
    assert ledger.forget(ledger.person("0"), min_people=5)["links"] == 3
    history = ledger.history(intent="debugging", group="novice", other="expert")
    assert [[a["name"] for a in r.body["aspects"]] for r in history] == [[], ["broad"], ["live"]]


def test_results_about_many_go_and_claims_stay_to_be_weighed_again(ledger: Ledger) -> None:
    speak(ledger, "ann", "novice")
    speak(ledger, "bob", "novice")
    place, other = '["debugging", "novice", "expert"]', '["cooking", "novice", "expert"]'
    ledger.add_stage_results("contrast", "1", [(place, b"sums"), (other, b"of others")])
    ledger.add_stage_results("claims", "model-a", [(place, b"a")])
    ledger.add_stage_results("claims", "model-b", [(place, b"b")])
    ledger.forget(ledger.person("bob"))
    assert ledger.stage_values("contrast", "1") == {other: b"of others"}
    assert ledger.forget_claims(but="model-a") == 1
    assert ledger.stage_values("claims", "model-a") == {place: b"a"}
    assert ledger.stage_values("claims", "model-b") == {}


def test_what_is_gone_is_told_by_its_name(ledger: Ledger) -> None:
    fill(ledger, "a:n:n", "secret")
    here = {"t:c-a:n:n:0", "t:c-a:n:n:1", "conversation:c-a:n:n", "c:p-a:n:n", "pair:p-a:n:n"}
    named_otherwise = {'["x", "y", "*"]', "t:", "t:c", ""}
    missing = {"t:c-a:n:n:2", "t:c-bob:0", "conversation:c-bob", "r:p-bob"}
    assert ledger.gone(here | named_otherwise | missing) == missing


def test_exports_are_noted_once(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.exports() == []
    for _ in range(2):
        ledger.add_export("lines", tmp_path / "pairs: all.jsonl")
        ledger.add_export("batch", tmp_path / "batch")
    assert ledger.exports() == [
        ("batch", tmp_path / "batch"),
        ("lines", tmp_path / "pairs: all.jsonl"),
    ]
