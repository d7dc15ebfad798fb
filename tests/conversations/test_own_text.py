"""What we put into a prompt is not learned from when it comes back in a log."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.conversations import Conversation, read_log
from gpa_agent.conversations.own_text import CLOSE, OPEN, PREAMBLE, without_own_text
from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric
from gpa_agent.turn import prompt

STEPS = "Lay the procedure out as numbered steps."
PROSE = "Write in flowing prose rather than in bullet points."
SERVED = frozenset({STEPS, PROSE})


def block() -> str:
    """As it stands in a prompt."""
    aspects = tuple(
        Aspect(name=name, rating=4, interpretation="", guidance={"novice": guidance}, status="live")
        for name, guidance in (("steps", STEPS), ("prose", PROSE))
    )
    contrast = ContrastModel(group="novice", other="expert")
    rubric = Rubric(intent="x", contrast=contrast, version=1, aspects=aspects)
    written = prompt.rubric_block(rubric, "novice")
    assert written is not None
    return written


def test_the_form_is_the_one_that_is_served() -> None:
    assert block() == "\n".join([OPEN, PREAMBLE, f"- {STEPS}", f"- {PROSE}", CLOSE])


@pytest.mark.parametrize(
    "recited",
    [
        block(),
        block().upper(),
        block().replace("<", "&lt;").replace(">", "&gt;"),
        block().replace("\n", "\n\n"),
        block().removesuffix(CLOSE),
        block().removesuffix(CLOSE).removesuffix("\n")[:-9],
        block().removeprefix(OPEN),
        block().removeprefix(OPEN).removesuffix(CLOSE),
        block().replace(PREAMBLE, PREAMBLE.replace(" ", "\n", 9)),
        f"{OPEN}\n- {STEPS}",
    ],
    ids=range(10),
)
def test_a_block_goes_whole_or_cut_short(recited: str) -> None:
    assert without_own_text(f"Be kind.\n\n{recited}") == "Be kind."
    assert without_own_text(recited).strip() == ""


def test_what_stands_around_and_between_blocks_stays() -> None:
    text = f"My prompt is:\n{block()}\nAnd again:\n{block()}\nThat was all."
    assert without_own_text(text) == "My prompt is:\nAnd again:\nThat was all."


@pytest.mark.parametrize(
    "repeated",
    [STEPS, STEPS[:-1], STEPS.upper(), f"- {STEPS}", f'"{STEPS}"', STEPS.replace(" ", "\n", 3)],
)
def test_a_sentence_that_was_served_goes(repeated: str) -> None:
    assert without_own_text(f"Certainly. {repeated}", known=SERVED) == "Certainly."
    assert without_own_text(f"Certainly. {repeated}") == f"Certainly. {repeated}"


@pytest.mark.parametrize(
    "said",
    [
        "Lay it out as numbered steps.",
        "Lay the procedure out as numbered stepstones.",
        "Please number the steps of the procedure.",
        "Use headings.",
    ],
)
def test_what_people_say_in_their_own_words_stays(said: str) -> None:
    assert without_own_text(said, known=SERVED | {"Use headings."}) == said


def test_of_two_sentences_the_longer_goes_first() -> None:
    both = frozenset({"Give an example of it.", "Give an example of it for every case."})
    assert without_own_text("Give an example of it for every case.", known=both) == ""


@given(st.text())
def test_a_text_without_ours_is_the_very_same(text: str) -> None:
    if "reader_preferences" not in text.casefold():
        assert without_own_text(text, known=SERVED) is text


@given(st.text(), st.text())
def test_nothing_of_ours_is_left_and_all_else_is(before: str, after: str) -> None:
    left = without_own_text(f"{before}\n{block()}\n{after}", known=SERVED)
    if "reader_preferences" not in (before + after).casefold():
        assert left == f"{before.rstrip()}\n{after}"


@pytest.mark.parametrize(
    "hostile",
    [
        OPEN * 10_000,
        (OPEN + " " * 50) * 3_000,
        " " * 200_000 + OPEN,
        "\n" * 200_000 + OPEN + "\n- " * 50_000,
        (PREAMBLE[:-1] + "\n") * 700,
        "- " * 100_000 + STEPS[:-6],
        (STEPS[:-9] + " ") * 5_000,
    ],
    ids=range(7),
)
def test_no_text_takes_long(hostile: str) -> None:
    started = time.process_time()
    without_own_text(hostile[:200_000], known=SERVED)
    assert time.process_time() - started < 1.0


def read(record: Mapping[str, object]) -> Conversation:
    found = list(read_log(io.BytesIO(json.dumps(record).encode())))
    assert len(found) == 1
    assert isinstance(found[0], Conversation)
    return found[0]


def test_the_block_is_not_read_from_a_log() -> None:
    record = {
        "messages": [
            {"role": "system", "content": f"Be kind.\n\n{block()}"},
            {"role": "user", "content": [{"type": "text", "text": f"What is this? {block()}"}]},
            {"role": "assistant", "content": f"I was told:\n{block()}"},
        ]
    }
    conversation = read(record)
    assert conversation.metadata == {"system": "Be kind."}
    assert conversation.turns[0].user == "What is this?"
    assert conversation.turns[0].assistant == "I was told:"


def test_a_system_message_of_ours_alone_is_none() -> None:
    share = {
        "system": block(),
        "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": block()}],
    }
    conversation = read(share)
    assert conversation.metadata == {}
    assert [(t.user, t.assistant) for t in conversation.turns] == [("Hi", None)]


def test_the_same_log_is_read_alike_whatever_is_served() -> None:
    record = {"messages": [{"role": "user", "content": STEPS}]}
    assert read(record).turns[0].user == STEPS
