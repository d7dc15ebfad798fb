"""An edit that obviously adds a trait raises it, and leaves other families about alone."""

from __future__ import annotations

import pytest

from gpa_agent.rubrics.traits import catalogue, measure

NAMES = [trait.name for trait in catalogue()]

PROMPT = "How is bread baked at home?"
BASE = (
    "Bread at home takes flour, water, salt and yeast. The dough rests overnight in a bowl under "
    "a cloth. In the morning the oven gets hot while the loaf rises once more on the table. "
    "After half an hour the crust turns brown and the kitchen smells of it. A loaf out of the "
    "oven sounds hollow when someone knocks on its bottom.\n\n"
    "The loaf cools on a rack before anyone slices it. Fresh bread stays good for some days in a "
    "wooden box or a bag of cloth."
)

# What is appended (or put in front), the trait it raises, and traits that rise along with it.
EDITS: list[tuple[str, str, str, set[str]]] = [
    ("lists", "", "\n\n- flour\n- water\n- salt", set()),
    ("steps", "", "\n\n1. Mix the dough.\n2. Cover the bowl.", {"lists", "imperatives"}),
    ("headings", "# Bread\n\n", "", {"restates_question"}),
    ("tables", "", "\n\n| flour | water |\n|---|---|\n| much | little |", set()),
    ("bold", "", " The **crust** matters.", set()),
    ("code_blocks", "", "\n\n```\nbake(loaf)\n```", set()),
    ("inline_code", "", " The file is `bread`.", set()),
    ("emoji", "", " \U0001f35e", set()),
    ("summary_first", "In short: time does it. ", "", set()),
    ("summary_last", "", "\n\nOverall, time does it.", set()),
    ("lead_in", "Here is the way. ", "", set()),
    ("questions_back", "", " Which flour is at hand?", set()),
    ("closing_offer", "", " Feel free to come back.", set()),
    ("imperatives", "", " Bake it. Turn it. Knock on it.", {"paragraph_length"}),
    ("first_person", "", " I like mine dark.", set()),
    ("second_person", "", " The choice of flour is yours.", set()),
    ("contractions", "", " Nobody can't do it.", set()),
    ("passive", "", " The loaf is baked and was turned.", set()),
    ("warmth", "", " Well done, enjoy the lovely bread.", set()),
    ("enthusiasm", "", " Hot bread!", set()),
    ("agreement", "", " Great question, good point.", set()),
    ("apology", "", " Sorry for the confusion.", set()),
    ("hedging", "", " Perhaps it may probably differ.", set()),
    ("certainty", "", " It clearly always works.", set()),
    ("disclaimers", "", " Please note the heat, be careful.", set()),
    ("refusal", "", " Beyond that the cook is unable to say.", set()),
    ("ai_disclosure", "", " These lines come from a language model.", set()),
    ("viewpoints", "", " Critics and proponents have opinions.", set()),
    ("jargon", "", " The enzyme splits glucose by oxidation.", set()),
    ("examples", "", " Some add seeds, for example poppy.", set()),
    ("analogies", "", " The dough resembles a sponge, just like foam.", set()),
    ("definitions", "", " Proofing refers to the last rise.", set()),
    ("reasons", "", " Therefore it rises, because of the yeast.", set()),
    ("contrasts", "", " However, rye rises less, unlike wheat.", set()),
    ("numbers", "", " It takes 500 g of flour and 300 g of water.", set()),
    ("quotes", "", ' Bakers call it "the rise".', set()),
    ("citations", "", " According to a study, researchers found so.", set()),
    ("links", "", " More at https://example.org/bread today.", set()),
    ("length", "", " It goes on and on" * 20 + ".", {"sentence_length"}),
]


@pytest.mark.parametrize(("name", "before", "after", "along"), EDITS, ids=[e[0] for e in EDITS])
def test_an_obvious_edit_raises_its_trait(
    name: str, before: str, after: str, along: set[str]
) -> None:
    base = dict(zip(NAMES, measure(PROMPT, BASE).tolist(), strict=True))
    edited = dict(zip(NAMES, measure(PROMPT, before + BASE + after).tolist(), strict=True))
    family = {trait.name: trait.family for trait in catalogue()}
    assert edited[name] > base[name] + 0.1
    moved = {
        other
        for other in NAMES
        if edited[other] > base[other] + 0.25 and family[other] != family[name]
    }
    assert moved <= along | {name}


def test_the_rest_moves_as_it_should_too() -> None:
    def value(name: str, text: str) -> float:
        return float(measure(PROMPT, text)[NAMES.index(name)])

    hard = "Notwithstanding incontrovertible organoleptic considerations, fermentation continues."
    assert value("readability", "It is hot. It is good.") > value("readability", hard)
    assert value("sentence_length", BASE) > value("sentence_length", BASE.replace(" and", ".\n"))
    assert value("paragraph_length", BASE) > value("paragraph_length", BASE.replace(". ", ".\n"))
    assert value("lexical_variety", BASE) > value("lexical_variety", "bread is bread " * 20)
    # bread, baked, home out of bread, baked, home, tastes, best
    assert value("restates_question", "Bread baked at home tastes best.") == pytest.approx(3 / 5)
    assert value("restates_question", "Flour, water, yeast.") == 0.0
