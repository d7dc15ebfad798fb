"""What a run of learning says about itself; ``gpa learn --json`` prints it as it is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gpa_agent.learning.distilling import DistilReport
from gpa_agent.rubrics.records import ContrastModel, Rubric


class StageReport(BaseModel):
    """One stage of the pipeline."""

    model_config = ConfigDict(frozen=True)

    done: int = 0
    """Inputs the stage worked on in this run; 0 where an earlier run had done them all."""
    skipped: int = 0
    """Inputs it could say nothing about (abstained, unknown, without data)."""
    seconds: float = 0.0


class Untested(BaseModel):
    """A contrast that could not be tested."""

    model_config = ConfigDict(frozen=True)

    intent: str
    contrast: ContrastModel
    reason: str


class BadLineModel(BaseModel):
    """A line of a log that was skipped."""

    model_config = ConfigDict(frozen=True)

    file: str
    line: int
    reason: str


class IngestReport(BaseModel):
    """What reading a log did."""

    model_config = ConfigDict(frozen=True)

    conversations: int = 0
    """Conversations that are new."""
    pairs: int = 0
    """Preference pairs that are new."""
    turns: int = 0
    """Turns of the new and extended conversations."""
    extended: int = 0
    """Conversations that were known and have grown."""
    unchanged: int = 0
    """Records that were known as they are."""
    skipped: int = 0
    """Lines that could not be used."""
    bad: list[BadLineModel] = Field(default_factory=list[BadLineModel])
    """The first hundred of them, with file, line and reason."""
    seconds: float = 0.0


class ModelReport(BaseModel):
    """What was asked of a chat model in a run."""

    model_config = ConfigDict(frozen=True)

    model: str
    """The model's name, without any key."""
    runner: str = "asyncio"
    """What ran the calls: ``asyncio``, ``daft`` or ``daft-ray``."""
    calls: int = 0
    """Calls that were made and paid for in this run, repairs included."""
    cached: int = 0
    """Questions whose answer the ledger held already: nothing was paid."""
    repaired: int = 0
    """Answers that could not be read at first, and could after the one repair call."""
    malformed: int = 0
    """Questions left unknown: the answer could not be read, not even repaired."""
    refused: int = 0
    """Questions left unknown: the model or its provider would not answer."""
    failed: int = 0
    """Questions given up after every retry; the next run asks them again."""
    retried: int = 0
    """Attempts that failed and were made again."""
    rate_limited: int = 0
    """Attempts the provider put off (429)."""
    input_tokens: int = 0
    cached_tokens: int = 0
    """Input tokens that the provider's prompt cache served."""
    output_tokens: int = 0
    cost: float | None = None
    """US dollars; None where no price is known."""
    estimate: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What was expected before the first call: calls, input_tokens, output_tokens, cost."""
    by_prompt: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    """The same figures by prompt."""
    unfounded: int = 0
    """Attributions that the embeddings did not bear out: dropped."""


class LearnReport(BaseModel):
    """What a run of learning found."""

    model_config = ConfigDict(frozen=True)

    rubrics: list[Rubric] = Field(default_factory=list[Rubric])
    """Every tested intent and contrast; ``aspects`` is empty where nothing was found."""
    tested: int = 0
    """Hypotheses tested: traits and families, over which q-values are corrected together."""
    candidates: int = 0
    """Aspects found and not served: their ``reason`` says which test they failed."""
    rejected: int = 0
    """Hypotheses that showed nothing (p above 0.05 before correction): counted, not listed."""
    untested: list[Untested] = Field(default_factory=list[Untested])
    """Contrasts with too little data, each with what is missing."""
    stages: dict[str, StageReport] = Field(default_factory=dict[str, StageReport])
    calls: int = 0
    """Calls of a chat model; 0 for the embedded engine."""
    model: ModelReport | None = None
    """What was asked of the model; None for the embedded engine."""
    distilled: list[DistilReport] = Field(default_factory=list[DistilReport])
    """Local classifiers trained on the model's labels, and whether they were kept."""
    seconds: float = 0.0
    engine: str = "embedded"
    encoder: str = ""
    """The sentence encoder that read the texts, and where it was found."""
    people: int = 0
    """People whose judged turns counted."""
    anonymous: int = 0
    """Judged rows without a user id; each conversation counts as one person."""
    notes: list[str] = Field(default_factory=list[str])
    """Things a reader of the result should know."""
