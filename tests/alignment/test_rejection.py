"""Reward heads and rejection sampling: known margins, honest folds, flipped pairs that go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.alignment.tuning.rejection import keep_by_margin
from gpa_agent.alignment.tuning.reward import cross_fitted_margins, embedding_differences, fit_head
from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import DataError, UsageError
from gpa_agent.testing.miniature.checks import flipped_share
from gpa_agent.testing.miniature.preferences import pairs


class Counting:
    """An encoder that notes what it is asked for."""

    name, dim, origin = "counting", 2, "a test"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def _pair(number: int, chosen: str, rejected: str, *, group: str = "novice") -> Pair:
    return Pair(
        prompt=(Said(role="user", content="Why?"),),
        chosen=(Said(role="assistant", content=chosen),),
        rejected=(Said(role="assistant", content=rejected),),
        subject=f"pair:{number}",
        person=f"person {number % 7}",
        group=group,
        intent="howto",
    )


def test_a_head_reaches_the_minimum_of_its_penalised_loss() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal([0.5, 0.0, -0.5], 1.0, size=(40, 3))

    weights = fit_head(differences)

    # Every pair is shown both ways round with C = 1, so that 2 sum log(1 + exp(-d w)) + w w / 2 is
    # least where w = 2 sum d / (1 + exp(d w)).
    pull = 2 * (differences / (1 + np.exp(differences @ weights))[:, None]).sum(axis=0)
    assert weights == pytest.approx(pull, abs=5e-3)


def test_every_text_is_embedded_once() -> None:
    encoder = Counting()

    found = embedding_differences(encoder, ["a", "abc", "a"], ["abcd", "a", "abc"])

    assert sorted(encoder.asked) == ["a", "abc", "abcd"]
    assert found[:, 0].tolist() == [-3.0, 2.0, -2.0]


def test_no_pair_is_judged_by_a_head_that_saw_its_person() -> None:
    # A lone person wants the opposite; a head that had seen that would agree with it.
    toward = np.array([[1.0, 0.0]] * 20)
    against = np.array([[-1.0, 0.0]] * 3)
    people = [f"person {number // 2}" for number in range(20)] + ["lone"] * 3

    margins = cross_fitted_margins(np.concatenate([toward, against]), people, seed=0)

    assert (margins[:20] > 0).all()
    assert (margins[20:] < 0).all()
    # With its own wish changed a person's margins change their sign and nothing else.
    turned = cross_fitted_margins(np.concatenate([toward, -against]), people, seed=0)
    assert turned[20:] == pytest.approx(-margins[20:])


def test_flipped_pairs_go_and_the_accuracy_is_told() -> None:
    noisy = pairs("novice", 400, seed=3, flipped=0.3)

    found = keep_by_margin(noisy, HashingEncoder(), share=0.6, seed=0)

    assert len(found.kept) == 240
    assert found.encoder.startswith("hashing, built in")
    assert flipped_share(noisy) == pytest.approx(0.3)
    assert flipped_share(found.kept) < 0.1
    # The best head agrees with the 70% that stand the right way round.
    assert 0.6 < found.accuracy["novice"].mean <= 0.72
    assert [pair for pair in noisy if pair in found.kept] == list(found.kept)
    lowest = min(m for m, pair in zip(found.margins, noisy, strict=True) if pair in found.kept)
    assert sorted(found.margins)[160] == lowest


def test_the_same_seed_keeps_the_same() -> None:
    noisy = pairs("expert", 100, seed=3, flipped=0.3)

    first, again = (keep_by_margin(noisy, HashingEncoder(), seed=1) for _ in range(2))

    assert first.kept == again.kept
    assert (first.margins == again.margins).all()


def test_every_group_has_a_head_and_a_share_of_its_own() -> None:
    mixed = [
        _pair(number, *texts, group=group)
        for number in range(40)
        for group, texts in (
            ("novice", ("slow and easy", "fast and hard")),
            ("expert", ("fast and hard", "slow and easy")),
        )
    ]

    found = keep_by_margin(mixed, HashingEncoder(), share=0.5)

    # One head for both would know nothing: what pleases one displeases the other.
    assert (found.margins > 0).all()
    assert found.accuracy == {"novice": (1.0, 1.0, 1.0), "expert": (1.0, 1.0, 1.0)}
    assert [pair.group for pair in found.kept].count("expert") == 20


def test_labels_of_chance_are_told_as_chance() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(40)]
    chance = [_pair(n, *(" ".join(rng.choice(words, 6)) for _ in range(2))) for n in range(200)]

    found = keep_by_margin(chance, HashingEncoder())

    assert 0.35 < found.accuracy["novice"].mean < 0.65


def test_what_cannot_be_cross_fitted_is_refused() -> None:
    with pytest.raises(DataError, match="one person's"):
        keep_by_margin([_pair(7, "a", "b"), _pair(14, "a", "b")], HashingEncoder())
    nobodys = [_pair(n, "a", "b").model_copy(update={"person": None}) for n in range(4)]
    one_talk = [
        pair.model_copy(update={"subject": f"t:talk:{turn}"}) for turn, pair in enumerate(nobodys)
    ]
    with pytest.raises(DataError, match="one person's"):
        keep_by_margin(one_talk, HashingEncoder())
    with pytest.raises(UsageError, match="share"):
        keep_by_margin([_pair(1, "a", "b")], HashingEncoder(), share=0.0)
