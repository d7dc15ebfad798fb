"""The settings of a workspace: what is compared, what counts as evidence, how turns are served.

Stored as ``settings.json`` in the workspace; every value can be overridden for a process by
an environment variable ``GPA_<NAME>`` (``GPA_HOLDOUT=0.2``). Defaults follow the paper where
it gives one and `docs/decisions/` where it does not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gpa_agent.calls.prices import Price
from gpa_agent.models import model_name
from gpa_agent.rubrics.records import EVERYBODY_ELSE, ContrastModel

EMBEDDED = "embedded"
"""The model that is none: the embedded engine learns."""
_PARAMETERS = frozenset(
    {
        *("base_url", "frequency_penalty", "max_completion_tokens", "max_tokens", "num_ctx"),
        *("num_predict", "presence_penalty", "reasoning_effort", "repeat_penalty", "seed"),
        *("service_tier", "temperature", "top_k", "top_p", "use_responses_api", "verbosity"),
    }
)
"""What a model may be opened with from the settings: nothing that is made to hold a secret."""


def _plain_name(name: str) -> str:
    cleaned = " ".join(name.split())
    if not cleaned or cleaned == EVERYBODY_ELSE or len(cleaned) > 200:
        raise ValueError(f"{name!r} is not a usable name: 1 to 200 characters, and not '*'")
    return cleaned


Name = Annotated[str, AfterValidator(_plain_name)]


class Intent(BaseModel):
    """One entry of the taxonomy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    """What falls under it, in a sentence; zero-shot classification reads it."""
    examples: tuple[str, ...] = ()
    """Utterances of this intent; with two or more per intent a classifier is trained on them."""


class Settings(BaseSettings):
    """Everything a workspace can be told."""

    model_config = SettingsConfigDict(env_prefix="GPA_", extra="forbid", frozen=True)

    groups: tuple[Name, ...] = ()
    """Groups to compare; empty: every group the log names with enough people."""
    contrasts: tuple[ContrastModel, ...] = ()
    """Contrasts to test; empty: two groups against each other, or each against everybody else."""
    intents: dict[Name, Intent] = Field(default_factory=dict[str, Intent])
    """The taxonomy; empty: the intents the records name, else the one intent ``general``."""

    @field_validator("groups")
    @classmethod
    def _each_once(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(groups)) < len(groups):
            raise ValueError(f"a group is named twice: {', '.join(groups)}")
        return groups

    min_people: Annotated[int, Field(ge=2)] = 5
    """People needed on each side of an item (``privacy.k``; the strict profile is 50)."""
    min_turns: Annotated[int, Field(ge=2)] = 15
    """Judged turns needed on each side of an item."""
    rating_threshold: Annotated[int, Field(ge=1, le=4)] = 2
    """The paper's Likert threshold: an aspect is kept if its rating is above it."""
    max_q: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """False discovery rate an item may have."""
    permutations: Annotated[int, Field(ge=199)] = 9999
    """Permutations of people per contrast; the smallest p-value is 1/(permutations+1)."""
    bootstrap: Annotated[int, Field(ge=100)] = 1000
    """Bootstrap resamples of people per contrast."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of permutations and bootstrap: the same log gives the same rubric."""

    model: str | None = None
    """The chat model that learns, as ``openai:gpt-4o-mini``; None: the embedded engine learns."""
    model_parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What the model is opened with besides (``{"temperature": 0}``); never a key."""

    @field_validator("model_parameters")
    @classmethod
    def _no_secrets(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        where = urlsplit(str(parameters.get("base_url") or ""))
        refused = sorted(parameters.keys() - _PARAMETERS)
        if "@" in where.netloc or where.query:
            refused.append("base_url")
        if refused:
            raise ValueError(
                f"{', '.join(refused)}: settings are stored and shown, so only what holds no "
                f"secret is taken ({', '.join(sorted(_PARAMETERS))}); for a key set the provider's "
                "environment variable, for all else open the workspace with your own chat model"
            )
        return parameters

    @field_validator("model")
    @classmethod
    def _full_name(cls, model: str | None) -> str | None:
        return None if model in (None, "", EMBEDDED) else model_name(model)

    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """Calls in flight at a time."""
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Requests the provider allows; None: as many as it takes."""
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Tokens, in and out, the provider allows; None: as many as it takes."""
    label_budget: Annotated[int, Field(ge=0)] | None = None
    """Turns, and conversations, that the model labels; the rest is labelled locally by classifiers
    trained on these labels, where they are sure enough. None or 0: it labels everything."""
    price: Price | None = None
    """What the model costs, where the bundled list does not know or is out of date."""
    group_descriptions: dict[Name, str] = Field(default_factory=dict[str, str])
    """Who belongs to each group, for a model that tells groups; levels of expertise have one."""
    minibatch_size: Annotated[int, Field(ge=1, le=200)] = 20
    """Preferences per minibatch of the model's contrast (m of Algorithm 1)."""
    pairing: Literal["zip", "cross"] = "zip"
    """Which minibatches meet: each with one of the other side, or each with each."""
    fold: Literal["auto", "chain", "tree"] = "auto"
    """Shape of the fold: the paper's chain, a tree, or a tree where the chain would be long."""
    discovery: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of people that a model's claims are found on; they are tested on the others."""

    half_life_days: Annotated[float, Field(gt=0)] | None = 90.0
    """Days in which evidence loses half its weight, counted back from the newest turn; None: it
    does not age. Turns of a log that gives no times keep their full weight."""
    colluders: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of one side's people that acting together must not get anything served without a
    person's approval; None: 0.2 once turns of the running app are learned from, where users can
    try, and one person's share of a log, which they cannot reach."""

    work_seconds: Annotated[float, Field(gt=0)] = 2.0
    """How often the worker looks for turns to learn from."""
    refine_after_turns: Annotated[int, Field(ge=1)] = 20
    """Events since the last time after which rubrics are weighed again."""
    refine_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Least time between two weighings by one worker."""
    queue_limit: Annotated[int, Field(ge=0)] = 10_000
    """Events that may wait for the worker; further turns are stored, and left to a run of
    ``gpa learn``."""
    daily_calls: Annotated[int, Field(ge=0)] | None = 2000
    """Calls of a chat model that the worker may make in a day; None: as many as it takes."""
    daily_cost: Annotated[float, Field(ge=0)] | None = None
    """US dollars that the worker may spend in a day; None: no limit of its own."""

    publish: Literal["auto", "review"] = "auto"
    """``auto`` makes live what passes the gate; ``review`` waits for ``gpa rubrics approve``."""
    holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share of people (sticky) who get the plain answer, so that the lift can be measured; ``gpa
    audit`` reads it, and what it says retires items that do harm."""
    budget_seconds: Annotated[float, Field(gt=0)] = 0.25
    """Time our own parts may take before a turn; past it the turn is plain and degraded."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Confidence below which an intent counts as unknown."""
    min_group_confidence: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Confidence below which a guessed group counts as unknown; with two groups a guess has 0.5."""
