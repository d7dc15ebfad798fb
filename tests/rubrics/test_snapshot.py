from __future__ import annotations

from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric
from gpa_agent.rubrics.snapshot import EMPTY, build_snapshot


def rubric(group: str, other: str, guidance: dict[str, str], intent: str = "i") -> Rubric:
    aspect = Aspect(name="code", rating=3, interpretation="x", guidance=guidance, status="live")
    return Rubric(
        intent=intent,
        contrast=ContrastModel(group=group, other=other),
        version=1,
        aspects=(aspect,),
    )


def test_both_sides_of_a_contrast_are_served() -> None:
    both = rubric("a", "b", {"a": "more", "b": "less"})
    snapshot = build_snapshot([both], {"p": "a"}, revision=4)
    assert snapshot.rubric(intent="i", group="a") is both
    assert snapshot.rubric(intent="i", group="b") is both
    assert snapshot.rubric(intent="other", group="a") is None
    assert snapshot.groups["p"] == "a"
    assert snapshot.revision == 4


def test_a_group_without_guidance_is_not_served() -> None:
    snapshot = build_snapshot([rubric("a", "b", {"a": "more"})], {}, revision=1)
    assert snapshot.rubric(intent="i", group="b") is None


def test_the_contrast_that_names_the_group_first_wins() -> None:
    named, against_all = rubric("b", "a", {"a": "x", "b": "y"}), rubric("a", "*", {"a": "z"})
    snapshot = build_snapshot([named, against_all], {}, revision=1)
    assert snapshot.rubric(intent="i", group="a") is against_all
    assert snapshot.rubric(intent="i", group="b") is named


def test_nothing_is_served_before_the_first_load() -> None:
    assert EMPTY.rubric(intent="i", group="a") is None
