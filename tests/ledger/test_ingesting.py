from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from gpa_agent.conversations import Conversation, Judgment, Message, PreferencePair, Record, Turn
from gpa_agent.ledger import JudgmentRow, LabelRow, Ledger, Outcome
from gpa_agent.ledger.tables import metadata

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 32

OPEN = Turn(user="and then?")
FIRST = Turn(user="how?", assistant="so", judgment=Judgment.SAT)
SECOND = Turn(user="and then?", assistant="thus")
THIRD = Turn(user="thanks", assistant="welcome")


def conversation(*turns: Turn, **named: str) -> Conversation:
    return Conversation(id="c1", turns=turns, **named)  # type: ignore[arg-type]  # names of fields


def pair(chosen: str = "a", record_id: str = "p1") -> PreferencePair:
    return PreferencePair(
        id=record_id, prompt=(Message("user", "q"),), chosen=chosen, rejected="b", user="ann"
    )


def add(ledger: Ledger, *records: Record) -> list[Outcome]:
    with ledger.ingesting("log") as ingest:
        return ingest.add_all(records)


def dump(ledger: Ledger) -> list[str]:
    with ledger._read() as connection:
        return [
            f"{table.name}: {tuple(row)}"
            for table in metadata.sorted_tables
            for row in connection.execute(select(table).order_by(*table.primary_key))
        ]


def test_the_same_records_again_change_nothing(ledger: Ledger) -> None:
    records: list[Record] = [
        Conversation(
            id=f"c{n}",
            user=f"u{n % 7}",
            group="novice",
            metadata={"n": n},
            turns=(FIRST, Turn(user=f"next {n}")),
        )
        for n in range(300)
    ]
    records += [pair(record_id=f"p{n}") for n in range(50)]
    assert set(add(ledger, *records)) == {"added"}
    before = dump(ledger)
    assert set(add(ledger, *records)) == {"unchanged"}
    with ledger.ingesting("another name") as ingest:
        assert {ingest.add(record) for record in records} == {"unchanged"}
    assert dump(ledger) == before
    assert ledger.counts() == {
        "conversations": 300,
        "turns": 600,
        "pairs": 50,
        "people": 8,  # u0 to u6, and ann
        "judgments": 300 + 2 * 50,
        "explicit_judgments": 300,
        "preferences": 0,
        "rubrics": 0,
        "live_aspects": 0,
    }


def test_raw_ids_are_not_in_the_file(path: Path) -> None:
    with Ledger.open(path, people_key=KEY) as ledger:
        add(ledger, conversation(FIRST, user="ann@example.com"))
    assert b"ann@example.com" not in path.read_bytes()


def texts(ledger: Ledger) -> list[tuple[str, str | None]]:
    with ledger._read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT user_text, assistant_text FROM turns ORDER BY conversation_id, idx"
        )
        return [(row[0], row[1]) for row in rows]


def test_a_conversation_that_went_on_is_extended(ledger: Ledger) -> None:
    assert add(ledger, conversation(FIRST)) == ["added"]
    assert add(ledger, conversation(FIRST, OPEN)) == ["extended"]
    assert add(ledger, conversation(FIRST, SECOND, THIRD)) == ["extended"]
    assert texts(ledger) == [("how?", "so"), ("and then?", "thus"), ("thanks", "welcome")]
    assert add(ledger, conversation(FIRST, SECOND, THIRD)) == ["unchanged"]


@pytest.mark.parametrize("earlier", [(FIRST,), (FIRST, OPEN), (FIRST, SECOND)])
def test_an_older_export_changes_nothing(ledger: Ledger, earlier: tuple[Turn, ...]) -> None:
    add(ledger, conversation(FIRST, SECOND, THIRD))
    before = dump(ledger)
    assert add(ledger, conversation(*earlier)) == ["unchanged"]
    assert dump(ledger) == before


@pytest.mark.parametrize(
    "other",
    [
        conversation(Turn(user="why?", assistant="so")),
        conversation(Turn(user="how?", assistant="else")),
        conversation(Turn(user="how?"), SECOND),
        conversation(FIRST, Turn(user="something else", assistant="thus"), THIRD),
        conversation(Turn(user="how?", assistant="so", judgment=Judgment.DSAT), SECOND),
        conversation(FIRST, SECOND, user="bob"),
        conversation(FIRST, SECOND, group="expert"),
        conversation(FIRST, SECOND, intent="other"),
    ],
)
def test_other_content_under_a_known_id_is_a_conflict(ledger: Ledger, other: Conversation) -> None:
    add(ledger, conversation(FIRST, SECOND, user="ann", group="novice", intent="debugging"))
    before = dump(ledger)
    assert add(ledger, other) == ["conflict"]
    assert dump(ledger) == before


def test_a_pair_is_the_same_or_a_conflict_and_shares_no_ids_with_conversations(
    ledger: Ledger,
) -> None:
    assert add(ledger, pair(), pair(), pair("c")) == ["added", "unchanged", "conflict"]
    assert add(ledger, pair("d", "c1"), conversation(FIRST)) == ["added", "added"]


def test_doubles_within_one_call_are_seen(ledger: Ledger) -> None:
    assert add(
        ledger,
        conversation(FIRST),
        conversation(FIRST),
        conversation(FIRST, SECOND),
        conversation(SECOND),
        conversation(FIRST, SECOND, THIRD),
        conversation(FIRST, SECOND, THIRD),
    ) == ["added", "unchanged", "extended", "conflict", "extended", "unchanged"]
    assert len(texts(ledger)) == 3


def test_what_a_later_export_names_is_added(ledger: Ledger) -> None:
    unjudged = Turn(user="how?", assistant="so")
    add(ledger, conversation(unjudged))
    assert add(ledger, conversation(FIRST, user="ann", group="novice")) == ["extended"]
    assert ledger.people_groups() == {ledger.person("ann"): "novice"}
    assert ledger.counts()["explicit_judgments"] == 1


def test_feedback_since_then_outlasts_the_log(ledger: Ledger) -> None:
    add(ledger, conversation(FIRST))
    ledger.add_explicit("c1", 0, Judgment.DSAT)
    assert add(ledger, conversation(FIRST, SECOND)) == ["extended"]
    ledger.add_stage_results("s", "1", [("t:c1:0", b"x")])
    (row,) = ledger.judged_rows("s", "1")
    assert row.judgment == Judgment.DSAT


def test_an_extension_is_judged_and_labelled_anew_where_it_matters(ledger: Ledger) -> None:
    unjudged = Turn(user="how?", assistant="so")
    add(ledger, conversation(unjudged, SECOND, OPEN))
    ledger.add_judgments([JudgmentRow("c1", i, Judgment.SAT, 0.9, "cues", "1") for i in (0, 1)])
    ledger.add_labels([LabelRow("conversation", "c1", "intent", "x", 0.9, "zero-shot", "1")])
    assert list(ledger.turns_to_judge("1")) == []
    add(ledger, conversation(unjudged, SECOND, Turn(user="and then?", assistant="a"), THIRD))
    # Turn 1's reply was the last thing said and is not any more; turn 2 is new; turn 0 stands.
    assert [turn.idx for page in ledger.turns_to_judge("1") for turn in page] == [1, 2]
    assert [row.subject_id for page in ledger.to_label("intent", "1") for row in page] == ["c1"]


def test_ids_from_content_keep_people_apart(ledger: Ledger) -> None:
    def said(user: str | None) -> Conversation:
        return Conversation(id="content:abc", turns=(FIRST,), user=user)

    assert add(ledger, said("ann"), said("bob"), said(None), said("ann")) == [
        "added",
        "added",
        "added",
        "unchanged",
    ]


def test_an_exception_undoes_the_whole_source(ledger: Ledger) -> None:
    before = dump(ledger)

    def ingest_and_fail() -> None:
        with ledger.ingesting("log") as ingest:
            for n in range(2500):
                ingest.add(Conversation(id=str(n), turns=(FIRST,)))
            raise RuntimeError("too many bad lines")

    with pytest.raises(RuntimeError, match="too many bad lines"):
        ingest_and_fail()
    assert dump(ledger) == before


def test_kill_9_in_the_middle_leaves_nothing_half_written(where: str) -> None:
    script = """
import sys
from gpa_agent.conversations import Conversation, Turn
from gpa_agent.ledger import Ledger
ledger = Ledger.open(sys.argv[1], people_key=b"k" * 32)
with ledger.ingesting("done") as ingest:
    ingest.add(Conversation(id="kept", turns=(Turn(user="kept"),)))
with ledger.ingesting("killed") as ingest:
    for n in range(10**9):
        ingest.add(Conversation(id=str(n), turns=(Turn(user="x" * 500),)))
        if n == 5_000:
            print("under way", flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", script, where], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"under way\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with Ledger.open(where, people_key=KEY) as ledger:
        assert ledger.counts()["conversations"] == 1
        assert texts(ledger) == [("kept", None)]
        if ledger.url.get_backend_name() == "sqlite":
            with ledger._read() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
