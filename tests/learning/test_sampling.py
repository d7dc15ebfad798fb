"""Which inputs a model labels under a budget, and who is held out: repeatable, and stable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.errors import UsageError
from gpa_agent.learning.sampling import is_held_out, sample_by_hash

IDS = [f"t:c{i}:{i % 3}" for i in range(1000)]


@given(st.permutations(IDS[:40]), st.integers(0, 45))
def test_a_sample_has_the_size_of_the_budget_in_any_order(ids: list[str], budget: int) -> None:
    sample = sample_by_hash(ids, budget)
    assert sample == sample_by_hash(IDS[:40], budget)
    assert sum(sample.takes(x) for x in ids) == min(budget, 40)


def test_a_larger_budget_takes_what_a_smaller_one_took() -> None:
    small, large = sample_by_hash(IDS, 100), sample_by_hash(IDS, 300)
    assert {x for x in IDS if small.takes(x)} < {x for x in IDS if large.takes(x)}


def test_a_log_that_grows_displaces_by_new_inputs_alone() -> None:
    before, after = sample_by_hash(IDS[:800], 100), sample_by_hash(IDS, 100)
    old = {x for x in IDS[:800] if before.takes(x)}
    new = {x for x in IDS if after.takes(x)}
    assert new - old <= set(IDS[800:])
    # A fifth of the log is new, so about a fifth of the sample is.
    assert 10 <= len(new - old) <= 32


def test_ids_are_read_one_by_one() -> None:
    sample = sample_by_hash((x for x in IDS), 7)
    assert sum(sample.takes(x) for x in IDS) == 7


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(UsageError, match="-1"):
        sample_by_hash(IDS, -1)


def test_held_out_people_stay_held_out_when_the_share_is_raised() -> None:
    fifth = {x for x in IDS if is_held_out(x)}
    third = {x for x in IDS if is_held_out(x, 0.34)}
    assert fifth < third
    assert 160 <= len(fifth) <= 240
