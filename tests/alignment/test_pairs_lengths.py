"""Lengths of chosen and rejected answers, and pairs that balance them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.alignment.pairs.lengths import balanced, lengths_of


def pair(chosen: int, rejected: int, name: int = 0) -> Pair:
    def words(count: int) -> tuple[Said]:
        return (Said(role="assistant", content=" ".join(["word"] * count)),)

    return Pair(
        prompt=(Said(role="user", content="?"),),
        chosen=words(chosen),
        rejected=words(rejected),
        subject=f"t:c:{name}",
        group="g",
        intent="i",
    )


def test_lengths_are_means_and_ties_count_half() -> None:
    lengths = lengths_of([pair(10, 4), pair(6, 6), pair(2, 8)])
    assert lengths is not None
    assert (lengths.chosen, lengths.rejected) == (6, 6)  # 18/3, 18/3
    assert lengths.chosen_longer == 0.5  # (1 + 0.5 + 0) / 3
    assert lengths.imbalance == 0
    longer = lengths_of([pair(30, 10)])
    assert longer is not None
    assert longer.imbalance == 1.0  # (30 - 10) / 20
    assert lengths_of([]) is None


def test_characters_of_scripts_without_spaces_are_words() -> None:
    mixed = pair(1, 1).model_copy(
        update={"chosen": (Said(role="assistant", content="重置 the 网络 now, please"),)}
    )
    lengths = lengths_of([mixed])
    assert lengths is not None
    assert lengths.chosen == 7  # four characters and three words


def test_the_most_unequal_pairs_of_the_longer_side_go_first() -> None:
    pairs = [pair(50, 10, 0), pair(12, 10, 1), pair(9, 10, 2), pair(20, 10, 3)]
    # Words 91 against 40: 2 * 51 / 131 = 0.78. Without the first 41 and 30: 22 / 71 = 0.31.
    # Without the fourth too 21 and 20: 2 / 41 = 0.05.
    assert balanced(pairs, 0.8) == pairs
    assert balanced(pairs, 0.5) == pairs[1:]
    assert balanced(pairs, 0.1) == pairs[1:3]


def test_where_every_pair_leans_the_same_way_none_may_stay() -> None:
    assert balanced([pair(10, 5), pair(12, 5)], 0.1) == []


sizes = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=30)


@given(sizes, st.sampled_from([0.05, 0.2, 1.0]))
def test_what_stays_is_balanced_and_in_order(words: list[tuple[int, int]], bound: float) -> None:
    pairs = [pair(*two, name) for name, two in enumerate(words)]
    kept = balanced(pairs, bound)
    assert kept == [p for p in pairs if p in kept]
    lengths = lengths_of(kept)
    assert lengths is None or abs(lengths.imbalance) <= bound + 1e-9


@given(sizes)
def test_swapping_chosen_and_rejected_changes_nothing_but_the_sign(
    words: list[tuple[int, int]],
) -> None:
    ours = lengths_of([pair(c, r) for c, r in words])
    theirs = lengths_of([pair(r, c) for c, r in words])
    if ours is not None and theirs is not None:
        assert ours.imbalance == pytest.approx(-theirs.imbalance)
        assert ours.chosen_longer == pytest.approx(1 - theirs.chosen_longer)
