"""From a model's labels to small local classifiers: trained, compared, kept or refused.

A model labels a random part of the log; the satisfaction reader and the classifiers of intents
and groups are trained on what it said, label the rest without a call, and serve the hot path. A
new one takes the place of the one in service only where it agrees better with the model on
people that neither was trained on, or no worse while it was trained on more.

Everything here is a function from data to data: who asks the model, and who stores what comes
out, is elsewhere. Departs from the paper (Group Preference Alignment, section 3.1), where a
model labels every conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from gpa_agent.conversations.records import UNKNOWN, Label, Verdict
from gpa_agent.embedding import TextEncoder
from gpa_agent.errors import UsageError
from gpa_agent.learning.sampling import HELD_OUT, is_held_out
from gpa_agent.understanding.agreement import (
    Compared,
    Interval,
    Said,
    agrees,
    compare,
    measure,
    share_interval,
)
from gpa_agent.understanding.distilled import DistilledClassifier
from gpa_agent.understanding.distilled_satisfaction import DistilledSatisfaction
from gpa_agent.understanding.groups import train_group_classifier
from gpa_agent.understanding.intents import train_intent_classifier
from gpa_agent.understanding.protocols import (
    GroupClassifier,
    IntentClassifier,
    JudgedTurn,
    SatisfactionReader,
)
from gpa_agent.understanding.satisfaction_training import said_by, train_satisfaction
from gpa_agent.understanding.taxonomy import TaxonomyEntry

Kept = Literal["new", "old", "none"]
N = TypeVar("N")
S = TypeVar("S")

MIN_HELD_OUT = 10
"""People held out that a comparison needs: of fewer, an interval says nothing."""


class DistilReport(BaseModel):
    """One local classifier, trained on a model's labels."""

    model_config = ConfigDict(frozen=True)

    classifier: Literal["satisfaction", "intent", "group"]
    labelled: int
    """Rows with a label of the model."""
    held_out: int
    """Of these, rows of people that are never trained on: all figures below are over them."""
    trained: bool
    """Whether a new classifier came of it."""
    kept: Kept
    """What labels the rest and serves from here on; ``old`` is what was in service before."""
    reason: str
    """Why."""
    agreement: float | None = None
    """Share of rows on which the new one says what the model says, in [0, 1]."""
    agreement_before: float | None = None
    """The same of the one in service."""
    macro_f1: float | None = None
    """Mean F1 of the new one over the model's labels."""
    macro_f1_before: float | None = None
    """The same of the one in service."""
    gain_agreement: Interval | None = None
    """95% bootstrap interval over people of the difference in agreement."""
    gain_macro_f1: Interval | None = None
    """The same of the difference in macro F1."""
    confidence: float
    """From here on the one that is kept labels a row without the model."""
    coverage: float | None = None
    """Share of rows at or above it."""
    calls_saved: int = 0
    """Calls not needed for what the model has not labelled: coverage times those rows."""
    cost: float | None = None
    """Share of the rows at or above it on which the model says something else."""
    cost_interval: Interval | None = None
    """95% bootstrap interval over people of that share."""


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """How distilling is done."""

    confidence: float = 0.8
    """From here on, in [0, 1], a label is taken without asking the model."""
    share: float = HELD_OUT
    """Share of people, in (0, 1), that are compared on and never trained on."""
    seed: int = 0
    """Seed of folds and bootstraps."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0 or not 0.0 < self.share < 1.0:
            raise UsageError(
                f"confidence={self.confidence!r} must lie in [0, 1] and share={self.share!r} "
                "between 0 and 1"
            )


class Decision(NamedTuple):
    """Which of two classifiers serves.

    Attributes:
        kept: Which.
        reason: Why, in words.
        compared: Figures of both; None where they were not compared.
    """

    kept: Kept
    reason: str
    compared: Compared | None = None


class Distilled(NamedTuple, Generic[N]):
    """What distilling comes to.

    Attributes:
        new: The classifier that takes over; None where what is in service stays.
        report: Figures and reasons.
    """

    new: N | None
    report: DistilReport


def keep_better(
    new: Said | None,
    old: Said | None,
    true: Sequence[str],
    people: Sequence[str],
    *,
    more: bool,
    seed: int = 0,
) -> Decision:
    """Decide between a new classifier and the one in service.

    Args:
        new: What the new one says of rows that neither was trained on; None: there is none.
        old: What the one in service says of them; None: nothing is in service.
        true: What the model says of them.
        people: Whose rows they are.
        more: Whether the new one was trained on more rows.
        seed: Seed of the bootstrap.
    """
    if new is None or old is None:
        kept: Kept = "new" if new is not None else "old" if old is not None else "none"
        return Decision(kept, "" if new is None else "nothing was in service")
    if len(set(people)) < MIN_HELD_OUT:
        return Decision("old", f"fewer than {MIN_HELD_OUT} people to compare the two on")
    found = compare(new, old, true, people, seed=seed)
    if found.better:
        return Decision("new", f"agrees better with the model: {found}", found)
    if more and not found.worse:
        return Decision("new", f"no worse, and trained on more: {found}", found)
    return Decision("old", f"not better than what is in service: {found}", found)


def distil_satisfaction(
    turns: Sequence[JudgedTurn],
    verdicts: Sequence[Verdict],
    people: Sequence[str],
    encoder: TextEncoder | None,
    *,
    in_service: SatisfactionReader,
    learned_from: int = 0,
    remaining: int = 0,
    config: DistilConfig | None = None,
) -> Distilled[DistilledSatisfaction]:
    """Train a satisfaction reader on a model's verdicts and decide whether it serves.

    Args:
        turns: What the model judged.
        verdicts: What it said; leave out turns of which it said nothing readable.
        people: Whose turns they are.
        encoder: Embeds the replies; None for the cues alone.
        in_service: The reader that serves now.
        learned_from: Rows of the model's that it was trained on; 0 for the shipped reader.
        remaining: Turns that the model has not judged.
        config: How it is done; None for the defaults.
    """
    how = config or DistilConfig()

    def train(rows: list[int]) -> _Trained[DistilledSatisfaction]:
        # Against the shipped reader: one that was distilled before knows these people.
        reader, report = train_satisfaction(
            [turns[i] for i in rows],
            [verdicts[i] for i in rows],
            [people[i] for i in rows],
            encoder,
            confidence=how.confidence,
            seed=how.seed,
        )
        return _Trained(reader, report.reason)

    task = _Task(
        classifier="satisfaction",
        true=[verdict.judgment.name for verdict in verdicts],
        people=people,
        learned_from=learned_from,
        remaining=remaining,
    )

    def say(reader: SatisfactionReader, rows: list[int]) -> Said:
        return said_by(reader, [turns[i] for i in rows])

    return _distil(task, train, say, in_service, how)


def distil_intents(
    texts: Sequence[str],
    labels: Sequence[str],
    people: Sequence[str],
    taxonomy: Mapping[str, TaxonomyEntry],
    encoder: TextEncoder,
    *,
    in_service: IntentClassifier | None,
    min_confidence: float = 0.5,
    learned_from: int = 0,
    remaining: int = 0,
    config: DistilConfig | None = None,
) -> Distilled[DistilledClassifier]:
    """Train a classifier of intents on a model's labels and decide whether it serves.

    Args:
        texts: What the model labelled.
        labels: What it said; leave out texts of which it said nothing readable.
        people: Whose texts they are.
        taxonomy: Intents by name.
        encoder: What turns texts into vectors.
        in_service: The classifier that serves now; None where there is none.
        min_confidence: Confidence in [0, 1] below which an utterance is ``unknown``.
        learned_from: Rows of the model's that the one in service was trained on.
        remaining: Conversations that the model has not labelled.
        config: How it is done; None for the defaults.
    """

    def train(rows: list[int]) -> _Trained[DistilledClassifier]:
        classifier, report = train_intent_classifier(
            [texts[i] for i in rows],
            [labels[i] for i in rows],
            taxonomy,
            encoder,
            people=[people[i] for i in rows],
            min_confidence=min_confidence,
        )
        return _Trained(classifier, str(report.get("reason", "")))

    task = _Task(
        classifier="intent",
        true=labels,
        people=people,
        learned_from=learned_from,
        remaining=remaining,
    )
    return _distil(task, train, _classified(texts), in_service, config or DistilConfig())


def distil_groups(
    texts: Sequence[str],
    groups: Sequence[str],
    people: Sequence[str],
    encoder: TextEncoder,
    *,
    in_service: GroupClassifier | None,
    strata: Sequence[str] | None = None,
    min_confidence: float = 0.5,
    learned_from: int = 0,
    remaining: int = 0,
    config: DistilConfig | None = None,
) -> Distilled[DistilledClassifier]:
    """Train a classifier of groups on a model's labels and decide whether it serves.

    Args:
        texts: The user utterances of each conversation that the model labelled, concatenated.
        groups: What it said; leave out conversations of which it said nothing readable.
        people: Whose conversations they are.
        encoder: What turns texts into vectors.
        in_service: The classifier that serves now; None where there is none.
        strata: Intent of each conversation; groups are then told apart within strata.
        min_confidence: Confidence in [0, 1] below which a user is ``unknown``.
        learned_from: Rows of the model's that the one in service was trained on.
        remaining: Conversations that the model has not labelled.
        config: How it is done; None for the defaults.
    """
    how = config or DistilConfig()

    def train(rows: list[int]) -> _Trained[DistilledClassifier]:
        classifier, report = train_group_classifier(
            [texts[i] for i in rows],
            [groups[i] for i in rows],
            [people[i] for i in rows],
            encoder,
            strata=None if strata is None else [strata[i] for i in rows],
            min_confidence=min_confidence,
            seed=how.seed,
        )
        return _Trained(classifier, report.reason)

    task = _Task(
        classifier="group",
        true=groups,
        people=people,
        learned_from=learned_from,
        remaining=remaining,
    )
    return _distil(task, train, _classified(texts), in_service, how)


class _Trained(NamedTuple, Generic[N]):
    """A classifier, or why there is none."""

    classifier: N | None
    reason: str


class _Labels(Protocol):
    def classify(self, texts: Sequence[str]) -> list[Label]: ...


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What one of the three distillings is about."""

    classifier: Literal["satisfaction", "intent", "group"]
    true: Sequence[str]
    people: Sequence[str]
    learned_from: int
    remaining: int


def _distil(
    task: _Task,
    train: Callable[[list[int]], _Trained[N]],
    say: Callable[[N | S, list[int]], Said],
    in_service: S | None,
    config: DistilConfig,
) -> Distilled[N]:
    """Train on some people's rows, compare on the others', decide, and say why."""
    if len(task.true) != len(task.people):
        raise UsageError(
            f"{len(task.true)} labels came with {len(task.people)} people; give one of each per row"
        )
    out = [is_held_out(person, config.share) for person in task.people]
    rows = [i for i, held in enumerate(out) if not held]
    held_out = [i for i, held in enumerate(out) if held]
    trained = train(rows)
    new = None if trained.classifier is None else say(trained.classifier, held_out)
    old = None if in_service is None else say(in_service, held_out)
    true, people = [task.true[i] for i in held_out], [task.people[i] for i in held_out]
    more = len(rows) > task.learned_from
    decision = keep_better(new, old, true, people, more=more, seed=config.seed)
    report = DistilReport(
        classifier=task.classifier,
        labelled=len(task.true),
        held_out=len(held_out),
        trained=new is not None,
        kept=decision.kept,
        reason=decision.reason or trained.reason,
        gain_agreement=decision.compared and decision.compared.accuracy.gain,
        gain_macro_f1=decision.compared and decision.compared.macro_f1.gain,
        confidence=config.confidence,
    )
    if held_out:
        kept = {"new": new, "old": old, "none": None}[decision.kept]
        figures = _beside(new, old, true, config) | _served(kept, true, people, task, config)
        report = report.model_copy(update=figures)
    return Distilled(trained.classifier if decision.kept == "new" else None, report)


def _beside(
    new: Said | None, old: Said | None, true: Sequence[str], config: DistilConfig
) -> dict[str, float]:
    """Agreement of both, under the names of the report."""
    figures: dict[str, float] = {}
    for said, suffix in ((new, ""), (old, "_before")):
        if said is not None:
            found = measure(said, true, confidence=config.confidence)
            figures |= {f"agreement{suffix}": found.accuracy, f"macro_f1{suffix}": found.macro_f1}
    return figures


def _served(
    kept: Said | None,
    true: Sequence[str],
    people: Sequence[str],
    task: _Task,
    config: DistilConfig,
) -> dict[str, float | Interval]:
    """What using the classifier without the model saves and costs, under the report's names."""
    if kept is None:
        return {}
    sure = kept.confidence >= config.confidence
    figures: dict[str, float | Interval] = {
        "coverage": float(sure.mean()),
        "calls_saved": round(float(sure.mean()) * task.remaining),
    }
    wrong, theirs = ~agrees(kept, true)[sure], [p for p, s in zip(people, sure, strict=True) if s]
    if theirs:
        figures["cost"] = float(wrong.mean())
    if len(set(theirs)) >= MIN_HELD_OUT:
        figures["cost_interval"] = share_interval(wrong, theirs, seed=config.seed)
    return figures


def _classified(texts: Sequence[str]) -> Callable[[_Labels, list[int]], Said]:
    """What a classifier of texts says of rows; it is never sure of what it does not know."""

    def say(classifier: _Labels, rows: list[int]) -> Said:
        labels = classifier.classify([texts[i] for i in rows])
        confidence = [0.0 if x.value == UNKNOWN else x.confidence for x in labels]
        return Said([x.value for x in labels], np.array(confidence, np.float64))

    return say
