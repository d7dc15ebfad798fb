"""Every trait on a text small enough to count by hand.

Rates are uses per 100 words over at least 50 words: one use in a short answer is 100 * 1 / 50 = 2,
hence log(1 + 2) = log 3; two uses are log 5.
"""

from __future__ import annotations

from math import log

import pytest

from gpa_agent.rubrics.traits import catalogue, measure

NAMES = [trait.name for trait in catalogue()]

ONE_USE, TWO_USES, THREE_USES = log(3), log(5), log(7)

CASES: list[tuple[str, str, str, float]] = [
    # length: "the cat sat" are 3 words; code is not prose.
    ("length", "", "The cat sat.", log(4)),
    ("length", "", "The cat sat.\n```\none two three\n```", log(4)),
    # Two sentences of 3 and 5 words: 4 a sentence; list items do not count beside plain lines.
    ("sentence_length", "", "The cat sat. The dog ran after it.", log(5)),
    ("sentence_length", "", "The cat sat. The dog ran after it.\n- one\n- two", log(5)),
    # Only a list: 2 words in 2 sentences.
    ("sentence_length", "", "- one\n- two", log(2)),
    # Paragraphs of 2 and 1 sentences: 1.5 on average.
    ("paragraph_length", "", "It is. It was.\n\nIt will be.", log(2.5)),
    # 2 bullets and 1 number.
    ("lists", "", "Points:\n- one\n* two\n3. three", log(4)),
    ("lists", "", "It costs 3.50 or\n3.50 at most - or so.", 0.0),
    # 2 items open with a verb, 1 sentence with "then"; "Paris" is no step.
    ("steps", "", "1. Open it.\n2. **Press** the knob.\n3. Paris\n\nThen wait.", log(4)),
    ("steps", "", "Step 1: the lid.\nStep 2: the knob.", log(3)),
    # One of each kind; seven hashes and a bold word in a line are none.
    ("headings", "", "# Top\n\n**Bold line:**\n\n####### no\n\n**not** one", log(3)),
    # Head and one row; the rule is not a row.
    ("tables", "", "| a | b |\n|---|---|\n| 1 | 2 |", log(3)),
    ("bold", "", "**One** and **two** words.", log(3)),
    ("code_blocks", "", "See:\n```python\na = 1\nb = 2\n```\nDone.", log(3)),
    ("code_blocks", "", "See:\n~~~\na = 1\n```\nb = 2", log(4)),
    ("inline_code", "", "Call `open` and then `close`.", log(3)),
    ("emoji", "", "Done \U0001f600 \u2705", log(3)),
    ("summary_first", "", "In short, it rains. It has rained all day.", 1.0),
    ("summary_first", "", "Good morning! TL;DR: it rains.", 1.0),
    ("summary_first", "", "No, it does not rain.", 1.0),
    ("summary_first", "", "It rains. In short, it rains.\n\nNo more.", 1.0),
    ("summary_first", "", "It rains.\nIt pours.\nIt ends.\nIn short, it rains.", 0.0),
    ("summary_last", "", "It rains.\n\nOverall, it is wet.", 1.0),
    ("summary_last", "", "Overall, it is wet.", 0.0),
    ("lead_in", "", "Sure, here it comes. Water.", 1.0),
    ("lead_in", "", "Water is wet.", 0.0),
    ("questions_back", "", 'Is it wet? Is it "cold?" It is.', log(3)),
    ("closing_offer", "", "It is wet. Let me know how it goes.", 1.0),
    ("closing_offer", "", "Let me know. One.\nTwo.", 0.0),
    # A question is no offer: it counts under questions_back.
    ("closing_offer", "", "It is wet. Happy to help?", 0.0),
    # Content words sail, boat, wind, north: 4, over at least 5; sail and boat are in the prompt.
    ("restates_question", "How do I sail a boat?", "Sail the boat: wind from north.", 2 / 5),
    # 2 of 6 sentences.
    ("imperatives", "", "Open it. Please wait. One. Two. Three. Four.", 2 / 6),
    ("imperatives", "", "Open it.", 1 / 5),
    ("first_person", "", "I lost my hat.", TWO_USES),
    ("second_person", "", "You lost your hat.", TWO_USES),
    ("contractions", "", "It\u2019s late and we don't mind the dog's bark.", TWO_USES),
    ("passive", "", "It was opened and is known. He is late.", TWO_USES),
    ("warmth", "", "I am glad. Well done.", log(3)),
    ("enthusiasm", "", "Go! Now!!", log(4)),
    ("agreement", "", "Good point. You're right.", log(3)),
    ("apology", "", "Sorry, my mistake.", log(3)),
    ("hedging", "", "It might rain, perhaps; it depends.", THREE_USES),
    ("certainty", "", "It is clearly so, of course.", TWO_USES),
    ("disclaimers", "", "Please note: this is not a substitute for medical advice.", log(4)),
    ("refusal", "", "I cannot say. I won't.", log(3)),
    ("ai_disclosure", "", "As an AI, I have no taste.", log(3)),
    ("viewpoints", "", "Critics and supporters disagree.", TWO_USES),
    # 6 words in one sentence; vowel groups a, a, o, e, a = 1 each, the = 1: 6 syllables.
    # 206.835 - 1.015 * 6 - 84.6 * 6 / 6 = 116.145.
    ("readability", "", "The cat sat on the mat.", 1.16145),
    # Silent e: make and the are 1 syllable each, table 2 (its e is sounded): 4 in 3 words.
    # 206.835 - 1.015 * 3 - 84.6 * 4 / 3 = 90.99.
    ("readability", "", "Make the table.", 0.9099),
    # 2 distinct of 4 words: log 2 / log 4 = 1/2, so 50 ** (1/2 - 1) = 1 / sqrt 50.
    ("lexical_variety", "", "a b a b", 50**-0.5),
    # 100 words, 10 distinct in each segment of 50: 10 / 50.
    ("lexical_variety", "", "a b c d e f g h i j " * 10, 0.2),
    # recursion and SQL (as a word of the list and as an acronym).
    ("jargon", "", "SQL has recursion.", THREE_USES),
    ("jargon", "", "The UK is OK.", 0.0),
    ("examples", "", "Fruit, e.g. apples, for instance red ones.", TWO_USES),
    ("analogies", "", "Think of it as a pipe. Imagine water.", TWO_USES),
    ("definitions", "", "A noun refers to a thing. A verb is called so.", TWO_USES),
    ("reasons", "", "It is wet because of rain; therefore stay.", TWO_USES),
    ("contrasts", "", "But it is dry, however.", TWO_USES),
    # 1990 and 3.5; the list's own number does not count.
    ("numbers", "", "1. In 1990 it was 3.5 m.", TWO_USES),
    # 2 uses in 100 words: 100 * 2 / 100 = 2.
    ("numbers", "", "7 8 " + "word " * 98, log(3)),
    ("quotes", "", '> Said.\n\nHe said "yes" and "no".', log(4)),
    # "study" and [1] and (Smith, 1990).
    ("citations", "", "A study [1] found it (Smith, 1990).", THREE_USES),
    ("links", "", "See https://www.example.org/a and www.example.org.", log(3)),
]


@pytest.mark.parametrize(("name", "prompt", "text", "expected"), CASES)
def test_known_value(name: str, prompt: str, text: str, expected: float) -> None:
    assert measure(prompt, text)[NAMES.index(name)] == pytest.approx(expected, abs=1e-6)


def test_every_trait_has_a_known_value_above_zero() -> None:
    assert {name for name, _, _, expected in CASES if expected > 0} == set(NAMES)


def test_what_a_code_block_holds_is_no_prose() -> None:
    plain = dict(zip(NAMES, measure("", "Run this.").tolist(), strict=True))
    code = "# Heading\n- item\n**bold** `x` you might 1990 https://example.org!"
    fenced = dict(zip(NAMES, measure("", f"Run this.\n```\n{code}\n```").tolist(), strict=True))
    assert {name for name in NAMES if plain[name] != fenced[name]} == {"code_blocks"}
