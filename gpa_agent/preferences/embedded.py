"""Explaining a judged turn without a model: from cues to what was expected, in fixed words.

The embedded counterpart of the paper's explanation prompts (Tables 11 and 12: user's
expectation of the assistant; reasons for happiness or frustration). The cue that says most
about why decides; the kind of answer refines it. Expectation and reason are phrases of ours and
never hold a word of the log: logs are untrusted, and what stands here may be read by a model or
a person later.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from gpa_agent.conversations.records import Judgment, Verdict
from gpa_agent.preferences.records import Preference
from gpa_agent.understanding.cues import named
from gpa_agent.understanding.reading import Answer, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpa_agent.understanding.protocols import JudgedTurn


EXPLAINER_VERSION = "cues-1"
"""Raised whenever the same turn could be explained differently (part of the stage key)."""


class Phrase(NamedTuple):
    """What was expected and why it pleased or not."""

    expectation: str
    reason: str


PLEASED: Mapping[str, Phrase] = {
    "solved": Phrase("a solution that works", "the user reports that it works"),
    "learning": Phrase(
        "an explanation that can be followed", "the user understood or learned something"
    ),
    "praise": Phrase("an answer of high quality", "the user praised the answer"),
    "approval": Phrase("an answer of good quality", "the user approved of the answer"),
    "uptake": Phrase("a suggestion worth following", "the user wants to follow the suggestion"),
    "acceptance": Phrase("an offer that fits", "the user accepted what was offered"),
    "yes_to_offer": Phrase("an offer that fits", "the user agreed to what was proposed"),
    "fondness": Phrase("something to the user's taste", "the user shares the liking"),
    "delight": Phrase("an answer that is a pleasure", "the user showed delight"),
    "thanks": Phrase("help with the request", "the user thanked for the answer"),
    "closes_content": Phrase(
        "help that is complete", "the user left content, with nothing more to ask"
    ),
    "affirmation": Phrase("being understood correctly", "the user confirmed what was said"),
    "builds_on": Phrase("an answer to build on", "the user went on from the answer"),
    "farewell": Phrase("a friendly talk", "the user parted in a friendly way"),
    "exclaims": Phrase("an answer that is a pleasure", "the user reacted warmly"),
}
"""By cue, from the most telling down."""

DISPLEASED: Mapping[str, Phrase] = {
    "sarcasm": Phrase("help that deserves the name", "the user answered with sarcasm"),
    "repetition": Phrase("an answer to what was asked", "the user had to ask the same again"),
    "known_already": Phrase(
        "something new to the user", "the user knew, had or had said it already"
    ),
    "correction": Phrase(
        "an answer true to the facts and to what was asked", "the user corrected the answer"
    ),
    "confusion": Phrase(
        "an answer that can be understood", "the user did not understand the answer"
    ),
    "redo": Phrase("the answer in another form", "the user asked to do it again differently"),
    "reservation": Phrase(
        "an answer that meets every requirement", "the user found part of the answer lacking"
    ),
    "complaint": Phrase(
        "an answer that is right and works", "the user complained about the answer"
    ),
    "no_to_offer": Phrase("an offer that fits", "the user turned the offer down"),
    "dislike": Phrase("something to the user's taste", "the user did not like what was suggested"),
    "alternative": Phrase("another option", "the user asked for something else"),
    "stops": Phrase("nothing done unasked", "the user stopped what was proposed"),
    "gives_up": Phrase("a way to the goal", "the user gave up"),
    "frustration": Phrase("being listened to", "the user showed frustration"),
    "thanks_after_failure": Phrase(
        "a result or an alternative", "the request could not be fulfilled"
    ),
    "declines": Phrase("an offer that fits", "the user said no"),
    "polite_no": Phrase("an offer that fits", "the user declined politely"),
    "unfamiliar": Phrase(
        "something the user can relate to", "the user was unsure about the answer"
    ),
}
"""By cue, from the most telling down."""

_REFUSED = Phrase("help with the request", "the assistant declined to help")
_FAILED = Phrase("a result or an alternative", "the request could not be fulfilled")
_TONE = {
    Judgment.SAT: Phrase(
        "help with the request", "the wording of the user's reply is that of a pleased user"
    ),
    Judgment.DSAT: Phrase(
        "help with the request", "the wording of the user's reply is that of a displeased user"
    ),
    Judgment.NEITHER: Phrase("not known", "the user's reply does not judge the answer"),
}
# What says only that it displeased is explained better by what went wrong with the answer.
_VAGUE = frozenset(
    {"gives_up", "frustration", "sarcasm", "declines", "polite_no", "alternative", "repetition"}
)


def explain(
    turn: JudgedTurn, verdict: Verdict, *, conversation: str, turn_number: int
) -> Preference:
    """Say in fixed words what was expected of an answer and why it pleased or not.

    Args:
        turn: The judged turn.
        verdict: Its judgment, whoever made it.
        conversation: Id of the conversation, for the explanation's id.
        turn_number: Place of the judged answer's turn in it, from 0.

    Example:
        >>> turn = JudgedTurn("Sort a list", "Use sorted().", "That fixed it, thanks!")
        >>> pleased = Verdict(Judgment.SAT, 0.9, "cues")
        >>> why = explain(turn, pleased, conversation="c1", turn_number=0)
        >>> why.reason
        'the user reports that it works'
    """
    reading = read(turn)
    polarity = verdict.judgment
    cues = named(reading, polarity=polarity) if polarity is not Judgment.NEITHER else ()
    phrase = _phrase(cues, polarity, reading.answer)
    return Preference(
        id=preference_id(conversation, turn_number),
        polarity=polarity,
        expectation=phrase.expectation,
        reason=phrase.reason,
        cues=cues,
        source="cues",
    )


def preference_id(conversation: str, turn_number: int, source: str = "cues") -> str:
    """The id of the explanation of a turn: 32 hexadecimal digits."""
    # The lengths keep ("a", "1b") and ("a1", "b") apart.
    parts = (conversation, str(turn_number), source)
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _phrase(cues: tuple[str, ...], polarity: Judgment, answer: Answer) -> Phrase:
    catalogue = {Judgment.SAT: PLEASED, Judgment.DSAT: DISPLEASED}.get(polarity, {})
    telling = next((name for name in catalogue if name in cues), None)
    if polarity is Judgment.DSAT and (telling is None or telling in _VAGUE):
        if answer.refused:
            return _REFUSED
        if answer.failed or answer.empty:
            return _FAILED
    return catalogue[telling] if telling else _TONE[polarity]
