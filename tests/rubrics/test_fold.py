from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpa_agent.calls.engine import Answered, Flow
from gpa_agent.errors import UsageError
from gpa_agent.prompts import AspectItem, AspectsAnswer
from gpa_agent.prompts.asking import Ask
from gpa_agent.rubrics.fold import FoldConfig, Folded, Voiced, Voices, fold

Answer = Callable[[dict[str, Any]], list[AspectItem] | None]
"""From the data of a question to the aspects of its answer; None for no usable answer."""


@dataclass
class Driven:
    """A fold that was driven to its end, and the questions of each step."""

    folded: Folded
    steps: list[list[Ask]] = field(default_factory=list[list[Ask]])

    @property
    def data(self) -> list[list[dict[str, Any]]]:
        return [[json.loads(ask.data) for ask in step] for step in self.steps]


def drive(flow: Flow[Folded], answer: Answer) -> Driven:
    steps: list[list[Ask]] = []
    try:
        asks = next(flow)
        while True:
            steps.append(asks)
            asks = flow.send([answered(ask, answer) for ask in asks])
    except StopIteration as end:
        return Driven(end.value, steps)


def answered(ask: Ask, answer: Answer) -> Answered:
    aspects = answer(json.loads(ask.data))
    return Answered(ask, None if aspects is None else AspectsAnswer(aspects=aspects))


def voices(count: int, side: str) -> list[Voiced]:
    return [
        Voiced(f"{side}{n}", f"p{n}", n % 2 == 0, f"{side} wish {n}", "why") for n in range(count)
    ]


def aspect(
    name: str, first: Sequence[int] = (), second: Sequence[int] = (), rating: int = 3
) -> AspectItem:
    return AspectItem(
        name=name,
        rating=rating,
        interpretation="They differ.",
        first_wants="Do this.",
        second_wants="Do that.",
        first=[*first],
        second=[*second],
    )


def everyone_speaks(data: dict[str, Any]) -> list[AspectItem]:
    """Says that every preference shown voices one aspect; merges pass all numbers on."""
    lists = [aspect for shown in data.get("lists", ()) for aspect in shown] or [
        {side: [p["number"] for p in data[side]] for side in ("first", "second")}
    ]
    first, second = ([n for one in lists for n in one[side]] for side in ("first", "second"))
    return [aspect("Length", first, second)]


def wishes(step: dict[str, Any], side: str) -> set[str]:
    return {p["expectation"] for p in step[side]}


def test_a_chain_of_two_rounds_by_hand() -> None:
    # Three of one side and two of the other in minibatches of two: rounds of 1 and 2, then of 2
    # and 2, in which the second side's only minibatch is used again. Numbers run on from side to
    # side: in round one 1 | 2 3, in round two 1 2 | 3 4.
    config = FoldConfig(minibatch_size=2, shape="chain")
    said = iter(
        [
            [aspect("Length", first=[1], second=[3]), aspect("tone", rating=2)],
            [aspect("length", second=[3], rating=5)],
        ]
    )
    driven = drive(fold(voices(3, "a"), voices(2, "b"), config), lambda _: next(said))
    (one,), (two,) = driven.data
    assert [len(one["first"]), len(one["second"]), one["aspects"]] == [1, 2, []]
    assert [len(two["first"]), len(two["second"])] == [2, 2]
    assert one["second"] == [{**p, "number": n} for n, p in enumerate(two["second"], start=2)]
    # The answer replaces the list, and comes along without numbers.
    assert [a["name"] for a in two["aspects"]] == ["Length", "tone"]
    assert not any("first" in a or "second" in a for a in two["aspects"])
    folded = driven.folded
    assert [(a.name, a.rating, a.first, a.second) for a in folded.aspects] == [
        ("length", 5, [], [])
    ]
    assert (folded.rounds, folded.depth, folded.failed, folded.hallucinated) == (2, 2, 0, 0)
    # "Length" and "length" are one: who voiced it in round one still counts. 3 is the second side's
    # second preference in round one and its first in round two.
    ids = [p["expectation"].replace(" wish ", "") for p in (*one["first"], *one["second"])]
    assert folded.voiced == {"length": Voices((ids[0],), (ids[2], ids[1]))}


def test_ids_and_people_never_enter_a_question() -> None:
    preference = Voiced("secret-id", "secret-person", True, "short", "long", 2, ("secret-id", "x9"))
    driven = drive(fold([preference], [preference], FoldConfig()), everyone_speaks)
    text = "".join(ask.system + ask.data for step in driven.steps for ask in step)
    assert "secret" not in text
    assert "x9" not in text
    assert driven.steps[0][0].subject is None
    assert driven.data[0][0]["first"][0]["count"] == 2


def test_members_are_what_a_merged_preference_attributes() -> None:
    one = Voiced("a", "p", True, "short", "long", 2, ("a", "b"))
    driven = drive(fold([one], voices(1, "c"), FoldConfig()), everyone_speaks)
    assert driven.folded.voiced == {"Length": Voices(("a", "b"), ("c0",))}


@pytest.mark.parametrize("shape", ["chain", "tree"])
def test_a_round_without_an_answer_leaves_the_aspects_as_they_were(shape: Any) -> None:
    config = FoldConfig(minibatch_size=1, shape=shape)
    said = iter([[aspect("length")], None, None])
    driven = drive(fold(voices(3, "a"), voices(3, "b"), config), lambda _: next(said))
    assert [a.name for a in driven.folded.aspects] == ["length"]
    assert driven.folded.failed == 2
    assert driven.folded.rounds == 3


def test_a_merge_without_an_answer_keeps_both_lists() -> None:
    said = iter(
        [
            [aspect("length", first=[1], rating=2), aspect("tone")],
            [aspect("Length", first=[1], rating=4), aspect("order")],
            None,
        ]
    )
    config = FoldConfig(minibatch_size=1, shape="tree")
    driven = drive(fold(voices(2, "a"), voices(2, "b"), config), lambda _: next(said))
    assert [(a.name, a.rating) for a in driven.folded.aspects] == [
        ("Length", 4),
        ("tone", 3),
        ("order", 3),
    ]
    assert set(driven.folded.voiced["Length"].first) == {"a0", "a1"}
    assert driven.folded.failed == 1


def test_numbers_that_are_not_there_or_on_the_other_side_are_dropped_and_counted() -> None:
    # Two on each side are numbered 1, 2 and 3, 4; 3 is the other side's, 9 and 0 are nobody's.
    said = [aspect("length", first=[1, 3, 9, 1], second=[4, 2, 0])]
    driven = drive(fold(voices(2, "a"), voices(2, "b"), FoldConfig()), lambda _: said)
    assert driven.folded.hallucinated == 4
    first, second = driven.folded.voiced["length"]
    assert len(first) == len(second) == 1
    assert first[0].startswith("a")
    assert second[0].startswith("b")


def test_an_aspect_merged_under_a_new_name_inherits_by_number() -> None:
    def answer(data: dict[str, Any]) -> list[AspectItem]:
        if "lists" not in data:
            return [
                aspect(data["first"][0]["expectation"], first=[1]),
                aspect("both", second=[2]),
            ]
        left, right = data["lists"]
        # Every aspect has numbers of its own, the same preference in two aspects two.
        return [
            aspect("renamed", first=[*left[0]["first"], *right[0]["first"]]),
            aspect("both"),
        ]

    config = FoldConfig(minibatch_size=1, shape="tree")
    driven = drive(fold(voices(2, "a"), voices(2, "b"), config), answer)
    assert set(driven.folded.voiced["renamed"].first) == {"a0", "a1"}
    assert driven.folded.voiced["renamed"].second == ()
    # Of the same name, it inherits without being named.
    assert set(driven.folded.voiced["both"].second) == {"b0", "b1"}
    assert driven.folded.hallucinated == 0


def test_an_aspect_of_a_merge_shows_at_most_five_numbers_and_passes_on_all_voices() -> None:
    config = FoldConfig(minibatch_size=20, shape="tree")
    driven = drive(fold(voices(40, "a"), voices(40, "b"), config), everyone_speaks)
    (merge,) = driven.data[1]
    assert [
        len(one["first"]) for one in (aspect for shown in merge["lists"] for aspect in shown)
    ] == [5, 5]
    assert len(driven.folded.voiced["Length"].first) == 40


@pytest.mark.parametrize(("ones", "others"), [(0, 3), (3, 0), (0, 0)])
def test_where_a_side_says_nothing_nothing_is_asked(ones: int, others: int) -> None:
    before = [aspect("length", first=[1])]
    driven = drive(
        fold(voices(ones, "a"), voices(others, "b"), FoldConfig(), before), everyone_speaks
    )
    assert not driven.steps
    assert driven.folded == Folded(
        aspects=(aspect("length"),),
        rounds=0,
        depth=0,
        failed=0,
        hallucinated=0,
        voiced={"length": Voices()},
    )


def test_refining_starts_a_chain_from_the_aspects_of_before() -> None:
    driven = drive(
        fold(voices(1, "a"), voices(1, "b"), FoldConfig(), [aspect("tone", first=[7])]),
        everyone_speaks,
    )
    assert [a["name"] for a in driven.data[0][0]["aspects"]] == ["tone"]


def test_refining_merges_the_aspects_of_before_into_a_tree() -> None:
    config = FoldConfig(shape="tree")
    driven = drive(
        fold(voices(1, "a"), voices(1, "b"), config, [aspect("tone", first=[7])]),
        lambda data: [aspect("all")] if "lists" in data else [aspect("length", first=[1])],
    )
    assert driven.data[0][0]["aspects"] == []
    (merge,) = driven.data[1]
    assert [a["name"] for a in merge["lists"][0]] == ["tone"]
    assert merge["lists"][0][0]["first"] == []
    assert [a.name for a in driven.folded.aspects] == ["all"]


def test_auto_is_a_chain_below_tree_from_and_a_tree_from_there() -> None:
    config = FoldConfig(minibatch_size=1, tree_from=4)
    for rounds, first_step in ((3, 1), (4, 4)):
        driven = drive(fold(voices(rounds, "a"), voices(1, "b"), config), everyone_speaks)
        assert len(driven.steps[0]) == first_step


def test_the_shorter_side_s_minibatches_are_used_again_in_turn() -> None:
    config = FoldConfig(minibatch_size=1, shape="tree")
    driven = drive(fold(voices(4, "a"), voices(2, "b"), config), everyone_speaks)
    one, two, three, four = (wishes(data, "second") for data in driven.data[0])
    assert one == three != two == four


def test_another_order_makes_other_minibatches_of_the_same_preferences() -> None:
    def minibatches(order: int) -> list[set[str]]:
        config = FoldConfig(minibatch_size=5, shape="chain", order=order)
        driven = drive(fold(voices(20, "a"), voices(20, "b"), config), everyone_speaks)
        return [wishes(step[0], "first") for step in driven.data]

    assert minibatches(1) != minibatches(2)
    assert set[str]().union(*minibatches(1)) == set[str]().union(*minibatches(2))


sizes = st.integers(1, 30)


@settings(deadline=None)
@given(ones=sizes, others=sizes, size=st.integers(1, 7), shape=st.sampled_from(["chain", "tree"]))
def test_every_preference_is_seen_in_minibatches_of_nearly_equal_size(
    ones: int, others: int, size: int, shape: Any
) -> None:
    config = FoldConfig(minibatch_size=size, shape=shape)
    driven = drive(fold(voices(ones, "a"), voices(others, "b"), config), everyone_speaks)
    rounds = [data for step in driven.data for data in step if "lists" not in data]
    assert len(rounds) == driven.folded.rounds == math.ceil(max(ones, others) / size)
    for side, count in (("first", ones), ("second", others)):
        seen = [wishes(data, side) for data in rounds]
        assert len(set[str]().union(*seen)) == count
        assert max(map(len, seen)) <= size
        assert max(map(len, seen)) - min(map(len, seen)) <= 1
    assert sorted(driven.folded.voiced["Length"].first) == sorted(v.id for v in voices(ones, "a"))


@settings(max_examples=30, deadline=None)
@given(ones=st.integers(1, 12), others=st.integers(1, 12), size=st.integers(2, 5))
def test_cross_asks_every_pair_of_minibatches(ones: int, others: int, size: int) -> None:
    config = FoldConfig(minibatch_size=size, pairing="cross", shape="tree")
    driven = drive(fold(voices(ones, "a"), voices(others, "b"), config), everyone_speaks)
    pairs = {
        (frozenset(wishes(data, "first")), frozenset(wishes(data, "second")))
        for data in driven.data[0]
    }
    assert len(pairs) == driven.folded.rounds == math.ceil(ones / size) * math.ceil(others / size)


@settings(max_examples=50, deadline=None)
@given(leaves=st.integers(1, 40), before=st.booleans())
def test_a_tree_is_as_deep_as_the_logarithm_and_a_chain_as_its_rounds(
    leaves: int, before: bool
) -> None:
    depth: dict[str, int] = {}
    shapes: tuple[Literal["chain", "tree"], ...] = ("chain", "tree")
    for shape in shapes:
        config = FoldConfig(minibatch_size=1, shape=shape)
        start = [aspect("tone")] if before else []
        flow = fold(voices(leaves, "a"), voices(leaves, "b"), config, start)
        driven = drive(flow, everyone_speaks)
        depth[shape] = driven.folded.depth
        assert len(driven.steps) == driven.folded.depth
    waits, lists = 0, leaves + before
    while lists > 1:
        waits, lists = waits + 1, math.ceil(lists / 4)
    assert depth == {"chain": leaves, "tree": 1 + waits}


@settings(max_examples=30, deadline=None)
@given(data=st.data(), order=st.integers(0, 5))
def test_the_order_of_the_log_changes_no_question(data: st.DataObject, order: int) -> None:
    config = FoldConfig(minibatch_size=3, order=order)
    ones, others = voices(8, "a"), voices(5, "b")
    straight = drive(fold(ones, others, config), everyone_speaks)
    ones, others = data.draw(st.permutations(ones)), data.draw(st.permutations(others))
    assert drive(fold(ones, others, config), everyone_speaks) == straight


@settings(max_examples=50, deadline=None)
@given(
    answers=st.lists(
        st.none()
        | st.lists(
            st.builds(
                aspect,
                st.sampled_from(["length", "tone", "order"]),
                st.lists(st.integers(0, 50), max_size=5),
                st.lists(st.integers(0, 50), max_size=5),
            ),
            max_size=3,
            unique_by=lambda a: a.name,
        ),
        min_size=40,
        max_size=40,
    ),
    config=st.builds(
        FoldConfig,
        minibatch_size=st.integers(1, 4),
        shape=st.sampled_from(["chain", "tree"]),
    ),
)
def test_whatever_the_model_says_the_fold_ends_and_attributes_only_to_the_right_side(
    answers: list[list[AspectItem] | None], config: FoldConfig
) -> None:
    said = iter(answers)
    driven = drive(fold(voices(9, "a"), voices(7, "b"), config), lambda _: next(said))
    asked = sum(map(len, driven.steps))
    assert driven.folded.failed == sum(one is None for one in answers[:asked])
    assert set(driven.folded.voiced) == {a.name for a in driven.folded.aspects}
    for first, second in driven.folded.voiced.values():
        assert all(i.startswith("a") for i in first)
        assert all(i.startswith("b") for i in second)
        assert len(set(first)) == len(first)


@pytest.mark.parametrize(
    "wrong",
    [{"minibatch_size": 0}, {"tree_from": 1}, {"pairing": "all"}, {"shape": "star"}],
)
def test_a_config_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        FoldConfig(**wrong)
