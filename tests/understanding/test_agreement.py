"""Agreement of a classifier with the model that taught it: known values by hand, and people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.understanding.agreement import Said, compare, measure, share_interval


def said(labels: list[str], confidence: list[float] | None = None) -> Said:
    return Said(labels, np.array(confidence or [1.0] * len(labels)))


def test_macro_f1_is_the_mean_over_the_labels_the_model_used() -> None:
    found = measure(said(["a", "a", "b", "c"]), ["a", "b", "b", "b"], confidence=0.5)
    # a: 1 agreed, 2 said, 1 true: 2/3. b: 1 agreed, 1 said, 3 true: 2/4. c was never used.
    assert found.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.accuracy == 0.5


def test_calibration_error_is_the_gap_in_each_bin_weighted_by_its_rows() -> None:
    found = measure(
        said(["a", "a", "a", "a"], [0.92, 0.98, 0.55, 1.0]), ["a", "b", "a", "a"], confidence=0.9
    )
    # Bin 0.9 to 1 (1.0 with it): 0.92 + 0.98 + 1.0 against 2 right: 0.9. Bin 0.5: 0.45. Of 4.
    assert found.calibration_error == pytest.approx((0.9 + 0.45) / 4)
    assert found.coverage == 0.75
    assert found.precision == pytest.approx(2 / 3)


def test_nothing_is_precise_where_nothing_is_sure() -> None:
    assert measure(said(["a"], [0.4]), ["a"], confidence=0.8).precision is None


def test_always_saying_the_commonest_gains_nothing() -> None:
    true = ["neither"] * 90 + ["pleased"] * 10
    half = ["neither"] * 80 + ["pleased"] * 20
    people = [f"p{i % 25}" for i in range(100)]
    lazy, honest = said(["neither"] * 100), said(half)
    found = compare(lazy, honest, true, people)
    # Accuracy is 0.9 either way; lazy: (180/190 + 0)/2, honest: (160/170 + 20/30)/2.
    assert (found.accuracy.new, found.accuracy.old) == (0.9, 0.9)
    assert found.macro_f1.new == pytest.approx(90 / 190)
    assert found.macro_f1.old == pytest.approx((160 / 170 + 2 / 3) / 2)
    assert found.macro_f1.gain.high < 0
    assert found.worse
    assert not found.better


def test_more_rows_right_do_not_make_up_for_a_label_never_said() -> None:
    true = ["neither"] * 90 + ["pleased"] * 10
    people = [f"p{i % 25}" for i in range(100)]
    found = compare(
        said(["neither"] * 100), said(["neither"] * 60 + ["pleased"] * 40), true, people
    )
    assert found.accuracy.gain.low > 0
    assert found.macro_f1.gain.high < 0
    assert not found.better


def test_rows_of_one_person_are_no_further_evidence() -> None:
    true = ["a", "b"] * 50
    many = compare(said(true), said(["a"] * 100), true, [f"p{i // 2}" for i in range(100)])
    assert many.better
    one = compare(said(true), said(["a"] * 100), true, ["loud"] * 98 + ["x", "y"])
    assert not one.better


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_a_classifier_is_no_better_than_itself(rows: list[tuple[str, str]]) -> None:
    true, ours = [r[0] for r in rows], said([r[1] for r in rows])
    found = compare(ours, ours, true, [str(i % 4) for i in range(len(rows))])
    assert found.macro_f1.gain == found.accuracy.gain == (0.0, 0.0)
    assert 0.0 <= found.macro_f1.new <= 1.0
    assert not found.better
    assert not found.worse


def test_an_interval_of_a_share_is_wider_where_people_differ() -> None:
    hits = np.array([True] * 20 + [False] * 80)
    spread = share_interval(hits, [str(i) for i in range(100)])
    clumped = share_interval(hits, [str(i // 10) for i in range(100)])
    assert spread.low < 0.2 < spread.high
    assert clumped.high - clumped.low > spread.high - spread.low
