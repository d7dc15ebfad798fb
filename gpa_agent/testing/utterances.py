"""What simulated users say: how they ask, and how they take an answer, in varied words.

Reactions follow what real users do (thanks, praise, going on; complaint, correction,
repetition, giving up) and often say nothing about the answer at all. Where a simulated user
missed or disliked something in particular, some reactions name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpa_agent.conversations.records import Judgment
from gpa_agent.testing.chance import pick

if TYPE_CHECKING:
    from random import Random


def ask(question: str, group: str, rng: Random) -> str:
    """A question in the manner of a group.

    Args:
        question: The plain question.
        group: Novices and experts sometimes give themselves away; other groups do not.
        rng: Chooses the words.
    """
    manners = _MANNERS.get(group, ())
    if manners and rng.random() < 0.35:
        return f"{pick(rng, manners)} {question}"
    return question


def voice(
    judgment: Judgment, *, about: str | None, question: str, onward: str | None, rng: Random
) -> str:
    """What a user says after an answer.

    Args:
        judgment: How the answer was taken; NEITHER says nothing about it.
        about: A key of `WISHES` that names what was missed or disliked, or None.
        question: The question that was answered.
        onward: What the user asks next; None ends the conversation.
        rng: Chooses the words.

    Returns:
        The utterance; it holds ``onward``, or the question again, unless the talk ends.
    """
    if judgment is Judgment.SAT:
        return f"{pick(rng, _PRAISE)} {onward}" if onward else pick(rng, _PRAISE_END)
    if judgment is Judgment.DSAT:
        complaint = pick(rng, WISHES[about]) if about else pick(rng, _COMPLAINTS)
        if onward is None:
            return f"{complaint} {pick(rng, _GIVING_UP)}" if rng.random() < 0.6 else complaint
        again = f"{pick(rng, _AGAIN)} {_lower_first(question)}"
        return f"{complaint} {again if rng.random() < 0.6 else onward}"
    return onward if onward else pick(rng, _NEUTRAL_END)


def _lower_first(text: str) -> str:
    return text if text[:2].isupper() or text[:2] == "I " else text[:1].lower() + text[1:]


_MANNERS: dict[str, tuple[str, ...]] = {
    "novice": (
        "I am new to this.",
        "Sorry if this is a silly question.",
        "I am a complete beginner.",
        "I only started last week.",
        "Bear with me, I know next to nothing about it.",
    ),
    "expert": (
        "I know the basics.",
        "I have done this for years, but this one escapes me.",
        "I have read the documentation already.",
        "No need to start from zero.",
        "Background: ten years in the field.",
    ),
}

_PRAISE = (
    "Thanks, that helps a lot!",
    "Perfect, that is exactly what I needed.",
    "Great, that worked.",
    "Ah, now I get it, thank you.",
    "Very clear, thanks.",
    "That makes sense, cheers.",
    "Brilliant, just what I was looking for.",
    "Awesome answer.",
    "Good, I follow you so far.",
    "Lovely, thank you so much.",
    "Yes, that did it.",
    "Wonderful, I like this.",
)
_PRAISE_END = (
    "Thank you, that solved it!",
    "Perfect, thanks. That is all I needed.",
    "That worked, you are a star.",
    "Great, I will do it like that. Thanks!",
    "Exactly what I wanted, bye.",
    "Now it makes sense, thanks a lot.",
    "Excellent, many thanks for your help.",
    "Super, that is very helpful.",
)
_COMPLAINTS = (
    "That does not help me.",
    "No, that is not what I asked.",
    "This is not what I meant.",
    "I still do not get it.",
    "That is useless to me.",
    "You did not answer my question.",
    "Hmm, that did not work.",
    "This is confusing.",
    "Wrong, that is not the point.",
    "I am lost, that was no help at all.",
    "That is not useful.",
    "You are missing the point.",
)
_AGAIN = (
    "Again:",
    "What I asked was:",
    "Let me ask once more:",
    "I will try to say it differently:",
    "As I said,",
)
_GIVING_UP = (
    "Never mind.",
    "Forget it, I will look elsewhere.",
    "I give up.",
    "I will ask somebody else.",
    "This is going nowhere.",
)
_NEUTRAL_END = (
    "Okay.",
    "I will have a look at it tomorrow.",
    "I have to go now.",
    "Let me read that again later.",
    "Right.",
)

WISHES: dict[str, tuple[str, ...]] = {
    "more length": ("That is far too short.", "Too brief, I need more detail than that."),
    "less length": ("Way too long.", "That is too long, I am not going to read all of it."),
    "more steps": (
        "That does not help, I need it step by step.",
        "I do not know where to start, no steps at all?",
    ),
    "less steps": (
        "I did not ask for baby steps.",
        "I do not need every single step spelled out.",
    ),
    "more lists": ("Hard to read, why is that not a list?",),
    "less lists": ("Please stop giving me bullet points.",),
    "more headings": ("What a wall of text, it is hard to find anything in there.",),
    "less headings": ("I did not ask for a report with headings.",),
    "more code_blocks": (
        "Where is the code? That is no use to me.",
        "Just talk and no code, not helpful.",
    ),
    "less code_blocks": ("I cannot read that code, it does not help me.",),
    "more examples": ("Too abstract, I still do not get it without an example.",),
    "less examples": ("I did not need the example.",),
    "more analogies": ("I still cannot picture it.", "That is too abstract for me."),
    "less analogies": ("Spare me the comparisons.", "I am not a child, skip the metaphors."),
    "more definitions": ("I do not even know what these words mean.",),
    "less definitions": ("I know what the terms mean, that was no answer.",),
    "more jargon": ("That is too shallow.", "That is far too basic for me."),
    "less jargon": ("I do not understand these words.", "Too technical, I am lost."),
    "more hedging": ("You sound far too sure of that, I doubt it.",),
    "less hedging": ("Might, perhaps, possibly: that is no answer.",),
    "more warmth": ("That was rather cold and does not help.",),
    "less warmth": ("Skip the pep talk, it is annoying.", "Stop cheering, that is not helpful."),
    "more summary_first": ("I had to read to the end to find the point, not good.",),
    "less summary_first": ("You gave the answer away at once, that is not what I wanted.",),
    "more questions_back": ("You did not even ask what my case is.",),
    "less questions_back": ("Stop asking me back, just answer.",),
}
"""What a user says who misses or dislikes a feature, by "more" or "less" and its name."""
