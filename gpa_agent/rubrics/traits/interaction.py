"""Interaction: how the answer turns to the person who asked."""

from __future__ import annotations

from gpa_agent.rubrics.traits.answer import Answer, lexicon
from gpa_agent.rubrics.traits.trait import Trait, log_count, share
from gpa_agent.rubrics.traits.verbs import VERBS

FAMILY = "interaction"

_OFFER = lexicon(
    "let me know, feel free to, free to ask, just ask, reach out",
    "happy to help, glad to help, hope this helps, hope that helps, i can also, i could also",
    "if you'd like, if you would, if you need, if you have, if you want, don't hesitate to",
    "i'm here to, here to help",
)
_FUNCTION_WORDS = lexicon(
    "about, after, also, because, been, before, being, between, both, could, does, doing, down",
    "during, each, every, from, further, give, have, having, here, into, just, know, like, made",
    "make, many, more, most, much, need, only, other, over, please, same, should, some, such",
    "tell, than, that, their, them, then, there, these, they, this, those, through, under, very",
    "want, were, what, when, where, which, while, will, with, would, your, yours, you're, it's",
    "i'm",
)
_OPENING = 30
_MIN_SENTENCES = 5
_MIN_CONTENT_WORDS = 5


def _questions_back(answer: Answer) -> float:
    return log_count(sum(map(_asks, answer.sentence_texts))) if "?" in answer.prose else 0.0


def _closing_offer(answer: Answer) -> float:
    closing = zip(answer.sentence_texts[-2:], answer.sentences[-2:], strict=True)
    return float(
        any(
            answer.opens_with(_OFFER, words[i : i + 3])
            for text, words in closing
            if not _asks(text)
            for i in range(len(words))
        )
    )


def _asks(sentence: str) -> bool:
    return sentence.rstrip("\"')*_ ").endswith("?")


def _restates_question(answer: Answer) -> float:
    opening = {w for w in answer.words[:_OPENING] if len(w) > 3 and w not in _FUNCTION_WORDS}
    # Within a word counts too: "sail" takes up "sailing".
    taken_up = sum(word in answer.question for word in opening)
    return share(taken_up, len(opening), at_least=_MIN_CONTENT_WORDS)


def _imperatives(answer: Answer) -> float:
    sentences = answer.sentences
    told = sum(w[0] in VERBS or (w[0] == "please" and w[-1] != "please") for w in sentences)
    return share(told, len(sentences), at_least=_MIN_SENTENCES)


TRAITS = (
    Trait(
        name="questions_back",
        family=FAMILY,
        definition="How many sentences are questions.",
        unit="log(1 + questions)",
        more="End with a question that helps the user go on.",
        less="Answer without asking questions back.",
        phrase="questions back",
        source="Hyland 2005, Metadiscourse (engagement markers)",
        measure=_questions_back,
    ),
    Trait(
        name="closing_offer",
        family=FAMILY,
        definition="Whether one of the last two sentences, questions apart, offers further help.",
        unit="0 or 1",
        more="Close by offering further help.",
        less="Stop when the answer is complete; make no closing offer.",
        phrase="closing offers of help",
        measure=_closing_offer,
    ),
    Trait(
        name="restates_question",
        family=FAMILY,
        definition="Share of the content words among the first thirty words that the prompt had.",
        unit="share of content words, over at least five",
        more="Open by taking up the user's own words.",
        less="Go straight to the answer; repeat nothing of what the user wrote.",
        phrase="words of the user's own at the start",
        measure=_restates_question,
    ),
    Trait(
        name="imperatives",
        family=FAMILY,
        definition="Share of sentences and list items that open with a verb of doing.",
        unit="share of sentences, over at least five",
        more="Tell the user directly what to do: open sentences with a verb.",
        less="Describe rather than instruct; write statements, not commands.",
        phrase="direct instructions",
        source="Hyland 2005, Metadiscourse (directives)",
        measure=_imperatives,
    ),
)
