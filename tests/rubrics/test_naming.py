"""Names are told from capitals: how many get through, and what clean texts that costs.

The names are made up of lists of given names and surnames of many languages, some of which are
English words, too. Headings and interpretations were written for this file; those of `LATER` after
the module was done, and the module was not changed for them.
"""

from __future__ import annotations

from itertools import product
from random import Random
from typing import get_args

import pytest

from gpa_agent.rubrics.guard import WITHHELD, Kind, complaint, withheld
from gpa_agent.rubrics.naming import names_somebody
from gpa_agent.rubrics.traits import catalogue

GIVEN = """
Anna Boris Chiara Dmitri Elif Farid Grace Hiro Ines Jonas Katja Liam Mohammed Wei Priya Santiago
Olumide Fatima Ingrid Søren Zoë Łukasz Élodie Nguyen Kwame Aisha Giuseppe Björn Yuki Rohan Mei
Carlos Amelia Noah Thandiwe Mark Rose Will Hope Faith Joy Jack Emma Oliver Sophia Lucas Mia
Ethan Aarav Chidi Ngozi Leila Omar Tomasz Agnieszka Jürgen Heike Matteo Giulia Pierre Camille
Ivan Svetlana Юрий
""".split()  # noqa: SIM905 -- a list of quoted names reads worse
FAMILY = """
Kowalska Miller Rossi Petrov Yilmaz Haddad Okafor Tanaka Costa Weber Novak Byrne Smith Brown
Young King Wright Green Hall Zhang Patel García Müller Ødegård O'Neill Al-Farsi Nakamura Adeyemi
Johansson Schmidt Dubois Ivanova Papadopoulos MacDonald Silva Khan Nguyen Hernández Kim Lopez
Baker Cook Page Price Story Manning Fleming Stone
""".split()  # noqa: SIM905 -- a list of quoted names reads worse
FORMS: dict[Kind, tuple[str, ...]] = {
    "name": (
        "Memory aids, greeting with {}",
        "memory aids for {}",
        "Memory Aids for {}",
        "{}'s preferred format",
        "Amount of detail ({})",
        'Answers to "{}"',
    ),
    "interpretation": (
        "The first side wants to be greeted as {}.",
        "{} wants short answers, the others do not.",
        "Users such as {} ask for detail.",
        "The second side, {} above all, likes steps.",
        'Most voices, for example "{}", want tables.',
        "It is firm: {} said it twice.",
        "Few want it. {} complained about length.",
    ),
    "guidance": (
        "Begin each answer with {}.",
        "Mention {} in each answer.",
        "Use {} in the examples.",
        "Greet the reader as '{}'.",
        "Address {} directly.",
        "Sign with {}.",
    ),
}
HEADINGS = """
Level of Detail
Step-by-Step Instructions
Tone and Formality
Use of Analogies
Bullet Points Versus Prose
Visual Formatting
Practical Applications
Follow-Up Questions
Error Handling in Code
Keyboard Shortcuts
Ingredient Substitutions
Second-Person Address
Closing Remarks
Itinerary Granularity
amount of detail
numbered steps or prose
Length of the answer
Python or pseudocode
Markdown headings
""".strip().splitlines()
INTERPRETATIONS = """
The first side wants numbered steps. The second side prefers prose, with several voices.
Everybody wants examples, but the second side asks for Python ones.
Experts complained about length. Beginners asked for more of it.
Length matters to both sides; the evidence is firm.
One wants a table, another a list. Neither likes long introductions.
Users of the first side like it short: "Keep it brief" is said in many ways.
Most of the first side needs definitions (Technical terms are unknown to it).
It asks for sources. This is well supported by both sides.
Developers wanted SQL before prose; teachers wanted the reverse.
""".strip().splitlines()
LATER = """
Strictness of Style
Use of Pictures
Ranking of Causes
Formal Greetings
Answers in Verse
Warmth for Newcomers
Comparison with Rivals
Puzzle Hints
Chapter Outlines
Bilingual Tables
Sources for Claims
Moral Nuance
Sarcasm and Irony
Grid Layouts
Rounding of Figures
Instructions for Assembly
Rehearsal of Facts
Cooking Gear
Tax Forms
Ordering by Importance
amount of scaffolding for newcomers
Rivals and alternatives
How gear is described
""".strip().splitlines()


def _full(count: int) -> list[str]:
    rng = Random(4)
    return [f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}" for _ in range(count)]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_names_do_not_get_through(kind: Kind) -> None:
    texts = [form.format(n) for form, n in product(FORMS[kind], [*_full(200), *GIVEN])]
    missed = [text for text in texts if complaint(text, kind=kind) is None]
    assert len(texts) > 1500
    assert len(missed) <= 0.001 * len(texts), missed
    assert not [text for text in texts if withheld(text, kind=kind) != WITHHELD]


def test_what_is_known_to_get_through() -> None:
    for text in ("{} and memory aids", "Greeting {}", "greet with {}"):
        assert not names_somebody(text.format("anna"), heading=True)
    for text in ("Anna and memory aids", "Greeting Anna"):
        assert not names_somebody(text, heading=True)
    # In title case, where one half of a name is an English word.
    title = [f"Greeting {name}" for name in _full(500)]
    missed = sum(not names_somebody(text, heading=True) for text in title)
    assert 0.05 * len(title) <= missed <= 0.15 * len(title)


def test_clean_texts_are_seldom_refused() -> None:
    headings = [*HEADINGS, *LATER, *(t.name for t in catalogue()), *(t.phrase for t in catalogue())]
    refused = [text for text in headings if names_somebody(text, heading=True)]
    assert len(refused) <= 0.05 * len(headings), refused
    assert sum(names_somebody(text, heading=True) for text in LATER) <= 0.1 * len(LATER)
    assert not [text for text in INTERPRETATIONS if names_somebody(text)]


def test_titles_and_introductions_point_at_somebody() -> None:
    for text in ("They thank Dr. Miller.", "It says: my name is anna.", "Mrs Weber wants prose."):
        assert names_somebody(text)


def test_a_withheld_text_says_nothing_and_is_refused() -> None:
    assert withheld("Begin with ann@example.com.", kind="guidance") == WITHHELD
    assert withheld("See www.ann.example for more", kind="name") == WITHHELD
    assert withheld("Call +49 170 1234567.", kind="interpretation") == WITHHELD
    for clean in ("Give the result first.", "", "Recommend tools."):
        assert withheld(clean, kind="guidance") == clean
    assert complaint(WITHHELD, kind="name") == "held personal data, which was not kept"
    assert complaint(WITHHELD, kind="guidance") == "held personal data, which was not kept"
    assert complaint(WITHHELD, kind="interpretation") is None
