"""What a model is asked to label, and what its answers come to: satisfaction, intent, group.

One stream of questions for all three, so that the engine always has something to do; one place
that turns answers into rows. An answer that could not be had is NEITHER or ``unknown``, never
"satisfied"; a call that was given up leaves no row, so that the next run asks again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass
from typing import cast

from gpa_agent.calls.engine import Answered
from gpa_agent.conversations.records import UNKNOWN, Judgment, Label
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import JudgmentRow, LabelKind, LabelRow, Subject, Unlabelled, turn_input
from gpa_agent.prompts import (
    EXPERTISE,
    GroupAnswer,
    IntentAnswer,
    SatisfactionAnswer,
    group_ask,
    intent_ask,
    load,
    satisfaction_ask,
)
from gpa_agent.prompts.asking import Ask
from gpa_agent.prompts.quoting import visible
from gpa_agent.settings import Settings

VERDICTS = {
    "satisfied": Judgment.SAT,
    "dissatisfied": Judgment.DSAT,
    "neither": Judgment.NEITHER,
}
"""What a model's verdict is in the ledger."""
_STORED_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Versions of a model's labels; each changes with whatever could change the labels."""

    satisfaction: str
    intent: str
    group: str


def versions_of(model: str, settings: Settings) -> Versions:
    """The versions of one model's labels under given settings."""
    named = {name: f"{model}/{load(name).version}" for name in ("satisfaction", "intent", "group")}
    taxonomy = _digest([taxonomy_of(settings), settings.min_confidence])
    groups = _digest([groups_of(settings), settings.min_group_confidence])
    return Versions(
        satisfaction=named["satisfaction"],
        intent=f"{named['intent']}/{taxonomy}",
        group=f"{named['group']}/{groups}",
    )


def taxonomy_of(settings: Settings) -> dict[str, str]:
    """The intents a model chooses from: the operator's own, never a name from a log."""
    return {name: intent.description for name, intent in settings.intents.items()}


def groups_of(settings: Settings) -> dict[str, str]:
    """The groups a model chooses from, each with what makes a user one of it.

    Returns:
        Nothing unless every group compared has a description or is a level of expertise: a
        bare name does not tell a model whom it stands for.
    """
    known = {**EXPERTISE, **settings.group_descriptions}
    if not settings.groups or not all(g in known for g in settings.groups):
        return {}
    return {group: known[group] for group in settings.groups}


def taught_kinds(settings: Settings, versions: Versions) -> dict[LabelKind, str]:
    """The kinds of label that a model gives under these settings, with their versions."""
    asked_about: dict[LabelKind, tuple[bool, str]] = {
        "intent": (bool(taxonomy_of(settings)), versions.intent),
        "group": (bool(groups_of(settings)), versions.group),
    }
    return {kind: version for kind, (asked, version) in asked_about.items() if asked}


def label_asks(
    ledger: Ledger, settings: Settings, versions: Versions, *, sampled: Container[str] | None
) -> Iterator[Ask]:
    """Everything a model has to label that it has not labelled yet.

    Args:
        ledger: Where turns, conversations and pairs are.
        settings: Taxonomy and groups.
        versions: The versions that stand.
        sampled: Input ids to ask about; None for all.
    """
    for turns in ledger.turns_to_judge(versions.satisfaction):
        for t in turns:
            subject = turn_input(t.conversation, t.idx)
            if sampled is None or subject in sampled:
                yield satisfaction_ask(
                    t.user, t.assistant, t.reply, earlier=t.earlier, subject=subject
                )
    if taxonomy := taxonomy_of(settings):
        for unlabelled in _unlabelled(ledger, "intent", versions.intent, sampled):
            yield intent_ask(asked(unlabelled), taxonomy, subject=subject_of(unlabelled))
    if groups := groups_of(settings):
        known = ledger.people_groups()
        for unlabelled in _unlabelled(ledger, "group", versions.group, sampled):
            if unlabelled.person not in known:
                # From how they ask, not from how they take the answers: a group that is told from
                # a wish would be found to have that wish.
                yield group_ask([asked(unlabelled)], groups, subject=subject_of(unlabelled))


def _unlabelled(
    ledger: Ledger, kind: LabelKind, version: str, sampled: Container[str] | None
) -> Iterator[Unlabelled]:
    for page in ledger.to_label(kind, version):
        for unlabelled in page:
            if sampled is None or subject_of(unlabelled) in sampled:
                yield unlabelled


def asked(unlabelled: Unlabelled) -> str:
    """What is asked: a conversation's first utterance, a pair's last."""
    return unlabelled.texts[0 if unlabelled.subject == "conversation" else -1]


def subject_of(unlabelled: Unlabelled) -> str:
    """The id under which a question about a conversation or a pair is asked."""
    return f"{unlabelled.subject}:{unlabelled.subject_id}"


class LabelSink:
    """Turns answers into rows of the ledger, in batches.

    Args:
        ledger: Where rows go.
        settings: Taxonomy, groups, and the confidences below which a label is unknown.
        versions: Under which rows are kept.
        source: The model's name.
    """

    def __init__(
        self, ledger: Ledger, settings: Settings, versions: Versions, *, source: str
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._versions = versions
        self._source = source
        self._judgments: list[JudgmentRow] = []
        self._labels: list[LabelRow] = []
        self.done: Counter[str] = Counter()
        """Rows by prompt."""
        self.unknown: Counter[str] = Counter()
        """Of these, NEITHER or unknown."""

    def add(self, answered: Answered) -> None:
        """Take an answer."""
        if answered.why == "failed":
            return
        if answered.ask.prompt == "satisfaction":
            self._judge(answered)
        else:
            self._label(answered)
        if len(self._judgments) + len(self._labels) >= _STORED_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Store what is waiting."""
        self._ledger.add_judgments(self._judgments)
        self._ledger.add_labels(self._labels)
        self._judgments, self._labels = [], []

    def _judge(self, answered: Answered) -> None:
        conversation, idx = turn_of(answered.ask)
        verdict = cast("SatisfactionAnswer | None", answered.value)
        judgment = VERDICTS[verdict.verdict] if verdict else Judgment.NEITHER
        confidence = verdict.confidence / 100 if verdict else 0.0
        self._count("satisfaction", judgment is Judgment.NEITHER)
        self._judgments.append(
            JudgmentRow(
                conversation, idx, judgment, confidence, self._source, self._versions.satisfaction
            )
        )

    def _label(self, answered: Answered) -> None:
        kind = cast("LabelKind", answered.ask.prompt)
        subject, _, subject_id = (answered.ask.subject or "").partition(":")
        found = self._read(kind, answered)
        version = self._versions.intent if kind == "intent" else self._versions.group
        self._count(kind, found.value == UNKNOWN)
        self._labels.append(
            LabelRow(
                cast("Subject", subject), subject_id, kind, found.value, found.confidence,
                found.source, version,
            )
        )  # fmt: skip

    def _read(self, kind: LabelKind, answered: Answered) -> Label:
        """The label an answer names, or unknown where it is none of ours or not sure enough."""
        if isinstance(answered.value, IntentAnswer):
            value, confidence = answered.value.intent, answered.value.confidence / 100
        elif isinstance(answered.value, GroupAnswer):
            value, confidence = answered.value.group, answered.value.confidence / 100
        else:
            return Label(UNKNOWN, 0.0, self._source)
        s = self._settings
        ours: Collection[str] = s.intents if kind == "intent" else s.groups
        least = s.min_confidence if kind == "intent" else s.min_group_confidence
        # The model saw the names as they are quoted.
        name = {visible(name): name for name in ours}.get(value)
        known = UNKNOWN if name is None or confidence < least else name
        return Label(known, confidence, self._source)

    def _count(self, prompt: str, unknown: bool) -> None:
        self.done[prompt] += 1
        self.unknown[prompt] += unknown


def turn_of(ask: Ask) -> tuple[str, int]:
    """Conversation and position of the turn a question is about."""
    conversation, _, idx = (ask.subject or "").removeprefix("t:").rpartition(":")
    return conversation, int(idx)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
