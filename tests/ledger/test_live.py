from __future__ import annotations

import threading

import pytest

from gpa_agent.conversations import Conversation, Judgment, Label, Turn
from gpa_agent.errors import DataError, UsageError
from gpa_agent.ledger import Ledger, PendingTurn

SAT, DSAT, NEITHER = Judgment.SAT, Judgment.DSAT, Judgment.NEITHER


def say(ledger: Ledger, number: int, user: str = "", person: str | None = None) -> int:
    return ledger.record_turn(
        conversation="c",
        key=f"k{number}",
        user=user or f"u{number}",
        assistant=f"a{number}",
        person=person,
    )


def test_turns_follow_each_other_and_are_recorded_once(ledger: Ledger) -> None:
    assert [say(ledger, n) for n in (0, 1, 0, 2, 1)] == [0, 1, 0, 2, 1]
    assert ledger.counts()["turns"] == 3


def test_threads_recording_at_once_lose_and_double_nothing(ledger: Ledger) -> None:
    found: list[int] = []

    def record(offset: int) -> None:
        found.extend(say(ledger, n) for n in range(offset, offset + 10))

    threads = [threading.Thread(target=record, args=(offset,)) for offset in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 30
    assert sorted(set(found)) == list(range(20))
    assert ledger.counts()["turns"] == 20


def test_text_is_made_safe_to_store(ledger: Ledger) -> None:
    say(ledger, 0, "nul\x00 and half \ud83d")
    say(ledger, 1)
    ((turn,),) = ledger.turns_to_judge("1")
    assert turn.user == "nul and half \ufffd"


def test_a_log_of_the_same_conversation_continues_it(ledger: Ledger) -> None:
    say(ledger, 0)
    exported = Conversation(
        id="c", turns=(Turn(user="u0", assistant="a0"), Turn(user="u1", assistant="a1"))
    )
    with ledger.ingesting("export") as ingest:
        assert ingest.add(exported) == "extended"
    assert say(ledger, 2) == 2


def test_stated_groups_are_the_conversations_own_and_inferred_ones_are_labels(
    ledger: Ledger,
) -> None:
    ledger.record_turn(
        conversation="c",
        key="1",
        user="u",
        assistant="a",
        person=ledger.person("ann"),
        group=Label("novice", 1.0, "context"),
        intent=Label("debugging", 0.7, "classifier"),
    )
    ledger.add_explicit("c", 0, SAT)
    ledger.add_stage_results("s", "1", [("t:c:0", b"v")])
    (row,) = ledger.judged_rows("s", "1")
    assert (row.group, row.intent) == ("novice", "debugging")
    assert [r for page in ledger.to_label("group", "1") for r in page] == []
    assert [r.subject_id for page in ledger.to_label("intent", "1") for r in page] == ["c"]


def test_served_turns_of_nobody_known_do_not_count_as_evidence(ledger: Ledger) -> None:
    say(ledger, 0)
    ledger.add_explicit("c", 0, SAT)
    ledger.add_stage_results("s", "1", [("t:c:0", b"v")])
    assert list(ledger.judged_rows("s", "1")) == []


def test_two_people_cannot_share_a_conversation(ledger: Ledger) -> None:
    say(ledger, 0, person=ledger.person("ann"))
    say(ledger, 1)
    with pytest.raises(DataError, match="belongs to another person"):
        say(ledger, 2, person=ledger.person("bob"))
    assert ledger.counts()["turns"] == 2


def test_the_last_word_of_feedback_stands_and_can_be_taken_back(ledger: Ledger) -> None:
    say(ledger, 0)
    for judgment, effective in ((SAT, 1), (DSAT, 1), (NEITHER, 0)):
        ledger.add_explicit("c", 0, judgment)
        assert ledger.counts()["judgments"] == effective
    assert ledger.counts()["explicit_judgments"] == 1


@pytest.mark.parametrize(("conversation", "idx"), [("c", 1), ("c", -1), ("nobody", 0), ("open", 0)])
def test_feedback_on_what_was_not_answered_is_misuse(
    ledger: Ledger, conversation: str, idx: int
) -> None:
    say(ledger, 0)
    with ledger.ingesting("log") as ingest:
        ingest.add(Conversation(id="open", turns=(Turn(user="u"),)))
    with pytest.raises(UsageError, match=rf"'{conversation}' has no answered turn {idx}: it has"):
        ledger.add_explicit(conversation, idx, SAT)


def test_the_turn_before_is_what_the_new_utterance_judges(ledger: Ledger) -> None:
    for n in range(25):
        say(ledger, n)
    assert ledger.previous_turn("c", 0) is None
    assert ledger.previous_turn("c", 25) is None
    assert ledger.previous_turn("c", 1) == PendingTurn("c", 0, "u0", "a0", "u1", (), last=False)
    late = ledger.previous_turn("c", 24)
    assert late is not None
    assert late.earlier == tuple(f"u{n}" for n in range(3, 23))  # the last twenty before u23
    ledger.add_explicit("c", 23, SAT)
    assert ledger.previous_turn("c", 24) is None
