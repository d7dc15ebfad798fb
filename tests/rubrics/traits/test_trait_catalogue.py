"""The catalogue as a whole: names, families, guidance, and the version that names its figures."""

from __future__ import annotations

import hashlib
import re
from types import ModuleType

import numpy as np
import pytest

import gpa_agent.rubrics.traits as package
from gpa_agent.errors import UsageError
from gpa_agent.rubrics.traits import CATALOGUE_VERSION, FAMILIES, Answer, Trait, catalogue, measure
from gpa_agent.rubrics.traits.answer import lexicon
from gpa_agent.rubrics.traits.trait import GUIDANCE_LIMIT
from gpa_agent.testing.tailoring_model import read_guidance

SERVED = [trait for trait in catalogue() if not trait.protected]
GUIDANCE = [pytest.param(text, id=text) for t in SERVED for text in (t.more, t.less)]

# Verbs a piece of guidance may open with: an instruction to the model, not a statement.
IMPERATIVES = re.compile(
    "Address|Answer|Begin|Break|Choose|Close|Define|Describe|Divide|End|Explain|Follow|Give|Go|Keep|"
    "Lay|Leave|Let|Make|Name|Open|Point|Present|Put|Quote|Say|Set|Show|Speak|Start|State|Stay|Stop|"
    "Take|Tell|Use|Vary|Write|Avoid|Build"
)

PINNED = {"traits-1": "e0a7c2ccfb224c8e"}


def test_size_and_unique_names() -> None:
    names = [trait.name for trait in catalogue()]
    assert 36 <= len(names) <= 44
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)


def test_families_partition_the_catalogue_in_its_order() -> None:
    assert [name for names in FAMILIES.values() for name in names] == [t.name for t in catalogue()]
    assert all(trait.name in FAMILIES[trait.family] for trait in catalogue())
    assert min(len(names) for names in FAMILIES.values()) >= 2


def test_what_concerns_safety_or_honesty_is_protected_and_has_no_guidance() -> None:
    protected = [trait for trait in catalogue() if trait.protected]
    assert {trait.name for trait in protected} == {
        "agreement",
        "apology",
        "certainty",
        "disclaimers",
        "refusal",
        "ai_disclosure",
        "viewpoints",
    }
    assert all(trait.more == trait.less == "" for trait in protected)


@pytest.mark.parametrize("text", GUIDANCE)
def test_guidance_is_one_plain_instruction(text: str) -> None:
    assert 10 <= len(text) <= GUIDANCE_LIMIT
    assert IMPERATIVES.fullmatch(text.split(maxsplit=1)[0])
    assert text.endswith(".")
    assert text.isascii()
    assert not re.search(r"[{}<>\[\]$|\\`\n]|://|www\.|\.\s", text)


@pytest.mark.parametrize("text", GUIDANCE)
def test_guidance_does_not_speak_of_safety_or_agreement(text: str) -> None:
    assert not re.search(
        r"refus|declin|disclaim|warn|safe|apolog|agree|certainly|always comply|opinion|side with",
        text.lower(),
    )


def test_guidance_is_unique() -> None:
    texts = [text for trait in SERVED for text in (trait.more, trait.less)]
    assert len(set(texts)) == len(texts)


def test_descriptions_are_written_out() -> None:
    for trait in catalogue():
        assert trait.definition.endswith("."), trait.name
        assert trait.definition.split(maxsplit=1)[0] in {"How", "Whether", "Share", "Flesch"}, (
            trait.name
        )
        assert trait.unit, trait.name
        # It completes "Answers with more ...".
        assert re.fullmatch(r"[a-zA-Z',\- ]+", trait.phrase), trait.name
        assert trait.source is None or re.search(r"\b(19|20)\d\d\b", trait.source), trait.name


def test_the_simulated_model_follows_guidance_in_its_direction() -> None:
    # A reader of its own, apart from the catalogue, must take "more" for more and "less" for less.
    understood = 0
    for trait in SERVED:
        more, less = read_guidance([f"- {trait.more}"]), read_guidance([f"- {trait.less}"])
        assert set(more) == set(less), trait.name
        assert set(more.values()) <= {True}, trait.name
        assert set(less.values()) <= {False}, trait.name
        understood += bool(more)
    assert understood >= 13


def test_a_trait_needs_guidance_both_ways_or_none() -> None:
    with pytest.raises(UsageError, match="'odd' needs guidance both ways"):
        _trait(more="Write more.")
    with pytest.raises(UsageError, match="'odd' needs guidance both ways"):
        _trait()
    with pytest.raises(UsageError, match="'odd' needs guidance both ways"):
        _trait(more="Refuse more.", less="Refuse less.", protected=True)
    assert _trait(more="Write more.", less="Write less.").measure(Answer("", "")) == 0.0


def test_an_expression_that_could_never_be_found_is_refused() -> None:
    for expression in ("two-part", "one two three four", "Upper", "tl;dr"):
        with pytest.raises(UsageError, match="is not one to three lower-case words"):
            lexicon("fine", expression)


def test_the_version_names_the_measurements() -> None:
    # A changed digest means changed figures: raise CATALOGUE_VERSION and pin the new digest.
    prompts_and_answers = [
        (
            "How do I sail?",
            "Sure! First, untie the boat.\n\n1. Open the sail.\n2. Steer (Smith, 1990).",
        ),
        (
            "",
            "# Head\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx = 1\n```\nYou're right, e.g. `x`.",
        ),
        (
            "Why?",
            "I'm sorry, but as an AI I can't. Some people argue it might, however.\n- \U0001f600",
        ),
        (
            "Rain?",
            "Overall, \u201crain\u201d refers to water because it is like a tap. Let me know!",
        ),
    ]
    values = np.stack([measure(p, a) for p, a in prompts_and_answers])
    # Three decimals: the last bits of a logarithm are the platform's.
    text = "\n".join(",".join(f"{value:.3f}" for value in row) for row in values.tolist())
    text += "\n".join(_word_lists())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == PINNED[CATALOGUE_VERSION]


def test_exports() -> None:
    assert len(set(package.__all__)) == len(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def _word_lists() -> list[str]:
    modules = (vars(value) for value in vars(package).values() if isinstance(value, ModuleType))
    return sorted(
        f"{name}: {','.join(sorted(value))}"
        for module in modules
        for name, value in module.items()
        if isinstance(value, frozenset)
    )


def _trait(*, more: str = "", less: str = "", protected: bool = False) -> Trait:
    return Trait(
        name="odd",
        family="none",
        definition="Nothing.",
        unit="none",
        more=more,
        less=less,
        phrase="nothing",
        protected=protected,
        measure=lambda answer: float(len(answer.text)),
    )
