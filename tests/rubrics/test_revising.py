"""Claims after a newer fold: which words stand, which claims stay, and which are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.attributing import UNASKED
from gpa_agent.rubrics.fold import Folded, Voices
from gpa_agent.rubrics.revising import UNCHECKED, Claim, Revised, revise, told_apart

PEOPLE = {f"pref-{n}": f"person-{n}" for n in range(20)}
FIVE = tuple(f"pref-{n}" for n in range(5))


def item(name: str = "steps", rating: int = 4, **changes: Any) -> AspectItem:
    return AspectItem(
        name=name,
        rating=rating,
        interpretation="The first side asks for it; the second does without.",
        first_wants=f"Give {name}.",
        second_wants=f"Leave {name} out.",
        first=[],
        second=[],
    ).model_copy(update=changes)


def folded(found: Sequence[tuple[AspectItem, int]]) -> Folded:
    """What a fold ended in, and how many people stand behind each aspect, from the first on."""
    return Folded(
        aspects=tuple(a for a, _ in found),
        rounds=1,
        depth=1,
        failed=0,
        hallucinated=0,
        voiced={a.name: Voices(tuple(PEOPLE)[:n], ()) for a, n in found},
    )


def after(standing: Claim, *found: tuple[AspectItem, int]) -> Revised:
    return revise([standing], folded(found), PEOPLE, min_people=5)


def standing(**changes: Any) -> Claim:
    return replace(Claim(item=item(), support=FIVE, problem=None), **changes)


def test_a_claim_named_again_keeps_its_words_and_takes_the_rating() -> None:
    said = item(rating=5, first_wants="Number all of the steps.")
    (claim,), columns, *_ = after(standing(), (said, 8))
    assert (claim.item.first_wants, claim.item.rating) == ("Give steps.", 5)
    assert columns == (0,)
    assert len(claim.support) == 8


def test_a_fold_that_asked_nothing_changes_nothing() -> None:
    nothing = Folded(aspects=(), rounds=0, depth=0, failed=0, hallucinated=0, voiced={})
    assert revise([standing()], nothing, {}, min_people=5) == Revised((standing(),), (0,))


def test_the_rating_of_what_is_proven_is_not_lowered() -> None:
    (proven,), *_ = after(standing(verdict="proven"), (item(rating=2), 8))
    (opened,), *_ = after(standing(), (item(rating=2), 8))
    assert (proven.item.rating, opened.item.rating) == (4, 2)


def test_what_is_not_named_or_rated_one_stays_only_while_it_is_proven() -> None:
    for found in ([], [(item(rating=1), 8)]):
        (opened,), *_ = after(standing(), *found)
        (proven,), *_ = after(standing(verdict="proven"), *found)
        assert (opened.stays, proven.stays) == (False, True)


def test_words_that_were_refused_or_turned_are_replaced_where_enough_stand_behind_new_ones() -> (
    None
):
    said = item(first_wants="Leave steps out.", second_wants="Give steps.")
    for was in (standing(verdict="turned"), standing(problem="its words are refused")):
        (claim,), columns, *_ = after(was, (said, 5))
        assert claim.item.first_wants == "Leave steps out."
        assert (claim.problem, claim.verdict, columns) == (UNCHECKED, "open", (None,))
        (few,), columns, *_ = after(was, (said, 4))
        assert (few.item.first_wants, columns) == ("Give steps.", (0,))


def test_a_side_of_which_nothing_was_said_is_filled_in() -> None:
    half = standing(item=item(second_wants=""), verdict="proven")
    (claim,), columns, *_ = after(half, (item(first_wants="Other words."), 6))
    assert (claim.item.first_wants, claim.item.second_wants) == ("Give steps.", "Leave steps out.")
    assert (claim.problem, columns) == (UNCHECKED, (None,))


def test_new_words_of_few_are_not_written_down_and_wait() -> None:
    revised = after(standing(), (item("costs"), 4), (item("pitfalls"), 6))
    assert [c.item.name for c in revised.claims] == ["steps", "pitfalls"]
    assert revised.unsupported == 1
    assert revised.waiting == FIVE[:4]


def test_a_new_claim_that_the_same_preferences_voice_is_the_one_of_before() -> None:
    claims = [standing(named=False), Claim(item=item("order of work", rating=5), support=FIVE)]
    same = np.array([[1, 1]] * 6 + [[0, 1]] * 3 + [[0, 0]] * 9, np.int8)
    told, kept = told_apart(claims, (0, None), same, at_least=5)
    assert [c.item.name for c in told] == ["steps"]
    assert (told[0].named, told[0].item.rating, kept.tolist()) == (True, 5, [0])
    mostly_not = np.array([[1, 1]] * 5 + [[0, 1]] * 6, np.int8)
    assert len(told_apart(claims, (0, None), mostly_not, at_least=5)[0]) == 2
    few = np.array([[1, 1]] * 4 + [[UNASKED, 1]] * 9, np.int8)
    assert len(told_apart(claims, (0, None), few, at_least=5)[0]) == 2
