from __future__ import annotations

from typing import TYPE_CHECKING

from gpa_agent.conversations import Conversation, Judgment, Label, Message, PreferencePair, Turn
from gpa_agent.ledger import CallRow, JudgmentRow, LabelRow, Ledger, PreferenceRow
from gpa_agent.ledger.tables import metadata

if TYPE_CHECKING:
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


def test_a_forgotten_person_leaves_no_row_and_no_byte(path: Path, ledger: Ledger) -> None:
    fill(ledger, "ann", "SWORDFISH")
    before = rows(ledger)
    fill(ledger, "bob", "MARMALADE")
    assert ledger.forget(ledger.person("bob")) == {
        "links": 0,
        "preferences": 1,
        "labels": 2,
        "model_calls": 4,
        "stage_results": 4,
        "judgments": 2,
        "turns": 3,
        "conversations": 2,
        "pairs": 1,
        "compacted": 1,
    }
    assert rows(ledger) == before
    on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"MARMALADE" not in on_disk
    assert ledger.person("bob").encode() not in on_disk
    assert b"SWORDFISH" in on_disk


def test_calls_about_many_go_with_anybody_whose_preference_may_be_in_them(
    path: Path, ledger: Ledger
) -> None:
    fill(ledger, "ann", "SWORDFISH")
    with ledger.ingesting("log") as ingest:
        ingest.add(Conversation(id="c-bob", user="bob", turns=(Turn(user="hi"),)))
    ledger.add_calls([call("fold", None, "wants CUMQUATS")])
    assert ledger.forget(ledger.person("bob"))["model_calls"] == 0
    assert ledger.call("fold") is not None
    assert ledger.forget(ledger.person("ann"))["model_calls"] == 5
    assert ledger.count_calls() == 0
    on_disk = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"CUMQUATS" not in on_disk


def test_forgetting_nobody_changes_nothing(ledger: Ledger) -> None:
    fill(ledger, "ann", "secret")
    before = rows(ledger)
    receipt = ledger.forget(ledger.person("stranger"))
    assert {n for name, n in receipt.items() if name != "compacted"} == {0}
    assert rows(ledger) == before


def test_a_reader_in_the_way_delays_only_the_rewriting(path: Path, ledger: Ledger) -> None:
    fill(ledger, "ann", "secret")
    with Ledger.open(path, people_key=KEY) as other, other._read() as connection:
        connection.exec_driver_sql("SELECT COUNT(*) FROM turns").scalar()
        with ledger._engine.connect() as impatient:
            raw = impatient.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA busy_timeout=20").close()
        receipt = ledger.forget(ledger.person("ann"))
    assert (receipt["turns"], receipt["compacted"]) == (3, 0)
    assert ledger.counts()["conversations"] == 0
