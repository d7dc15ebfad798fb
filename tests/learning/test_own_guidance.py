"""What a rubric says is not learned from, whoever repeats it."""

from __future__ import annotations

import numpy as np
import pytest

from gpa_agent import Aspect, Judgment, Rubric, Workspace
from gpa_agent.learning.stages import MEASURE_STAGE
from gpa_agent.rubrics.records import ContrastModel
from gpa_agent.rubrics.traits import CATALOGUE_VERSION
from gpa_agent.turn.prompt import rubric_block

STEPS = "Lay the procedure out as numbered steps."
ANSWER = "First open the file. Then read it."


def rubric(guidance: str) -> Rubric:
    aspect = Aspect(
        name="steps", rating=3, interpretation="", guidance={"novice": guidance}, status="live"
    )
    contrast = ContrastModel(group="novice", other="expert")
    return Rubric(intent="general", contrast=contrast, version=0, aspects=(aspect,))


def record(ws: Workspace, key: int, user: str, assistant: str, *, thread: str = "t") -> None:
    ws.record_turn(
        conversation=thread,
        key=str(key),
        user=user,
        assistant=assistant,
        user_id="ann",
        group=None,
        intent=None,
        trace={},
    )


@pytest.fixture
def served(workspace: Workspace) -> Workspace:
    """Guidance that was served once, and is not any more."""
    workspace.import_rubrics([rubric(STEPS)])
    workspace.import_rubrics([rubric("Answer in one short paragraph.")])
    return workspace


def test_neither_an_answer_nor_a_user_says_what_was_served(served: Workspace) -> None:
    record(served, 0, f"{STEPS} How do I read it?", f"{ANSWER} {STEPS}")
    record(served, 1, f'You said "{STEPS}" but did not.', ANSWER)
    record(served, 2, STEPS, ANSWER)
    turns = [turn for page in served.ledger.turns_to_judge("nobody") for turn in page]
    assert [(t.user, t.assistant, t.reply) for t in turns] == [
        ("How do I read it?", ANSWER, "You said  but did not."),
        ("You said  but did not.", ANSWER, ""),
    ]
    assert turns[1].earlier == ("How do I read it?",)


def test_reciting_guidance_moves_no_trait(served: Workspace) -> None:
    for thread, answer in (("plain", ANSWER), ("reciting", f"{ANSWER}\n\n- {STEPS}")):
        record(served, 0, "How do I read it?", answer, thread=thread)
        served.feedback(conversation=thread, turn=0, judgment=Judgment.SAT)
    served.catch_up()
    measured = served.ledger.stage_values(MEASURE_STAGE, CATALOGUE_VERSION)
    assert np.array_equal(
        np.frombuffer(measured["t:plain:0"], "<f4"), np.frombuffer(measured["t:reciting:0"], "<f4")
    )


def test_a_reply_of_our_words_alone_pleases_and_displeases_nobody(served: Workspace) -> None:
    record(served, 0, "How do I read it?", ANSWER)
    record(served, 1, STEPS, ANSWER)
    served.catch_up()
    assert served.stats()["judgments"] == 0
    assert served.stats()["preferences"] == 0


def test_a_turn_is_recorded_without_the_block(served: Workspace) -> None:
    block = rubric_block(rubric(STEPS), "novice")
    record(served, 0, f"What is this?\n\n{block}", f"I was told:\n{block}")
    record(served, 1, "Thanks!", "You are welcome.")
    turn = next(turn for page in served.ledger.turns_to_judge("nobody") for turn in page)
    assert (turn.user, turn.assistant) == ("What is this?", "I was told:")


def test_before_anything_is_served_every_word_counts(workspace: Workspace) -> None:
    record(workspace, 0, STEPS, f"{ANSWER} {STEPS}")
    record(workspace, 1, "Thanks!", ANSWER)
    turn = next(turn for page in workspace.ledger.turns_to_judge("nobody") for turn in page)
    assert (turn.user, turn.assistant) == (STEPS, f"{ANSWER} {STEPS}")
