"""Length: how much there is to read, and in what portions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpa_agent.rubrics.traits.trait import Trait, log_count

if TYPE_CHECKING:
    from gpa_agent.rubrics.traits.answer import Answer

FAMILY = "length"


def _length(answer: Answer) -> float:
    return log_count(len(answer.words))


def _sentence_length(answer: Answer) -> float:
    return log_count(answer.sentence_length)


def _paragraph_length(answer: Answer) -> float:
    return log_count(answer.plain_sentences / max(len(answer.lines.plain), 1))


TRAITS = (
    Trait(
        name="length",
        family=FAMILY,
        definition="How many words the answer has, code left out.",
        unit="log(1 + words)",
        more="Answer at length, with background and detail.",
        less="Keep the answer short; say only what is needed.",
        phrase="words",
        source="Singhal et al. 2023, A long way to go: length correlations in RLHF",
        measure=_length,
    ),
    Trait(
        name="sentence_length",
        family=FAMILY,
        definition="How many words a sentence has on average, outside lists where there is such.",
        unit="log(1 + words per sentence)",
        more="Let one sentence connect several thoughts; do not chop the text up.",
        less="Write compact sentences with one thought each.",
        phrase="words in a sentence",
        source="Flesch 1948, A new readability yardstick",
        measure=_sentence_length,
    ),
    Trait(
        name="paragraph_length",
        family=FAMILY,
        definition="How many sentences a paragraph (a line of its own, as models do not wrap their "
        "lines) has on average, lists and headings left out.",
        unit="log(1 + sentences per paragraph)",
        more="Write in full, connected paragraphs.",
        less="Break the text into small paragraphs of two or three sentences.",
        phrase="sentences in a paragraph",
        measure=_paragraph_length,
    ),
)
