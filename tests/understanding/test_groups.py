"""Groups: learned where wording tells, refused where it does not, topic is not wording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.embedding import HashingEncoder
from gpa_agent.errors import UsageError
from gpa_agent.understanding.groups import stratified_auc, train_group_classifier
from gpa_agent.understanding.protocols import GroupClassifier
from gpa_agent.understanding.storage import load_classifier, save_classifier

ENCODER = HashingEncoder()
NOVICE = ["explain", "simple", "beginner", "confused", "basics", "help", "start", "easy"]
EXPERT = [
    "latency",
    "throughput",
    "refactor",
    "kernel",
    "allocator",
    "profiling",
    "invariant",
    "mutex",
]
TOPICS = {
    "bikes": ["bike", "wheel", "brake", "saddle", "gears", "frame"],
    "phones": ["phone", "screen", "battery", "camera", "charger", "storage"],
}
PLAIN = ["want", "good", "new", "thing", "maybe", "today", "work", "look", "find", "need"]


def world(
    *, telling: int, topical: bool = False, people: int = 40, seed: int = 0
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Two conversations each; ``telling`` words of the group's own; topic by group or by chance."""
    rng = np.random.default_rng(seed)
    texts, groups, persons, strata = [], [], [], []
    for number in range(people):
        group = ("novice", "expert")[number % 2]
        for _ in range(2):
            mostly = rng.random() < (0.85 if topical else 0.5)
            topic = ("bikes", "phones")[(number % 2) ^ (not mostly)]
            own = NOVICE if group == "novice" else EXPERT
            words = [
                *rng.choice(own, telling),
                *rng.choice(TOPICS[topic], 4),
                *rng.choice(PLAIN, 4),
            ]
            texts.append(" ".join(words))
            groups.append(group)
            persons.append(f"u{number}")
            strata.append(topic)
    return texts, groups, persons, strata


def test_groups_that_word_differently_are_told(tmp_path: Path) -> None:
    texts, groups, people, strata = world(telling=3)
    classifier, report = train_group_classifier(texts, groups, people, ENCODER, strata=strata)
    assert classifier is not None
    assert isinstance(classifier, GroupClassifier)
    assert report.trained
    assert report.auc is not None
    assert report.auc > 0.9
    assert report.people == {"expert": 20, "novice": 20}
    fresh, truth, _, _ = world(telling=3, seed=1)
    right = [a.value == b for a, b in zip(classifier.classify(fresh), truth, strict=True)]
    assert np.mean(right) > 0.85
    assert classifier.classify([""])[0].value == UNKNOWN
    save_classifier(classifier, tmp_path)
    again = load_classifier(tmp_path, ENCODER)
    assert again.classify(fresh) == classifier.classify(fresh)
    assert again.report["auc"] == report.auc


@pytest.mark.parametrize("seed", range(5))
def test_no_difference_no_classifier(seed: int) -> None:
    texts, groups, people, strata = world(telling=0, seed=seed)
    classifier, report = train_group_classifier(texts, groups, people, ENCODER, strata=strata)
    assert classifier is None
    assert not report.trained
    assert "cannot be told from wording" in report.reason


def test_topic_is_not_wording() -> None:
    texts, groups, people, strata = world(telling=0, topical=True, people=80)
    fooled, leaky = train_group_classifier(texts, groups, people, ENCODER)
    honest, held = train_group_classifier(texts, groups, people, ENCODER, strata=strata)
    assert fooled is not None
    assert leaky.auc is not None
    assert leaky.auc > 0.7
    assert not leaky.stratified
    assert honest is None
    assert held.auc is not None
    assert held.auc < 0.65
    assert held.stratified


def test_a_group_that_is_its_topic_cannot_be_told() -> None:
    texts, groups, people, _ = world(telling=3)
    classifier, report = train_group_classifier(texts, groups, people, ENCODER, strata=groups)
    assert classifier is None
    assert "wording cannot be told from topic" in report.reason


def test_more_than_two_groups() -> None:
    texts, groups, people, strata = world(telling=3, people=60)
    third = [i for i, person in enumerate(people) if int(person[1:]) % 3 == 0]
    for i in third:
        groups[i] = "poet"
        texts[i] += " moonlight sonnet willow verse"
    classifier, report = train_group_classifier(texts, groups, people, ENCODER, strata=strata)
    assert classifier is not None
    assert set(classifier.labels) == {"expert", "novice", "poet"}
    assert report.balanced_accuracy is not None
    assert report.balanced_accuracy > 0.8


def test_unsure_is_unknown() -> None:
    texts, groups, people, strata = world(telling=2)
    classifier, report = train_group_classifier(
        texts, groups, people, ENCODER, strata=strata, min_confidence=0.97
    )
    assert classifier is not None
    assert report.coverage is not None
    assert report.coverage < 1
    assert classifier.classify(["want good new thing today"])[0].value == UNKNOWN


def test_too_few_people_says_so() -> None:
    texts, groups, people, _ = world(telling=3, people=12)
    classifier, report = train_group_classifier(texts, groups, people, ENCODER)
    assert classifier is None
    assert "{'expert': 6, 'novice': 6}" in report.reason
    empty, report = train_group_classifier([], [], [], ENCODER)
    assert empty is None
    assert report.conversations == 0


def test_one_loud_person_is_one_person() -> None:
    texts, groups, people, _ = world(telling=3, people=12)
    classifier, report = train_group_classifier(texts * 50, groups * 50, people * 50, ENCODER)
    assert classifier is None
    assert report.people == {"expert": 6, "novice": 6}


def test_renaming_groups_renames_answers() -> None:
    texts, groups, people, strata = world(telling=2)
    names = {"novice": "a", "expert": "z"}  # the order of the names turns round
    first, report = train_group_classifier(texts, groups, people, ENCODER, strata=strata)
    second, renamed = train_group_classifier(
        texts, [names[g] for g in groups], people, ENCODER, strata=strata
    )
    assert first is not None
    assert second is not None
    assert renamed.auc == pytest.approx(report.auc, abs=1e-3)
    answers = [label.value for label in first.classify(texts)]
    assert [label.value for label in second.classify(texts)] == [names[a] for a in answers]


def test_the_order_of_the_log_does_not_decide_and_runs_repeat() -> None:
    texts, groups, people, strata = world(telling=2)
    runs = [train_group_classifier(texts, groups, people, ENCODER, strata=strata) for _ in range(2)]
    assert runs[0][1] == runs[1][1]
    assert runs[0][0] is not None
    assert runs[1][0] is not None
    assert runs[0][0].version == runs[1][0].version


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match="1 texts came with 2 groups"):
        train_group_classifier(["a"], ["x", "y"], ["p"], ENCODER)
    with pytest.raises(UsageError, match="min_confidence"):
        train_group_classifier(["a"], ["x"], ["p"], ENCODER, min_confidence=2.0)


def test_auc_by_hand() -> None:
    # Group 1 scores 0.9 and 0.4, group 0 scores 0.4 and 0.1. Pairs: (0.9 > 0.4), (0.9 > 0.1),
    # (0.4 = 0.4, half), (0.4 > 0.1): 3.5 of 4.
    score = np.array([0.9, 0.4, 0.4, 0.1])
    both = np.column_stack([1 - score, score])
    target, one = np.array([1, 1, 0, 0]), np.ones(4)
    whole = np.zeros(4, np.int64)
    assert stratified_auc(both, target, whole, one) == pytest.approx(3.5 / 4)
    # The 0.9 counted three times: (3 + 3 + 0.5 + 1) of (4 * 2).
    heavy = np.array([3.0, 1.0, 1.0, 1.0])
    assert stratified_auc(both, target, whole, heavy) == pytest.approx(7.5 / 8)
    # Strata {0.9, 0.1} and {0.4, 0.4}: one win and one tie of two pairs.
    assert stratified_auc(both, target, np.array([0, 1, 1, 0]), one) == pytest.approx(0.75)
    assert stratified_auc(both, target, target, one) is None


@given(st.integers(0, 10_000))
def test_auc_turns_round_with_the_score(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, target = rng.integers(0, 5, 12) / 5, rng.permutation([0] * 5 + [1] * 7)
    strata, one = np.zeros(12, np.int64), np.ones(12)
    up = stratified_auc(np.column_stack([-score, score]), target, strata, one)
    down = stratified_auc(np.column_stack([score, -score]), target, strata, one)
    assert up is not None
    assert down is not None
    assert up + down == pytest.approx(1.0)
