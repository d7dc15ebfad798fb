"""Explanation: examples, analogies, definitions, reasons, alternatives.

All are densities, so that a long answer does not pass for a well-explained one.
"""

from __future__ import annotations

from gpa_agent.rubrics.traits.answer import Answer, Lexicon, lexicon
from gpa_agent.rubrics.traits.trait import LOG_RATE, Trait, rate

FAMILY = "explanation"

_EXAMPLES = lexicon(
    "for example, for instance, an example, examples, example of, eg, such as, to illustrate",
    "let's say, suppose, case in point, as an illustration, example 1, example 2, say you have",
)
_ANALOGIES = lexicon(
    "it's like, it is like, is like a, is like an, is like the, think of it, think of a",
    "think of an, think of the, think of them, imagine, picture a, picture this, as if",
    "as though, analogy, analogous, metaphor, metaphorically, akin to, similar to, similarly",
    "just as, just like, like having, works like, compare it to, resembles",
)
_DEFINITIONS = lexicon(
    "means, refers to, refer to, is defined as, are defined as, can be defined, defined as",
    "known as, is called, are called, called the, is a type, is a form, is a kind, stands for",
    "is a term, definition, definitions, in other words, that is to, ie, denotes, describes",
    "meaning of, a concept, the concept, the process of, the study of, the practice of",
    "a branch of, the term",
)
_REASONS = lexicon(
    "because, since, therefore, thus, hence, consequently, accordingly, as a result, due to",
    "so that, this is why, that's why, that is why, the reason, reasons, owing to, thanks to",
    "leads to, lead to, leading to, causes, caused by, results in, result in, which means",
    "in order to, for this",
)
_CONTRASTS = lexicon(
    "but, however, although, though, while, whereas, yet, nevertheless, nonetheless, despite",
    "in contrast, by contrast, conversely, on the contrary, instead, alternatively, alternative",
    "alternatives, another option, another way, unlike, rather than, even though, still",
    "otherwise, option, options, either, as opposed to, or you can, compared to",
)


def _density(words: Lexicon, answer: Answer) -> float:
    return rate(answer.count(words), answer)


TRAITS = (
    Trait(
        name="examples",
        family=FAMILY,
        definition="How often the answer announces an example: 'for example', 'such as'.",
        unit=LOG_RATE,
        more="Give concrete examples.",
        less="Make the point without examples.",
        phrase="examples",
        source="Hyland 2007, Applying a gloss: exemplifying and reformulating",
        measure=lambda answer: _density(_EXAMPLES, answer),
    ),
    Trait(
        name="analogies",
        family=FAMILY,
        definition="How often the answer explains by likeness: 'it is like', 'imagine'.",
        unit=LOG_RATE,
        more="Explain with an analogy from everyday life.",
        less="Explain directly, without analogies or metaphors.",
        phrase="analogies",
        source="Gentner 1983, Structure-mapping: a theoretical framework for analogy",
        measure=lambda answer: _density(_ANALOGIES, answer),
    ),
    Trait(
        name="definitions",
        family=FAMILY,
        definition="How often the answer says what a word means: 'refers to', 'is called'.",
        unit=LOG_RATE,
        more="Define every special term where it first appears.",
        less="Take terms as known; leave out definitions.",
        phrase="definitions of terms",
        source="Hyland 2007, Applying a gloss: exemplifying and reformulating",
        measure=lambda answer: _density(_DEFINITIONS, answer),
    ),
    Trait(
        name="reasons",
        family=FAMILY,
        definition="How often the answer gives a cause or a consequence: 'because', 'therefore'.",
        unit=LOG_RATE,
        more="Give the reason for each claim or advice.",
        less="State what holds; leave out the reasons behind it.",
        phrase="reasons",
        source="Halliday and Hasan 1976, Cohesion in English (causal conjunction)",
        measure=lambda answer: _density(_REASONS, answer),
    ),
    Trait(
        name="contrasts",
        family=FAMILY,
        definition="How often the answer sets things against each other: 'however', 'instead'.",
        unit=LOG_RATE,
        more="Name the alternatives and how they differ.",
        less="Follow one line of thought; leave out alternatives and exceptions.",
        phrase="contrasts and alternatives",
        source="Halliday and Hasan 1976, Cohesion in English (adversative conjunction)",
        measure=lambda answer: _density(_CONTRASTS, answer),
    ),
)
