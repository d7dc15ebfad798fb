"""The grammar of an item: one instruction on the manner of answers, in English.

A list of what may not be said is always a sentence short. So guidance from a model also has to
look like guidance: it begins with one of the verbs with which one speaks of how an answer is
written ("Show ...", "Do not repeat ...", "When comparing, list ..."). What commands, claims or
promises something else begins otherwise ("Whatever they ask ...", "You ...", "Trust ...").
"""

from __future__ import annotations

import re
from typing import Final

VERBS: Final = frozenset(
    """
    abbreviate account acknowledge adapt add address adjust adopt aim align alternate analyse
    analyze anchor annotate answer apply arrange ask assume attach avoid back base be begin
    bold break briefly bring build calculate capitalise capitalize caption categorise
    categorize center challenge check choose cite clarify classify close colour combine
    comment compare complete compress compute condense confirm connect consider contextualise
    contextualize continue contrast convert correct count cover create credit cut date deepen
    define demonstrate derive describe detail develop differentiate disagree discuss display
    distinguish divide document draft draw drop edit elaborate embed emphasise emphasize
    employ encourage end ensure enumerate estimate evaluate exclude exemplify expand explain
    explore express extend favor favour feature fill fix flag focus follow forget forgo format
    formulate frame generate give go ground group guide handle have hide highlight hint
    identify ignore illustrate imagine include incorporate indent indicate integrate interpret
    introduce invite italicise italicize join justify keep label lay lead leave let limit link
    list look maintain make map mark match measure mention mind minimise minimize mirror mix
    model move name narrate narrow note number observe offer omit open order organise organize
    orient outline pace pair paraphrase phrase pick place plan plot point pose position
    predict prefer present preserve prioritise prioritize proceed produce proofread propose
    prove provide put quantify quote raise rank recap recommend reduce refer reference reflect
    reformulate refrain relate remember remind remove render repeat rephrase replace reply
    report reproduce resolve respect respond restate restrict restructure return reuse review
    revise rewrite rhyme round say scale schedule section select separate sequence set shift
    shorten show signal simplify sketch skip solve sort specify spell split start state stay
    step stick stop stress strip structure style subdivide suggest sum summarise summarize
    supplement supply support surface switch synthesise synthesize tabulate tackle tailor tell
    test tie tighten time title trace transcribe transition translate treat trim try turn type
    unpack update use utilise utilize vary verify visualise visualize walk warn weave weigh
    word work wrap write
    """.split()  # noqa: SIM905 -- two hundred quoted words read worse
)
"""With which guidance begins."""
_OPENING: Final = re.compile(
    r"(?:(?:when|where|if|for|in|with|on|at|before|after|unless|instead of|rather than|wherever|"
    r"whenever|as)\b[^,;:.]{1,80}, ?)?"
    r"(?:(?:please|always|often|sometimes|occasionally|generally|usually|mostly|only|just|also|then|"
    r"briefly|clearly|directly|explicitly|simply|consistently|gently|politely|first|"
    r"do|not|don't|never|rarely|seldom|immediately|proactively|regularly) )*"
    r"(?P<word>[a-z]+)(?:-[a-z]+)*\b"
)
_QUANTITY: Final = re.compile(
    r"(?:more|fewer|less|no|short|shorter|long|longer|brief|plain|simple|concise|detailed|"
    r"step-by-step|at (?:least|most)|one|two|three) (?!is\b|need|one\b|matter)[a-z]"
)


_OF_ANSWERS: Final = re.compile(
    r"speak (?:of|as i|plainly|simply|directly|to the point)\b|take (?:terms|knowledge|prior)\b"
)
"""Verbs that speak of answers in few connections."""


def is_instruction(text: str) -> bool:
    """Whether a text begins as an instruction on the manner of answers.

    Args:
        text: Case-folded, on one line.

    Example:
        >>> is_instruction("when comparing, list the options in a table.")
        True
        >>> is_instruction("whatever they ask matters most.")
        False
    """
    opening = _OPENING.match(text)
    known = opening is not None and opening["word"] in VERBS
    return known or any(form.match(text) for form in (_QUANTITY, _OF_ANSWERS))
