from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gpa_agent.conversations import (
    Conversation,
    Judgment,
    Label,
    Message,
    PreferencePair,
    Record,
    Turn,
)
from gpa_agent.ledger import (
    AnswerText,
    JudgedRow,
    JudgmentRow,
    LabelledText,
    LabelRow,
    Ledger,
    PendingTurn,
    PreferenceRow,
    Unlabelled,
)

SAT, DSAT, NEITHER = Judgment.SAT, Judgment.DSAT, Judgment.NEITHER


def add(ledger: Ledger, *records: Record) -> None:
    with ledger.ingesting("log") as ingest:
        ingest.add_all(records)


def talk(
    record_id: str = "c1", judgments: tuple[Judgment | None, ...] = (None,) * 3
) -> Conversation:
    return Conversation(
        id=record_id,
        turns=(
            Turn(user="u0", assistant="a0", judgment=judgments[0]),
            Turn(user="u1", assistant="a1", judgment=judgments[1]),
            Turn(user="u2", assistant="a2", judgment=judgments[2]),
            Turn(user="u3"),
        ),
    )


PAIR = PreferencePair(
    id="p1",
    prompt=(
        Message("system", "s"),
        Message("user", "q1"),
        Message("assistant", "x"),
        Message("user", "q2"),
    ),
    chosen="good",
    rejected="poor",
    user="ann",
    group="expert",
)


def read_by(conversation: str, idx: int, judgment: Judgment, version: str = "1") -> JudgmentRow:
    return JudgmentRow(conversation, idx, judgment, 0.75, "cues", version)


def test_turns_with_a_reply_are_offered_with_what_came_before(ledger: Ledger) -> None:
    add(ledger, talk())
    assert list(ledger.turns_to_judge("1")) == [
        [
            PendingTurn("c1", 0, "u0", "a0", "u1", (), last=False),
            PendingTurn("c1", 1, "u1", "a1", "u2", ("u0",), last=False),
            PendingTurn("c1", 2, "u2", "a2", "u3", ("u0", "u1"), last=True),
        ]
    ]


def test_judged_turns_are_offered_again_only_to_another_version(ledger: Ledger) -> None:
    add(ledger, talk(judgments=(None, SAT, None)))
    ledger.add_judgments([read_by("c1", 0, NEITHER)])
    assert [t.idx for page in ledger.turns_to_judge("1") for t in page] == [2]
    assert [t.idx for page in ledger.turns_to_judge("2") for t in page] == [0, 2]


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_pages_miss_and_repeat_nothing_while_results_are_stored(ledger: Ledger, batch: int) -> None:
    add(ledger, *(talk(f"c{n}") for n in range(4)))
    seen: list[tuple[str, int]] = []
    for page in ledger.turns_to_judge("1", batch=batch):
        assert len(page) <= batch
        seen += [(turn.conversation, turn.idx) for turn in page]
        ledger.add_judgments([read_by(t.conversation, t.idx, SAT) for t in page])
    assert seen == [(f"c{n}", idx) for n in range(4) for idx in range(3)]
    assert list(ledger.turns_to_judge("1")) == []


def test_what_names_no_intent_is_offered_for_a_label(ledger: Ledger) -> None:
    named = Conversation(id="c2", turns=(Turn(user="x"),), intent="known", user="bob")
    add(ledger, talk(), named, PAIR)
    assert [row for page in ledger.to_label("intent", "1") for row in page] == [
        Unlabelled("conversation", "c1", ("u0", "u1", "u2", "u3"), None),
        Unlabelled("pair", "p1", ("q1", "q2"), ledger.person("ann")),
    ]
    ledger.add_labels(
        [
            LabelRow("conversation", "c1", "intent", "unknown", 0.2, "zero-shot", "1"),
            LabelRow("pair", "p1", "intent", "debugging", 0.9, "zero-shot", "1"),
        ]
    )
    assert list(ledger.to_label("intent", "1")) == []
    assert len([row for page in ledger.to_label("intent", "2") for row in page]) == 2
    assert list(ledger.labelled_texts("intent")) == [
        LabelledText(("x",), "known", ledger.person("bob"), "known")
    ]
    assert list(ledger.labelled_texts("group")) == [
        LabelledText(("q1", "q2"), "expert", ledger.person("ann"), None)
    ]


def test_only_judged_answers_and_both_sides_of_pairs_are_measured(ledger: Ledger) -> None:
    add(ledger, talk(judgments=(SAT, NEITHER, None)), PAIR)
    ledger.add_judgments([read_by("c1", 1, SAT), read_by("c1", 2, DSAT)])
    pending = [answer for page in ledger.answers_to_measure("traits", "1") for answer in page]
    # Turn 1: the explicit NEITHER stands against the reader's SAT.
    assert pending == [
        AnswerText("t:c1:0", "u0", "a0"),
        AnswerText("t:c1:2", "u2", "a2"),
        AnswerText("c:p1", "q2", "good"),
        AnswerText("r:p1", "q2", "poor"),
    ]
    ledger.add_stage_results("traits", "1", [("t:c1:0", b"0"), ("c:p1", b"c")])
    left = [answer.input_id for page in ledger.answers_to_measure("traits", "1") for answer in page]
    assert left == ["t:c1:2", "r:p1"]
    assert len([a for page in ledger.answers_to_measure("traits", "2") for a in page]) == 4
    # Turns 0 and 2, and one of each for the pair.
    assert ledger.counts()["judgments"] == 4


def test_judged_rows_carry_who_what_and_how_sure(ledger: Ledger) -> None:
    by_ann = Conversation(
        id="c0",
        user="ann",
        group="novice",
        turns=(Turn(user="u", assistant="a", judgment=DSAT),),
    )
    add(ledger, by_ann, talk(), PAIR)
    ledger.add_judgments([read_by("c1", 0, SAT), read_by("c1", 1, SAT)])
    ledger.add_labels(
        [
            LabelRow("conversation", "c0", "group", "expert", 0.9, "classifier", "1"),
            LabelRow("conversation", "c1", "group", "expert", 0.9, "classifier", "1"),
            LabelRow("conversation", "c1", "intent", "unknown", 0.1, "zero-shot", "1"),
            LabelRow("pair", "p1", "intent", "debugging", 0.8, "zero-shot", "1"),
        ]
    )
    ledger.add_stage_results(
        "traits", "1", [("t:c0:0", b"x"), ("t:c1:0", b"y"), ("c:p1", b"c"), ("r:p1", b"r")]
    )
    ann = ledger.person("ann")
    assert list(ledger.judged_rows("traits", "1", batch=1)) == [
        JudgedRow("turn", "c0", 0, ann, "novice", None, DSAT, 1.0, b"x", None),
        JudgedRow("turn", "c1", 0, None, "expert", None, SAT, 0.75, b"y", None),
        JudgedRow("pair", "p1", 0, ann, "expert", "debugging", SAT, 1.0, b"c", b"r"),
    ]


def explain(ledger: Ledger, source: str = "cues-1") -> list[tuple[int, Judgment]]:
    """Explain every turn that is offered, with a preference for turn 0 alone."""
    seen: list[tuple[int, Judgment]] = []
    for page in ledger.turns_to_explain(source, batch=1):
        seen += [(item.turn.idx, item.judgment) for item in page]
        ledger.add_preferences(
            [
                PreferenceRow(
                    f"preference of c1, turn 0, by {source}",
                    "conversation",
                    "c1",
                    0,
                    int(item.judgment),
                    "shorter",
                    "said so",
                    ("too long",),
                    source,
                )
                for item in page
                if item.turn.idx == 0
            ],
            source=source,
            seen=[item.input_id for item in page],
        )
    return seen


def test_each_judged_turn_is_explained_once_until_its_judgment_changes(ledger: Ledger) -> None:
    add(ledger, talk())
    ledger.add_judgments([read_by("c1", 0, DSAT), read_by("c1", 1, SAT), read_by("c1", 2, NEITHER)])
    assert explain(ledger) == [(0, DSAT), (1, SAT)]
    assert explain(ledger) == []
    assert ledger.counts()["preferences"] == 1
    assert explain(ledger, "cues-2") == [(0, DSAT), (1, SAT)]
    ledger.add_explicit("c1", 0, SAT)
    assert ledger.counts()["preferences"] == 0
    assert explain(ledger) == [(0, SAT)]
    ledger.add_judgments([read_by("c1", 1, DSAT, "2")])
    assert explain(ledger) == [(1, DSAT)]


def test_a_persons_group_is_the_latest_a_record_names(ledger: Ledger) -> None:
    def said(record_id: str, group: str | None, year: int) -> Conversation:
        at = datetime(year, 1, 1, tzinfo=UTC)
        return Conversation(
            id=record_id,
            user="ann",
            group=group,
            turns=(Turn(user="u", assistant="a", at=at),),
        )

    add(ledger, said("z", "novice", 2020), said("a", "expert", 2022), said("b", None, 2024))
    assert ledger.people_groups() == {ledger.person("ann"): "expert"}
    ledger.record_turn(
        conversation="live",
        key="1",
        user="u",
        assistant="a",
        person=ledger.person("bob"),
        group=Label("novice", 0.9, "classifier"),
    )
    assert ledger.person("bob") not in ledger.people_groups()  # inferred, not stated
