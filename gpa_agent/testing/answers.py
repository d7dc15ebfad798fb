"""Simulated answers: put together from parts, and read back from their text.

An answer always holds the topic's core sentence and, beside it, any of twelve optional parts
(numbered steps, bullet list, headings, code, example, analogy, definition, jargon, hedges,
warmth, summary first, closing question) and up to three sentences of detail. `draw_recipe`
decides which, with
correlated probabilities: a latent factor for structure and one for talkativeness, as real
answers that have lists also tend to have headings and to be long (a Gaussian copula).

`measure` reads the parts back from any text, also from a real model's, so that what a
simulated user likes is a property of the text and of nothing else. It is written apart from
the trait catalogue on purpose: planted truth must not be read with the instrument under test.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from gpa_agent.testing.chance import gauss, pick

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from gpa_agent.testing.topics import Topic

_NORMAL = NormalDist()


class Part(NamedTuple):
    """How often a part is in an untailored answer, and what it goes together with.

    Attributes:
        share: Probability in (0, 1).
        structure: Loading on the structure factor, in [-1, 1].
        talk: Loading on the talkativeness factor; the squares of both sum to at most 1.
    """

    share: float
    structure: float
    talk: float


PARTS: dict[str, Part] = {
    "steps": Part(0.40, 0.55, 0.0),
    "lists": Part(0.40, 0.60, 0.1),
    "headings": Part(0.30, 0.65, 0.0),
    "code_blocks": Part(0.50, 0.30, 0.0),
    "examples": Part(0.40, 0.20, 0.4),
    "analogies": Part(0.30, 0.0, 0.5),
    "definitions": Part(0.35, 0.2, 0.3),
    "jargon": Part(0.40, 0.1, -0.4),
    "hedging": Part(0.30, -0.2, 0.4),
    "warmth": Part(0.35, 0.0, 0.6),
    "summary_first": Part(0.35, 0.4, 0.0),
    "questions_back": Part(0.35, 0.0, 0.5),
}
"""The optional parts."""

FEATURES: tuple[str, ...] = ("length", *PARTS)
"""Everything a simulated user can have a taste for; ``length`` is the log of the words."""

_DETAIL = Part(0.5, 0.3, 0.4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What goes into an answer."""

    parts: frozenset[str]
    """Names out of `PARTS`."""
    details: int
    """Sentences of detail, 0 to 3."""


def draw_recipe(rng: Random) -> Recipe:
    """Decide what goes into an untailored answer.

    Args:
        rng: Source of randomness; the same state gives the same recipe.
    """
    structure, talk = gauss(rng), gauss(rng)

    def chance(part: Part) -> bool:
        own = math.sqrt(1 - part.structure**2 - part.talk**2)
        latent = part.structure * structure + part.talk * talk + own * gauss(rng)
        return _NORMAL.cdf(latent) < part.share if part.share < 1 else True

    parts = frozenset(name for name, part in PARTS.items() if chance(part))
    return Recipe(parts=parts, details=sum(chance(_DETAIL) for _ in range(3)))


def assemble(topic: Topic, recipe: Recipe, rng: Random) -> str:
    """Write the answer of a recipe.

    Args:
        topic: What it is about.
        recipe: What goes into it; code is left out where the topic has none.
        rng: Chooses between wordings.
    """
    has = recipe.parts.__contains__
    opening = [pick(rng, _OPENINGS).format(name=topic.name)]
    if not has("summary_first"):
        opening.append(topic.core)
    if has("definitions"):
        opening.append(f"{topic.term} {pick(rng, _DEFINES)} {topic.definition}.")
    steps = "\n".join(f"{n}. {step}" for n, step in enumerate(topic.steps, start=1))
    blocks = (
        (has("warmth"), pick(rng, _WARM_OPENINGS)),
        (has("summary_first"), f"{pick(rng, _SUMMARY)} {_lower_first(topic.core)}"),
        (has("headings"), f"## {pick(rng, _HEADINGS_CAUSE)}"),
        (True, " ".join(opening)),
        (recipe.details > 0, " ".join(topic.details[: recipe.details])),
        (has("analogies"), f"{pick(rng, _ANALOGY)} {topic.analogy}"),
        (has("examples"), f"{pick(rng, _EXAMPLE)} {topic.example}"),
        (has("jargon"), topic.jargon),
        (has("headings"), f"## {pick(rng, _HEADINGS_DO)}"),
        (True, pick(rng, _TURNS)),
        (has("steps"), steps),
        (has("lists"), "\n".join(f"- {point}" for point in topic.points)),
        (has("code_blocks") and bool(topic.code), f"```\n{topic.code}\n```"),
        (has("hedging"), pick(rng, _HEDGES)),
        (has("warmth"), pick(rng, _WARM_CLOSINGS)),
        (has("questions_back"), pick(rng, _QUESTIONS)),
    )
    return "\n\n".join(text for wanted, text in blocks if wanted)


def measure(text: str) -> dict[str, float]:
    """Read from a text what `assemble` can put into one.

    Args:
        text: Any answer.

    Returns:
        For every feature a number: 1.0 or 0.0 for a part, log(1 + words) for ``length``.
    """
    prose = _CODE.sub(" ", text)
    found = {name: float(bool(pattern.search(prose))) for name, pattern in _SIGNS.items()}
    found["code_blocks"] = float(bool(_CODE.search(text)))
    found["length"] = math.log1p(len(text.split()))
    return {name: found[name] for name in FEATURES}


def standardise(
    values: Mapping[str, float], centre: Mapping[str, float], spread: Mapping[str, float]
) -> dict[str, float]:
    """Each value in standard deviations from its mean; 0 where it does not vary."""
    return {
        name: (values[name] - centre[name]) / spread[name] if spread[name] > 0 else 0.0
        for name in values
    }


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


_OPENINGS = (
    "This is about the topic of {name}.",
    "Here is what matters about {name}.",
    "A word on {name}.",
    "Let us look at {name}.",
)
_TURNS = (
    "This is how to go on from here.",
    "With this in hand the rest follows.",
    "That is the main thing to do next.",
    "From here on it is a matter of doing it.",
)
_SUMMARY = ("In short:", "Short answer:", "TL;DR:")
_ANALOGY = ("It is like", "Think of it as", "Imagine")
_DEFINES = ("means", "refers to", "is defined as")
_EXAMPLE = ("For example,", "For instance,", "To give an example:")
_HEADINGS_CAUSE = ("What is going on", "Background", "The idea")
_HEADINGS_DO = ("What to do", "Next", "In practice")
_HEDGES = (
    "This might not be the only cause, and perhaps your case is different.",
    "It could possibly be something else, as it may depend on your set-up.",
    "I am not entirely sure, so it might be worth checking; perhaps it does not apply to you.",
)
_WARM_OPENINGS = (
    "Great question, and you are closer than you think.",
    "I am glad you asked, this puzzles a lot of people.",
    "Happy to help, you are doing well.",
)
_WARM_CLOSINGS = (
    "You have got this.",
    "Take your time, you are on a good way.",
    "Well done for getting this far.",
)
_QUESTIONS = (
    "Would you like me to go into one of these?",
    "Which part of it would you like to look at next?",
    "Shall I adapt this to your case?",
)

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SIGNS: dict[str, re.Pattern[str]] = {
    "steps": re.compile(r"^\s*\d+[.)]\s.+\n(?:.*\n)*?\s*\d+[.)]\s", re.MULTILINE),
    "lists": re.compile(r"^\s*[-*•]\s.+\n(?:.*\n)*?\s*[-*•]\s", re.MULTILINE),
    "headings": re.compile(r"^#{1,6}\s", re.MULTILINE),
    "examples": re.compile(
        r"\bfor example\b|\bfor instance\b|\bto give an example\b|\be\.g\.", re.I
    ),
    "analogies": re.compile(r"\bit(?:'s| is) like\b|\bthink of it as\b|\bimagine\b", re.I),
    "definitions": re.compile(r"\b(?:means|refers to|is defined as|is called)\b", re.I),
    "jargon": re.compile(
        r"\b(?:traceback|exception handler|invariant|iterable|call site|namespace|virtualenv|"
        r"cardinality|predicate|backoff|latency|stack frame|memoise|backpropagation|gradient|"
        r"regularisation|hashes|ancestry|monetary policy|aggregate demand|sampling distribution|"
        r"multiplicity|amortised|load factor|off-peak|itineraries|emulsion|roux|retrieval practice|"
        r"aerobic|mesocycle|amortise|working capital|apportionment|liability)\b",
        re.I,
    ),
    "hedging": re.compile(r"\b(?:might|perhaps|possibly|may depend|not entirely sure)\b", re.I),
    "warmth": re.compile(
        r"\b(?:great question|glad you asked|happy to help|you have got this|you've got this|"
        r"well done|take your time|doing well)\b",
        re.I,
    ),
    "summary_first": re.compile(
        r"\A(?:[^\n]*\n+)?\W*(?:in short|short answer|tl;dr|summary)\b", re.I
    ),
    "questions_back": re.compile(r"\?\s*\Z"),
}
