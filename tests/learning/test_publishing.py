from __future__ import annotations

from gpa_agent.learning.publishing import HELD, changes, only_live, settle
from gpa_agent.rubrics.records import Aspect, ContrastModel, Evidence, Rubric

EVIDENCE = Evidence(
    effect=0.5,
    interval=(0.2, 0.8),
    p_value=0.001,
    q_value=0.01,
    people={"a": 9, "b": 9},
    turns={"a": 20, "b": 20},
)


def aspect(name: str, status: str, *, seed: bool = False, reason: str | None = None) -> Aspect:
    return Aspect.model_validate(
        {
            "name": name,
            "rating": 3,
            "interpretation": "x",
            "guidance": {"a": f"do {name}"},
            "status": status,
            "reason": reason,
            "evidence": None if seed else EVIDENCE,
        }
    )


def rubric(*aspects: Aspect, version: int = 0) -> Rubric:
    return Rubric(
        intent="i", contrast=ContrastModel(group="a", other="b"), version=version, aspects=aspects
    )


def statuses(settled: Rubric) -> dict[str, str]:
    return {a.name: a.status for a in settled.aspects}


def test_auto_serves_what_passed_and_review_waits() -> None:
    found = rubric(aspect("one", "approved"), aspect("two", "candidate"))
    auto = settle(found, None, publish="auto", held=())
    assert statuses(auto) == {"one": "live", "two": "candidate"}
    review = settle(found, None, publish="review", held=())
    assert statuses(review) == {"one": "approved", "two": "candidate"}


def test_review_keeps_serving_what_is_live() -> None:
    live = rubric(aspect("one", "live"), version=2)
    settled = settle(rubric(aspect("one", "approved")), live, publish="review", held=())
    assert statuses(settled) == {"one": "live"}
    assert settled.version == 2
    assert changes(live, settled) is None


def test_what_lost_its_evidence_retires_with_the_reason() -> None:
    live = rubric(aspect("one", "live"), aspect("two", "live"), version=1)
    found = rubric(aspect("two", "candidate", reason="q 0.2 is above 0.05"))
    settled = settle(found, live, publish="auto", held=())
    assert statuses(settled) == {"one": "retired", "two": "retired"}
    reasons = {a.name: a.reason for a in settled.aspects}
    assert reasons == {
        "one": "was live: the data no longer shows it",
        "two": "was live: q 0.2 is above 0.05",
    }
    assert changes(live, settled) == "removed one, two"


def test_a_seed_stays_until_evidence_replaces_it() -> None:
    live = rubric(aspect("one", "live", seed=True), version=1)
    kept = settle(rubric(aspect("one", "candidate")), live, publish="auto", held=())
    assert statuses(kept) == {"one": "live"}
    assert kept.aspects[0].evidence is None
    replaced = settle(rubric(aspect("one", "approved")), live, publish="auto", held=())
    assert replaced.aspects[0].evidence is not None
    assert changes(live, replaced) is None


def test_what_a_person_took_out_stays_out() -> None:
    settled = settle(rubric(aspect("one", "approved")), None, publish="auto", held={"one"})
    assert statuses(settled) == {"one": "retired"}
    assert settled.aspects[0].reason == HELD


def test_no_version_without_a_change_in_what_is_served() -> None:
    live = rubric(aspect("one", "live"), version=1)
    stronger = aspect("one", "approved").model_copy(update={"rating": 5})
    settled = settle(rubric(stronger, aspect("new", "candidate")), live, publish="auto", held=())
    assert changes(live, settled) is None
    assert changes(None, rubric()) is None
    assert [a.name for a in only_live(settled).aspects] == ["one"]


def test_changed_guidance_is_a_change() -> None:
    before = rubric(aspect("one", "live"))
    after = rubric(aspect("one", "live").model_copy(update={"guidance": {"a": "other"}}))
    assert changes(before, after) == "changed one"


def test_under_review_guidance_that_has_turned_waits_and_the_old_one_goes() -> None:
    live = rubric(aspect("one", "live"), version=1)
    turned = aspect("one", "approved").model_copy(update={"guidance": {"a": "do the reverse"}})
    settled = settle(rubric(turned), live, publish="review", held=())
    assert statuses(settled) == {"one": "approved"}
    assert changes(live, settled) == "removed one"
    auto = settle(rubric(turned), live, publish="auto", held=())
    assert changes(live, auto) == "changed one"
