"""Named cues, on replies written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.conversations.records import Judgment
from gpa_agent.understanding.cues import CUE_NAMES, CUES, named, score
from gpa_agent.understanding.protocols import JudgedTurn
from gpa_agent.understanding.reading import own_voice, read, read_answer


def cues(
    reply: str, answer: str = "Type :q! and press Enter.", user: str = "Exit vim?"
) -> set[str]:
    return set(named(read(JudgedTurn(user, answer, reply))))


@pytest.mark.parametrize(
    ("reply", "cue"),
    [
        ("Thanks a lot", "thanks"),
        ("I really appreciate it.", "thanks"),
        ("That's perfect", "praise"),
        ("Great suggestion!", "praise"),
        ("not bad at all", "approval"),
        ("sounds good", "acceptance"),
        ("I'll take it", "acceptance"),
        ("I'll check it out", "uptake"),
        ("I loved that movie", "fondness"),
        ("that makes sense", "learning"),
        ("perfect, that fixed it", "solved"),
        ("it works now", "solved"),
        ("haha", "delight"),
        ("thanks, bye", "closes_content"),
        ("No, I meant Emacs", "correction"),
        ("that's wrong", "correction"),
        ("it still doesn't work", "complaint"),
        ("same error", "complaint"),
        ("too long", "complaint"),
        ("not good", "complaint"),
        ("I don't like this", "dislike"),
        ("not a fan of that", "dislike"),
        ("show me another one", "alternative"),
        ("explain more simply", "redo"),
        ("make it shorter", "redo"),
        ("I don't understand", "confusion"),
        ("you already said that", "known_already"),
        ("never mind", "gives_up"),
        ("ugh, seriously?", "frustration"),
        ("thanks for nothing", "sarcasm"),
        ("oh great, another error", "sarcasm"),
        ("great, but it crashes", "reservation"),
        ("no thanks", "polite_no"),
    ],
)
def test_is_read(reply: str, cue: str) -> None:
    assert cue in cues(reply)


@pytest.mark.parametrize(
    ("reply", "cue"),
    [
        ("thanks for nothing", "thanks"),
        ("no thanks", "thanks"),
        ("thanks, but that is not it", "thanks"),
        ("not good", "approval"),
        ("that isn't helpful", "praise"),
        ("it was never really great", "praise"),
        ("can you recommend a good restaurant?", "approval"),
        ("I'm looking for a great laptop", "praise"),
        ("good morning", "approval"),
        ("is that good?", "approval"),
        ("no problem, thanks", "declines"),
        ("yeah right", "affirmation"),
        ('She wrote "this is terrible", how do I reply?', "complaint"),
        ("My log says 'bad request', why?", "complaint"),
        ("> this is awful\nwhat did they mean by it", "complaint"),
        ("```\nraise Terrible('wrong')\n```\nadd types", "complaint"),
        ("not bad at all", "complaint"),
        ("This is great, thank you so much!", "complaint"),
        ("each other", "alternative"),
    ],
)
def test_is_not_read_out_of_context(reply: str, cue: str) -> None:
    assert cue not in cues(reply)


def test_no_depends_on_what_was_asked() -> None:
    assert "no_to_offer" in cues("No", "Would you like me to book it?")
    assert "declines" not in cues("No, that's all.", "Anything else?")
    assert "thanks_after_failure" in cues("Thanks anyway", "I could not find any.")
    assert "thanks_after_failure" not in cues("Thanks", "I found three.")


def test_repetition_needs_own_words_and_no_agreement() -> None:
    asked = "How do I remove duplicates from a table in SQL?"
    assert "repetition" in cues("I want to remove the duplicates from the SQL table", user=asked)
    assert "repetition" not in cues("How do I sort a list in Python?", user=asked)
    assert "repetition" not in cues(
        "Thanks, now I can remove duplicates from the table", user=asked
    )


def test_repetition_is_found_among_earlier_utterances() -> None:
    turn = JudgedTurn(
        "And the price?",
        "It is blue.",
        "what are the opening hours of the library",
        earlier=("What are the opening hours of the library?",),
    )
    assert "repetition" in named(read(turn))


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("", "empty"),
        ("Sorry, I was unable to make the reservation.", "failed"),
        ("Sorry, I was unable to make the reservation.", "sorry"),
        ("As an AI I cannot give an opinion.", "refused"),
        ("Is there anything else I can help you with?", "asks_more"),
        ("Have you seen it?", "offers"),
        ("Please confirm: two tickets.", "confirms"),
        ("Your table has been reserved.", "done"),
    ],
)
def test_kinds_of_answers(answer: str, fact: str) -> None:
    assert getattr(read_answer(answer), fact)


def test_a_pasted_text_is_read_at_its_ends() -> None:
    pasted = "Thanks! " + "terrible wrong useless " * 200 + " Now summarise it."
    assert "thanks" in cues(pasted)
    assert len(own_voice(pasted).split()) < 100


def test_catalogue_is_consistent() -> None:
    assert len(set(CUE_NAMES)) == len(CUES) >= 30
    assert all(cue.definition.endswith(".") for cue in CUES)
    assert {cue.polarity for cue in CUES} == set(Judgment)


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_scores_are_shares_whatever_is_said(user: str, answer: str, reply: str) -> None:
    table = score([read(JudgedTurn(user, answer, reply))])
    assert table.shape == (1, len(CUES))
    assert ((table >= 0) & (table <= 1)).all()


@given(st.sampled_from(["That's perfect, thanks", "no, i meant emacs", "Still the same error!"]))
def test_case_and_spacing_do_not_matter(reply: str) -> None:
    loud = "  " + reply.upper().replace(" ", " \n\t ") + " "
    plain = score([read(JudgedTurn("q", "a", reply))])
    assert (plain == score([read(JudgedTurn("q", "a", loud.replace("\n", " ")))])).all()
