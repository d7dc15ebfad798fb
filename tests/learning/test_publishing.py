from __future__ import annotations

from datetime import UTC, datetime

from gpa_agent.learning.publishing import (
    HELD,
    MAX_LIVE,
    PINNED,
    QUARANTINED,
    changes,
    last_served,
    only_live,
    settle,
)
from gpa_agent.ledger.rows import StoredRubric
from gpa_agent.rubrics.gate import GateConfig
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


def with_effect(
    name: str, effect: float, *, status: str = "approved", withstands: float = 1.0
) -> Aspect:
    guidance = {"a": f"more {name}" if effect > 0 else f"less {name}"}
    evidence = EVIDENCE.model_copy(update={"effect": effect, "withstands": withstands})
    return aspect(name, status).model_copy(update={"guidance": guidance, "evidence": evidence})


def test_what_turns_to_its_opposite_in_one_step_waits_and_the_live_rubric_stays() -> None:
    live = rubric(with_effect("one", 0.5, status="live"), aspect("two", "live"), version=3)
    found = rubric(with_effect("one", -0.5), with_effect("new", 0.4))
    settled = settle(found, live, publish="auto", held=())
    assert statuses(settled) == {"one": "approved", "new": "approved", "two": "live"}
    assert all(
        a.reason == f"{QUARANTINED}what is asked of one would turn to its opposite in one step"
        for a in settled.aspects
        if a.status == "approved"
    )
    assert changes(live, settled) is None
    assert {a.name: a.guidance for a in only_live(settled, live).aspects} == {
        a.name: a.guidance for a in live.aspects
    }


def test_swapped_sides_are_an_opposite() -> None:
    before = aspect("one", "live").model_copy(update={"guidance": {"a": "x", "b": "y"}})
    after = aspect("one", "approved").model_copy(update={"guidance": {"a": "y", "b": "x"}})
    settled = settle(rubric(after), rubric(before), publish="auto", held=())
    assert statuses(settled) == {"one": "approved"}


def test_replacing_most_of_a_rubric_at_once_waits_but_emptying_it_does_not() -> None:
    live = rubric(*(aspect(n, "live") for n in "abcd"), version=1)
    kept = aspect("a", "approved")
    replaced = settle(rubric(kept, aspect("new", "approved")), live, publish="auto", held=())
    assert statuses(replaced) == dict.fromkeys("abcd", "live") | {"new": "approved"}
    assert changes(live, replaced) is None
    emptied = settle(rubric(kept), live, publish="auto", held=())
    assert changes(live, emptied) == "removed b, c, d"


def test_a_first_publication_and_growth_are_no_jump() -> None:
    many = [aspect(n, "approved") for n in "abcdefgh"]
    assert set(statuses(settle(rubric(*many), None, publish="auto", held=())).values()) == {"live"}
    live = rubric(*(aspect(n, "live") for n in "abcd"), version=1)
    grown = settle(rubric(*many), live, publish="auto", held=())
    assert set(statuses(grown).values()) == {"live"}


def test_what_harms_retires_also_where_its_evidence_passes_and_in_quarantine() -> None:
    live = rubric(with_effect("one", 0.5, status="live"), aspect("two", "live"), version=1)
    found = rubric(with_effect("one", -0.5), aspect("two", "approved"))
    for publish in ("auto", "review"):
        settled = settle(
            found, live, publish=publish, held=(), harmed={"two": "pleased less", "gone": "x"}
        )
        assert statuses(settled)["two"] == "retired"
        assert next(a.reason for a in settled.aspects if a.name == "two") == (
            "was live: pleased less"
        )
        assert "gone" not in statuses(settled)
    settled = settle(found, live, publish="auto", held=(), harmed={"two": "pleased less"})
    assert changes(live, settled) == "removed two"
    assert [a.guidance for a in only_live(settled, live).aspects] == [{"a": "more one"}]
    # What had harmed and is found turned is no jump: nothing of it is live any more.
    turned = settle(found, live, publish="auto", held=(), harmed={"one": "pleased less"})
    assert statuses(turned) == {"one": "retired", "two": "live"}


def test_what_a_few_people_could_have_brought_about_waits_unless_it_is_live() -> None:
    weak = with_effect("weak", 0.5, withstands=0.15)
    settled = settle(rubric(weak), None, publish="auto", held=(), colluders=0.2)
    assert statuses(settled) == {"weak": "approved"}
    assert settled.aspects[0].reason == (
        "quarantined: it would not survive that 20% of one side's people had acted together (the "
        "setting colluders), only 15%"
    )
    assert statuses(settle(rubric(weak), None, publish="auto", held=())) == {"weak": "live"}
    live = rubric(weak.model_copy(update={"status": "live"}), version=1)
    again = settle(rubric(weak), live, publish="auto", held=(), colluders=0.2)
    assert statuses(again) == {"weak": "live"}


def test_one_person_never_suffices() -> None:
    # Nine people on each side: one of them is 11%.
    alone = with_effect("alone", 0.5, withstands=0.1)
    assert statuses(settle(rubric(alone), None, publish="auto", held=())) == {"alone": "approved"}


def test_a_rubric_serves_a_dozen_at_most_and_prefers_what_is_live() -> None:
    names = [f"n{i:02}" for i in range(14)]
    live = rubric(aspect("n13", "live"), version=1)
    settled = settle(rubric(*(aspect(n, "approved") for n in names)), live, publish="auto", held=())
    now = statuses(settled)
    assert sum(s == "live" for s in now.values()) == MAX_LIVE
    assert now["n13"] == "live"
    assert now["n11"] == now["n12"] == "candidate"


def test_what_pleases_those_who_are_served_stays_without_other_evidence() -> None:
    live = rubric(aspect("one", "live"), aspect("two", "live"), version=1)
    found = rubric(aspect("two", "candidate", reason="q 0.2 is above 0.05"))
    good = {"one": "pleases more", "two": "pleases more"}
    settled = settle(found, live, publish="auto", held=(), borne_out=good)
    assert statuses(settled) == {"one": "live", "two": "live"}
    assert changes(live, settled) is None
    harmed = settle(found, live, publish="auto", held=(), borne_out=good, harmed={"one": "less"})
    assert statuses(harmed) == {"one": "retired", "two": "live"}


def test_what_is_served_stays_a_little_over_the_mark_and_nothing_enters_there() -> None:
    def found(name: str, q: float, **changed: object) -> Aspect:
        evidence = EVIDENCE.model_copy(update={"q_value": q})
        body = {"evidence": evidence, "reason": f"q {q} is above 0.05: may well be chance"}
        return aspect(name, "candidate").model_copy(update=body | changed)

    live = rubric(*(aspect(n, "live") for n in ("hovers", "fades", "differs", "small")), version=1)
    now = rubric(
        found("hovers", 0.08),
        found("fades", 0.12),
        found("differs", 0.08, guidance={"a": "something else"}),
        found("small", 0.08, rating=1),
        found("new", 0.08),
    )
    settled = settle(now, live, publish="auto", held=(), keep=GateConfig(max_q=0.1))
    assert statuses(settled) == {
        "hovers": "live",
        "fades": "retired",
        "differs": "retired",
        "small": "retired",
        "new": "candidate",
    }
    assert settle(now, live, publish="auto", held=()).aspects[0].status == "retired"


def test_a_claim_rests_on_several_people_by_itself() -> None:
    claim = with_effect("said", 0.5, withstands=0.0).model_copy(update={"family": "claimed"})
    assert statuses(settle(rubric(claim), None, publish="auto", held=())) == {"said": "live"}
    watched = settle(rubric(claim), None, publish="auto", held=(), colluders=0.2)
    assert statuses(watched) == {"said": "approved"}


def test_what_a_person_rolled_back_to_stays_as_it_is_unless_it_does_harm() -> None:
    live = rubric(aspect("gone", "live"), with_effect("other", 0.5, status="live"), version=3)
    reworded = aspect("other", "approved").model_copy(update={"guidance": {"a": "reworded"}})
    pinned = {"gone", "other"}
    for publish in ("auto", "review", "nothing"):
        settled = settle(rubric(reworded), live, publish=publish, held=(), pinned=pinned)
        assert statuses(settled) == {"gone": "live", "other": "approved"}
        assert settled.aspects[0].reason == f"{QUARANTINED}{PINNED}"
        assert changes(live, settled) is None
    harmed = settle(
        rubric(reworded), live, publish="auto", held=(), pinned=pinned, harmed={"gone": "less"}
    )
    assert changes(live, harmed) == "removed gone"


def test_where_nothing_is_opened_a_jump_still_waits_and_nothing_is_lost_by_it() -> None:
    live = rubric(with_effect("one", 0.5, status="live"), version=1)
    found = rubric(with_effect("one", -0.5))
    settled = settle(found, live, publish="nothing", held=())
    assert settled == settle(found, live, publish="auto", held=())
    assert statuses(settled) == {"one": "approved"}
    assert changes(live, settled) is None
    more = settle(
        rubric(with_effect("one", 0.5), aspect("new", "approved")),
        live,
        publish="nothing",
        held=(),
    )
    assert statuses(more) == {"one": "live", "new": "approved"}
    assert more.aspects[1].reason is None
    gone = settle(rubric(), live, publish="nothing", held=())
    assert changes(live, gone) == "removed one"


def test_what_turns_what_was_served_until_lately_waits_too() -> None:
    before = {"one": with_effect("one", 0.5, status="live")}
    settled = settle(rubric(with_effect("one", -0.5)), None, publish="auto", held=(), lately=before)
    assert statuses(settled) == {"one": "approved"}
    assert "opposite" in (settled.aspects[0].reason or "")
    again = settle(rubric(with_effect("one", 0.5)), None, publish="auto", held=(), lately=before)
    assert statuses(again) == {"one": "live"}


def on(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def version(number: int, day: int, *names: str) -> StoredRubric:
    body = rubric(*(aspect(n, "live") for n in names), version=number).model_dump(mode="json")
    return StoredRubric("i", "a", "b", number, "retired", on(day), "", body)


def test_served_lately_is_what_went_not_long_ago_and_not_for_its_harm() -> None:
    history = [
        version(1, 1, "old", "harmed", "new"),
        version(2, 5, "harmed", "new", "back"),
        version(3, 9, "new"),
        version(4, 12, "new", "harmed"),
        version(5, 15, "back"),
    ]
    assert last_served(history).keys() == {"old", "harmed", "new"}
    assert last_served(history, since=on(9)).keys() == {"harmed", "new"}
    # It harmed, came again, and went for another reason; then for the same.
    assert "harmed" in last_served(history, turned={"harmed": on(9)})
    assert "harmed" not in last_served(history, turned={"harmed": on(15)})
    assert last_served([]) == last_served(history[:1]) == {}
