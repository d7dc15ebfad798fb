from __future__ import annotations

import numpy as np
import pytest

from gpa_agent.errors import UsageError
from gpa_agent.rubrics.observations import CLIP_SD, Observations, index_people, standardise


def test_standardise_by_hand() -> None:
    answers = np.array([[0.0], [2.0], [4.0]])
    rejected = np.array([[0.0], [0.0], [2.0]])
    paired = np.array([False, False, True])
    # All answers: 0, 2, 4 and the rejected 2; mean 2, sd sqrt(2); the pair is (4 - 2)/sqrt(2).
    expected = np.array([[-2.0], [0.0], [2.0]]) / np.sqrt(2)
    assert standardise(answers, rejected, paired) == pytest.approx(expected)


def test_a_constant_trait_becomes_zero_and_an_outlier_is_clipped() -> None:
    answers = np.full((200, 2), 0.1)
    answers[0, 1] = 1e6
    standard = standardise(answers, np.zeros_like(answers), np.zeros(200, dtype=bool))
    assert (standard[:, 0] == 0).all()
    assert standard[0, 1] == CLIP_SD


def test_no_rows() -> None:
    nothing = standardise(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, dtype=bool))
    assert nothing.shape == (0, 3)


def test_people_are_numbered_by_their_hash() -> None:
    assert index_people(["b", "a", "b"]).tolist() == [1, 0, 1]


def test_uneven_or_infinite_rows_are_refused() -> None:
    fine = {
        "values": np.zeros((1, 1)),
        "sat": np.ones(1, dtype=bool),
        "paired": np.zeros(1, dtype=bool),
        "person": np.zeros(1, dtype=np.int64),
        "group": ("a",),
        "intent": ("i",),
        "ids": ("x",),
    }
    Observations(**fine)  # type: ignore[arg-type]  # a table of fields
    for wrong in ({"group": ()}, {"values": np.full((1, 1), np.nan)}):
        with pytest.raises(UsageError):
            Observations(**{**fine, **wrong})  # type: ignore[arg-type]  # a table of fields
