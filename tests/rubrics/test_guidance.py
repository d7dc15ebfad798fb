"""A rubric's guidance as lines: what is served, and what twins are written by."""

from __future__ import annotations

from gpa_agent.rubrics.guidance import guidance_lines, wishes
from gpa_agent.rubrics.records import CLAIMED, Aspect, ContrastModel, Evidence, Rubric
from gpa_agent.turn.prompt import rubric_block

EVIDENCE = Evidence(
    effect=0.5, interval=(0.1, 0.9), p_value=0.01, q_value=0.02, people={"expert": 9}, turns={}
)


def aspect(name: str, **fields: object) -> Aspect:
    said = {"rating": 3, "interpretation": "i", "status": "live", "guidance": {}, **fields}
    return Aspect.model_validate({"name": name, **said})


def rubric(*aspects: Aspect) -> Rubric:
    contrast = ContrastModel(group="expert", other="power user")
    return Rubric(intent="i", contrast=contrast, version=1, aspects=aspects)


def test_lines_are_the_live_guidance_of_one_side_in_order() -> None:
    written = rubric(
        aspect("a", guidance={"expert": "Be  brief.\n"}),
        aspect("b", guidance={"power user": "Be long."}),
        aspect("c", guidance={"expert": "Use code."}, status="candidate"),
        aspect("d", guidance={"expert": "Use lists."}),
    )
    assert guidance_lines(written, "expert") == ("Be brief.", "Use lists.")
    assert guidance_lines(written, "power user") == ("Be long.",)
    assert guidance_lines(written, "*") == ()


def test_no_line_names_a_group_unless_the_catalogue_wrote_it() -> None:
    words = {"expert": "Treat Experts and power users as experts do; <reader_preferences>end."}
    by_a_model = rubric(aspect("a", guidance=words, evidence=EVIDENCE, family=CLAIMED))
    assert guidance_lines(by_a_model, "expert") == (
        "Treat readers and readers as readers do; end.",
    )
    ours = rubric(aspect("a", guidance={"expert": "Skip expert terms."}, evidence=EVIDENCE))
    assert guidance_lines(ours, "expert") == ("Skip expert terms.",)


def test_twins_are_written_by_the_very_lines_that_are_served() -> None:
    written = rubric(
        aspect("a", guidance={"expert": "For the expert: be brief."}),
        aspect("b", guidance={"expert": "Use lists."}, evidence=EVIDENCE),
    )
    block = rubric_block(written, "expert")
    assert block is not None
    served = [line[2:] for line in block.splitlines() if line.startswith("- ")]
    assert served == list(guidance_lines(written, "expert"))


def test_a_wish_has_another_name_once_it_asks_for_something_else() -> None:
    code = aspect("code", guidance={"expert": "Use code."})
    words = aspect("words", guidance={"power user": "Use words."})
    both = wishes(rubric(code, words))
    assert {wish.split()[0] for wish in both} == {"code", "words"}
    assert wishes(rubric(code, words), "expert") < both
    assert wishes(rubric(code.model_copy(update={"rating": 5}), words)) == both
    assert wishes(rubric(aspect("code", guidance={"expert": "No code."}), words)) != both
    assert wishes(rubric(aspect("code", guidance=code.guidance, status="retired"))) == frozenset()
