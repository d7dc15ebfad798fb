"""What a prompt may be answered with, as pydantic models.

A model's answer is read from a log it was shown, so it is as untrusted as the log: only what is
declared here is kept, texts are made visible and one line, one that is a little long is cut at a
word and one that is absurdly long is refused, and what contradicts itself is refused, never
mended. Everything refused leads to one repair call, and then to ``unknown``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gpa_agent.conversations.normalise import clean_text
from gpa_agent.prompts.quoting import visible

ABSURD: Final = 10
"""Times its limit that a text may have before it is refused rather than cut."""

SatSign = Literal[
    "gratitude",
    "learning",
    "compliance",
    "praise",
    "personal_details",
    "humor",
    "acknowledgment",
    "positive_closure",
    "getting_there",
]
"""WildFeedback's nine signs that an answer pleased (arXiv 2408.15549)."""

DsatSign = Literal[
    "negative_feedback",
    "revision",
    "factual_error",
    "unrealistic_expectation",
    "no_engagement",
    "ignored",
    "lower_quality",
    "insufficient_detail",
    "style",
]
"""WildFeedback's nine signs that it did not."""

Problem = Literal[
    "unclear",
    "not_about_answers",
    "personal_data",
    "instruction",
    "unsafe",
    "promotion",
    "flattery",
]
"""What can be wrong with an aspect of a rubric."""


def _line(limit: int) -> BeforeValidator:
    def tidy(value: object) -> object:
        if not isinstance(value, str):
            return value
        if len(value) > ABSURD * limit:
            raise ValueError(f"has {len(value)} characters where {limit} are allowed")
        text = " ".join(visible(value).split())
        return text if len(text) <= limit else _cut(text, limit)

    return BeforeValidator(tidy)


def _cut(text: str, limit: int) -> str:
    head, space, _ = text[:limit].rpartition(" ")
    return f"{head.rstrip(' ,;:.-')}…" if space and head else text[:limit]


def _whole(value: object) -> object:
    return clean_text(value).strip() if isinstance(value, str) else value


Name = Annotated[str, _line(60), Field(min_length=1, max_length=60)]
Wish = Annotated[str, _line(200), Field(max_length=200)]
Sentences = Annotated[str, _line(600), Field(min_length=1, max_length=600)]
Percent = Annotated[int, Field(ge=0, le=100)]
Numbers = Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=1_000)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SatisfactionAnswer(_Answer):
    """How the user received an answer, from what they said next."""

    sat: Annotated[list[SatSign], Field(max_length=9)]
    """Signs that it pleased."""
    dsat: Annotated[list[DsatSign], Field(max_length=9)]
    """Signs that it did not."""
    verdict: Literal["satisfied", "dissatisfied", "neither"]
    """Which of them prevail; never without a sign."""
    confidence: Percent
    """0 to 100."""

    @model_validator(mode="after")
    def _rests_on_a_sign(self) -> Self:
        if self.verdict == "satisfied" and not self.sat:
            raise ValueError("verdict 'satisfied' needs at least one sign in sat, else 'neither'")
        if self.verdict == "dissatisfied" and not self.dsat:
            raise ValueError(
                "verdict 'dissatisfied' needs at least one sign in dsat, else 'neither'"
            )
        return self


class IntentAnswer(_Answer):
    """Which intent of the taxonomy an utterance has."""

    intent: Annotated[str, _line(200), Field(min_length=1, max_length=200)]
    """A name of the taxonomy, or ``unknown``; whether it is one, the caller checks."""
    confidence: Percent
    """0 to 100."""


class GroupAnswer(_Answer):
    """Which group a user belongs to."""

    group: Annotated[str, _line(200), Field(min_length=1, max_length=200)]
    """A name of the groups, or ``unknown``; whether it is one, the caller checks."""
    confidence: Percent
    """0 to 100."""


class PreferenceAnswer(_Answer):
    """Why an answer pleased or not: the paper's preference explanation E."""

    request: Wish
    """What was asked for, in general words."""
    expectation: Wish
    """How the user wants it answered; "" where nothing was voiced."""
    reasons: Annotated[list[Wish], Field(max_length=3)]
    """What of the answer's manner pleased or displeased; empty where nothing was voiced."""


class AspectItem(_Answer):
    """One respect in which two sides want different answers."""

    name: Name
    """Two to five words."""
    rating: Annotated[int, Field(ge=1, le=5)]
    """Likert divergence, 1 (none) to 5 (stark); 1 where a side has no evidence."""
    interpretation: Sentences
    """How the sides differ, in two or three sentences."""
    first_wants: Wish
    """What to do for the first side, imperative; "" where it says nothing."""
    second_wants: Wish
    """What to do for the second side."""
    first: Numbers
    """Numbers of the first side's preferences that voice it."""
    second: Numbers
    """Numbers of the second side's preferences that voice it."""


class AspectsAnswer(_Answer):
    """The aspects so far, as a whole: they replace the ones before."""

    aspects: Annotated[list[AspectItem], Field(max_length=12)]
    """Mutually exclusive, starkest first; may be empty."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [aspect.name.casefold() for aspect in self.aspects]
        if len(set(names)) < len(names):
            raise ValueError("aspects must have different names: merge those that are the same")
        return self


class Voice(_Answer):
    """One preference speaks for one side of one claim."""

    preference: Annotated[int, Field(ge=0)]
    """Its number."""
    claim: Annotated[int, Field(ge=1)]
    """The claim's number, from 1 in the order given."""
    side: Literal["x", "y"]
    """Which side it speaks for."""


class VoicesAnswer(_Answer):
    """Which preference voices which claim."""

    voices: Annotated[list[Voice], Field(max_length=1_000)]
    """Nothing for a preference that voices no claim."""


class TwinAnswer(_Answer):
    """An answer to what a user asked, written again in another manner."""

    response: Annotated[str, BeforeValidator(_whole), Field(max_length=20_000)]
    """The whole answer as an app would show it, lines and all: it is trained on, so it is kept as
    texts of a log are and never cut; "" where there was nothing to answer."""


class ValidityAnswer(_Answer):
    """Whether an aspect may go into a rubric."""

    valid: bool
    """True exactly where there is no problem."""
    problems: Annotated[list[Problem], Field(max_length=7)]
    """What is wrong with it."""

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.valid == bool(self.problems):
            raise ValueError("valid must be true exactly where problems is empty")
        return self
