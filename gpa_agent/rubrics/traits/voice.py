"""Voice: who speaks, to whom, and how formally."""

from __future__ import annotations

from itertools import pairwise

from gpa_agent.rubrics.traits.answer import Answer, lexicon
from gpa_agent.rubrics.traits.trait import LOG_RATE, Trait, rate

FAMILY = "voice"

_FIRST = lexicon("i, me, my, mine, myself, i'm, i've, i'd, i'll")
_SECOND = lexicon("you, your, yours, yourself, yourselves, you're, you've, you'd, you'll")
_CONTRACTED = ("n't", "'re", "'ve", "'ll", "'d", "'m")
_CONTRACTED_IS = lexicon(
    "it's, that's, there's, here's, what's, let's, he's, she's, who's, where's"
)
_BE = lexicon("is, are, was, were, be, been, being")
_PARTICIPLES = lexicon(
    "known, made, given, taken, seen, done, found, held, kept, left, lost, paid, put, read, sent",
    "set, shown, sold, told, written, built, bought, born, broken, brought, chosen, driven, felt",
    "forgotten, grown, heard, hidden, laid, led, meant, met, run, said, spoken, spent, taught",
    "thought, understood, won, worn, drawn, cut, begun",
)


def _first_person(answer: Answer) -> float:
    return rate(answer.count(_FIRST), answer)


def _second_person(answer: Answer) -> float:
    return rate(answer.count(_SECOND), answer)


def _contractions(answer: Answer) -> float:
    if "'" not in answer.prose:
        return 0.0
    short = sum(w.endswith(_CONTRACTED) for w in answer.words if "'" in w)
    return rate(short + answer.count(_CONTRACTED_IS), answer)


def _passive(answer: Answer) -> float:
    after = (b for a, b in pairwise(answer.words) if a in _BE)
    return rate(sum(w.endswith("ed") or w in _PARTICIPLES for w in after), answer)


TRAITS = (
    Trait(
        name="first_person",
        family=FAMILY,
        definition="How often the answer says I, me or my.",
        unit=LOG_RATE,
        more="Speak as I where it fits.",
        less="Speak of the matter; avoid saying I.",
        phrase="use of I and my",
        source="Biber 1988, Variation across speech and writing",
        measure=_first_person,
    ),
    Trait(
        name="second_person",
        family=FAMILY,
        definition="How often the answer says you or your.",
        unit=LOG_RATE,
        more="Address the user as you.",
        less="Write impersonally; avoid addressing the user as you.",
        phrase="direct address with you",
        source="Biber 1988, Variation across speech and writing",
        measure=_second_person,
    ),
    Trait(
        name="contractions",
        family=FAMILY,
        definition="How often words are contracted, as in don't or it's.",
        unit=LOG_RATE,
        more="Write as people talk, with contractions such as don't and it's.",
        less="Write formally, without contractions.",
        phrase="contractions such as don't",
        source="Biber 1988, Variation across speech and writing",
        measure=_contractions,
    ),
    Trait(
        name="passive",
        family=FAMILY,
        definition="How often a form of be is followed by a participle.",
        unit=LOG_RATE,
        more="Put the thing done before the doer; use the passive voice.",
        less="Use the active voice and name who does what.",
        phrase="passive constructions",
        source="Biber 1988, Variation across speech and writing",
        measure=_passive,
    ),
)
