"""How the simulated model reads one user: satisfaction, intent, group, preference.

By keywords and turns of phrase, see `gpa_agent.testing.simulated_provider`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from gpa_agent.testing.chance import pick
from gpa_agent.testing.topics import topics
from gpa_agent.testing.wishes import Voiced, read_wishes, wishes

Data = Mapping[str, Any]
"""The JSON object of a question."""

Choices = tuple[str, ...]
"""The names an operator configured, from the system text."""

_read_once = read_wishes.__wrapped__
"""As `read_wishes`, for whole answers: each comes once, and a log of them is not kept in memory."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One question being read: what may go wrong with it, and the chance that decides."""

    noise: float
    """Share of readings that go wrong."""
    invent: float
    """Probability that an answer holds something without ground."""
    gullible: bool
    """Whether it obeys instructions in quoted data."""
    paraphrases: bool
    """Whether the same wish is worded in several ways."""
    rng: Random
    """Seeded by the question's text."""

    def errs(self) -> bool:
        """Whether this reading goes wrong."""
        return self.rng.random() < self.noise

    def invents(self) -> bool:
        """Whether something without ground is added here."""
        return self.rng.random() < self.invent

    def word(self, options: Sequence[str]) -> str:
        """One of several wordings, or always the first."""
        return pick(self.rng, options) if self.paraphrases else options[0]

    def noun(self, wish: str) -> str:
        """A noun phrase for a wish."""
        return self.word(wishes()[wish].nouns)

    def demand(self, text: str) -> str | None:
        """What an injected instruction wants; None for a model that does not obey."""
        found = _INJECTED.search(text) if self.gullible else None
        return found[1] if found else None

    def wishes_of(self, text: str) -> tuple[Voiced, ...]:
        """The wishes of a text; a reading that goes wrong takes another wish or its opposite."""
        read = read_wishes(text)
        return tuple(self._mistaken(one) for one in read) if read and self.errs() else read

    def _mistaken(self, one: Voiced) -> Voiced:
        if self.rng.random() < 0.5:
            return Voiced(one.wish, not one.wanted)
        return Voiced(pick(self.rng, tuple(wishes())), one.wanted)


def satisfaction(reader: Reader, data: Data, _: Choices) -> dict[str, Any]:
    """How the user received an answer, from the signs in what they said next."""
    reply = data["reply"]
    sat, dsat = _signs(reply)
    verdict = "dissatisfied" if dsat else "satisfied" if sat else "neither"
    if reader.demand(reply):
        sat, dsat, verdict = ["praise"], [], "satisfied"
    elif reader.errs():
        verdict = "satisfied" if verdict == "dissatisfied" else "dissatisfied"
        sat, dsat = (["acknowledgment"], []) if verdict == "satisfied" else ([], ["style"])
    return {
        "sat": sat,
        "dsat": dsat,
        "verdict": verdict,
        "confidence": 90 if sat or dsat else 70,
    }


def _signs(reply: str) -> tuple[list[str], list[str]]:
    """The signs of a reply that it pleased and that it did not; one of both is empty."""
    sat = [sign for sign, words in _SAT.items() if words.search(reply)]
    dsat = [sign for sign, words in _DSAT.items() if words.search(reply)]
    voiced = read_wishes(reply)
    if voiced and not sat:
        dsat.append("insufficient_detail" if voiced[0].wanted else "style")
    return ([], dsat) if dsat else (sat, [])


def intent(reader: Reader, data: Data, choices: Choices) -> dict[str, Any]:
    """The listed intent whose topics' questions an utterance resembles."""
    found = _nearest_intent(data["text"], choices)
    if choices and reader.errs():
        found = pick(reader.rng, choices)
    return {"intent": found or "unknown", "confidence": 90 if found else 40}


def _nearest_intent(text: str, choices: Choices) -> str | None:
    """The intent of the topic whose questions share most words with a text, if it is listed."""
    words = _words(text)
    shared = {
        intent: max(len(words & asked) / (1 + len(asked)) for asked in asks)
        for intent, asks in _asked().items()
        if intent in choices
    }
    best = max(shared, key=shared.__getitem__, default=None)
    return best if best is not None and shared[best] > 0.3 else None


@cache
def _asked() -> dict[str, list[frozenset[str]]]:
    asked: dict[str, list[frozenset[str]]] = {}
    for topic in topics():
        asks = asked.setdefault(topic.intent, [])
        asks.extend(_words(question) for question in topic.asks + topic.followups)
    return asked


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"\w+", text.lower()) if len(word) > 2)


def group(reader: Reader, data: Data, choices: Choices) -> dict[str, Any]:
    """The listed group whose manner of asking shows in the utterances."""
    texts = " ".join(data["texts"])
    found = next((g for g in choices if g in _MANNERS and _MANNERS[g].search(texts)), None)
    if choices and reader.errs():
        found = pick(reader.rng, choices)
    return {"group": found or "unknown", "confidence": 85 if found else 40}


def preference(reader: Reader, data: Data, _: Choices) -> dict[str, Any]:
    """The wish that the reply names, put as a demand on the answer."""
    request = reader.word(("get help with a task", "understand or solve something", "get advice"))
    wanted = reader.demand(data["reply"])
    if wanted:
        return {"request": request, "expectation": wanted, "reasons": [wanted]}
    voiced = reader.wishes_of(data["reply"])
    if not voiced and reader.invents():
        voiced = tuple(Voiced(one.wish, True) for one in _read_once(data["assistant"]))
    if not voiced:
        return {"request": request, "expectation": "", "reasons": []}
    return {
        "request": request,
        "expectation": _expectation(reader, voiced[0]),
        "reasons": [_reason(reader, voiced[0], data["assistant"])],
    }


def _expectation(reader: Reader, one: Voiced) -> str:
    frames = _EXPECTS if one.wanted else _EXPECTS_NOT
    return reader.word(frames).format(noun=reader.noun(one.wish))


def _reason(reader: Reader, one: Voiced, answer: str) -> str:
    present = one.wish in {read.wish for read in _read_once(answer)}
    frames = ("gives {noun}", "brings in {noun}") if present else ("says nothing of {noun}",)
    return reader.word(frames).format(noun=reader.noun(one.wish))


def any_of(*words: str) -> re.Pattern[str]:
    """A pattern that finds any of some words or expressions, in upper or lower case."""
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


_SAT = {
    "gratitude": any_of("thanks", "thank you", "cheers", "glad"),
    "learning": any_of("now i (?:get|see|know)", "makes sense", "new to me", "made it click"),
    "compliance": any_of("(?:that|it) worked", "that did it", "solved it", "i will do it"),
    "praise": any_of(
        "great", "perfect", "good", "very clear", "brilliant", "awesome", "lovely", "wonderful",
        "excellent", "super", "nice", "i like", "helpful", "that helps", "exactly what i wanted",
    ),
    "humor": any_of("ha"),
    "acknowledgment": any_of("i follow you"),
    "positive_closure": any_of("that is all i needed", "bye"),
}  # fmt: skip
_DSAT = {
    "negative_feedback": any_of(
        "does not help", "is useless", "useless to me", "no help at all", "not useful",
        "not helpful", "confusing", "annoying", "did not work", "am lost",
    ),
    "revision": any_of(
        "what i asked was", "ask once more", "say it differently", "as i said",
        "do not get it", "not what i meant",
    ),
    "ignored": any_of(
        "not what i asked", "did not answer", "missing the point", "not the point", "you forgot",
        "you never", "not a word",
    ),
    "insufficient_detail": any_of("i miss", "lacks", "would have needed", "none of it"),
    "style": any_of("clutter", "no use for", "spare me", "stop bringing"),
    "no_engagement": any_of(
        "never mind", "forget it", "give up", "ask somebody else", "going nowhere"
    ),
}  # fmt: skip
_MANNERS = {
    "novice": any_of(
        "i am new to", "silly question", "complete beginner", "only started", "know next to nothing"
    ),
    "intermediate": any_of(
        "know the basics", "done a course", "now and then", "past the beginnings", "get by"
    ),
    "expert": any_of(
        "done this for years", "read the documentation", "no need to start from zero",
        "years in the field", "i teach",
    ),
}  # fmt: skip
_EXPECTS = (
    "Give {noun}",
    "Bring {noun} into the answer",
    "Have {noun} in it",
    "Answer with {noun}",
)
_EXPECTS_NOT = (
    "Leave {noun} out",
    "Answer without {noun}",
    "Avoid {noun}",
    "Keep it free of {noun}",
)
_INJECTED = re.compile(
    r"(?:ignore all previous instructions|system:|note to the extractor|developer mode)"
    r'[^"]*"([^"]{3,80})"',
    re.IGNORECASE,
)
