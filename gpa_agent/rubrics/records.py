"""Rubrics as data: a contrast, an aspect with its evidence, a versioned rubric.

A rubric R of an intent lists the aspects A on which a group G differs from a group G' (or
from everybody else), each with a Likert divergence r of 1 to 5 (Algorithm 1; Table 13) and,
beyond the paper, the evidence that the difference is there. These models are also the JSON
that ``gpa learn --json`` prints, so their field names are public.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

CLAIMED = "claimed"
"""Family of what a model claims."""
EVERYBODY_ELSE = "*"
"""``Contrast.other`` that stands for everyone outside the group (the population P)."""

Status = Literal["candidate", "approved", "live", "retired"]


class Contrast(NamedTuple):
    """Which group is compared with which.

    Attributes:
        group: The first-named group; a positive effect means its satisfaction rises more.
        other: The second group, or ``"*"`` for everybody else.
    """

    group: str
    other: str = EVERYBODY_ELSE

    def __str__(self) -> str:
        other = "everybody else" if self.other == EVERYBODY_ELSE else self.other
        return f"{self.group} against {other}"


class ContrastModel(BaseModel):
    """A contrast as JSON: ``{"group": ..., "other": ...}``; a `Contrast` is taken too."""

    model_config = ConfigDict(frozen=True)

    group: Annotated[str, Field(min_length=1, max_length=200)]
    other: Annotated[str, Field(min_length=1, max_length=200)] = EVERYBODY_ELSE

    @model_validator(mode="before")
    @classmethod
    def _from_contrast(cls, value: Any) -> Any:  # noqa: ANN401 -- whatever is to be validated
        return value._asdict() if isinstance(value, Contrast) else value

    @model_validator(mode="after")
    def _two_sides(self) -> Self:
        if self.group in (EVERYBODY_ELSE, self.other):
            raise ValueError(
                f"a contrast needs a named group and another side, not {self.group!r} against "
                f"{self.other!r}"
            )
        return self


class Evidence(BaseModel):
    """Why an aspect is claimed.

    ``effect`` of a trait is the difference between the two groups in how satisfaction moves with
    it, all other traits held fixed, in log-odds of SAT per standard deviation of the trait.
    Positive: the first-named group's satisfaction rises more. Of a model's claim (family
    ``claimed``) it is the difference in shares of judged turns that voice the first group's wish
    less those that voice the other's, from -2 to 2; positive: as the model said.
    """

    model_config = ConfigDict(frozen=True)

    effect: float
    """Log-odds per standard deviation, or shares of judged turns; signed."""
    interval: tuple[float, float]
    """95% percentile bootstrap interval of ``effect`` over people."""
    p_value: Annotated[float, Field(ge=0, le=1)]
    """Two-sided, from permutations of people between the groups; at least 1/(permutations+1)."""
    q_value: Annotated[float, Field(ge=0, le=1)]
    """Benjamini-Hochberg over everything tested in the run."""
    hedges_g: float = 0.0
    """Hedges' g of the people's mean scores, not adjusted for other traits."""
    withstands: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of one side's people that it would still survive if they had acted together
    (`gpa_agent.rubrics.robustness`); 1 where it was found before this was looked at."""
    people: dict[str, int]
    """People behind it on each side."""
    turns: dict[str, int]
    """Judged turns (a pair counts as one) behind it on each side."""
    preferences: dict[str, list[str]] = Field(default_factory=dict[str, list[str]])
    """Ids of the preferences that speak most for it, on each side; ``c:<pair>`` for a pair."""


class Aspect(BaseModel):
    """One respect in which a group wants different answers."""

    model_config = ConfigDict(frozen=True)

    name: str
    """A trait of the catalogue (``lists``, ``code``) or what a model named it."""
    rating: Annotated[int, Field(ge=1, le=5)]
    """Likert divergence, 1 (none) to 5 (stark); 1 where a group has no data."""
    interpretation: str
    """One sentence a product manager understands."""
    guidance: dict[str, str]
    """What to do for each named group; the text that goes into the prompt."""
    status: Status
    """``live`` is served; ``candidate`` failed a test or the gate; ``approved`` waits for
    publishing; ``retired`` was live, or was taken out by a person."""
    reason: str | None = None
    """Why it is not live, where it is not."""
    family: str | None = None
    """The family of traits it belongs to (``structure``, ``tone`` ...)."""
    evidence: Evidence | None = None
    """None only for an imported, hand-written aspect."""


class Rubric(BaseModel):
    """The aspects of one intent on which one contrast's groups differ."""

    model_config = ConfigDict(frozen=True)

    intent: str
    contrast: ContrastModel
    version: int
    """Grows by one with every change of what is live; 0 where nothing was ever live."""
    aspects: tuple[Aspect, ...]

    def guidance(self, group: str) -> tuple[str, ...]:
        """The guidance of the live aspects for a group, in rubric order; may be empty."""
        return tuple(
            a.guidance[group] for a in self.aspects if a.status == "live" and a.guidance.get(group)
        )
