"""What goes into the ledger and comes out of it, as named tuples.

The ledger lies below understanding and rubrics, so these are its own plain types: callers
turn a :class:`PendingTurn` into what their reader takes and a :class:`StoredRubric`'s body
into their rubric model.

Input ids name one text that a stage measures: ``t:<conversation>:<idx>`` is the answer of a
turn, ``c:<pair>`` and ``r:<pair>`` are the chosen and the rejected answer of a pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gpa_agent.conversations.records import Judgment

Subject = Literal["conversation", "pair"]
LabelKind = Literal["intent", "group"]
Outcome = Literal["added", "extended", "unchanged", "conflict"]


def turn_input(conversation: str, idx: int) -> str:
    """The input id of a turn's answer."""
    return f"t:{conversation}:{idx}"


def chosen_input(pair: str) -> str:
    """The input id of a pair's chosen answer."""
    return f"c:{pair}"


def rejected_input(pair: str) -> str:
    """The input id of a pair's rejected answer."""
    return f"r:{pair}"


class PendingTurn(NamedTuple):
    """An answered turn that the user's next utterance may judge.

    Attributes:
        conversation: Id of the conversation.
        idx: Position of the turn in it, from 0.
        user: The utterance that was answered.
        assistant: The answer to be judged.
        reply: The user's next utterance.
        earlier: The user's utterances before ``user``, oldest first; at most the last twenty.
        last: Whether ``reply`` is the last thing said in the conversation.
    """

    conversation: str
    idx: int
    user: str
    assistant: str
    reply: str
    earlier: tuple[str, ...]
    last: bool


class JudgmentRow(NamedTuple):
    """A reader's judgment of a turn, to be stored.

    Attributes:
        conversation: Id of the conversation.
        idx: Position of the turn.
        judgment: What the reader found, NEITHER included (so that it is not asked again).
        confidence: In [0, 1].
        source: ``cues``, ``classifier`` or a model name.
        version: The reader's version; a turn is offered again when it differs.
    """

    conversation: str
    idx: int
    judgment: Judgment
    confidence: float
    source: str
    version: str


class JudgedBy(NamedTuple):
    """A turn with what a reader said of it, to learn from.

    Attributes:
        turn: Its texts.
        judgment: What the reader said.
        confidence: In [0, 1].
        source: ``cues``, ``classifier`` or a model name.
        person: Keyed hash of the person, where known.
    """

    turn: PendingTurn
    judgment: Judgment
    confidence: float
    source: str
    person: str | None


class Unlabelled(NamedTuple):
    """A conversation or pair whose record names no intent (or no group).

    Attributes:
        subject: ``conversation`` or ``pair``.
        subject_id: Its id.
        texts: What the user said in it, in order; never empty strings.
        person: Keyed hash of the person, where known.
    """

    subject: Subject
    subject_id: str
    texts: tuple[str, ...]
    person: str | None


class LabelRow(NamedTuple):
    """An inferred intent or group, to be stored.

    Attributes:
        subject: ``conversation`` or ``pair``.
        subject_id: Its id.
        kind: ``intent`` or ``group``.
        value: The name, or ``unknown``.
        confidence: In [0, 1].
        source: Who inferred it.
        version: The classifier's version; the subject is offered again when it differs.
    """

    subject: Subject
    subject_id: str
    kind: LabelKind
    value: str
    confidence: float
    source: str
    version: str


class LabelledText(NamedTuple):
    """A conversation or pair whose record names the intent (or group), for training.

    Attributes:
        texts: What the user said, in order.
        label: The name the record gives, or a trusted classifier.
        person: Keyed hash of the person, where known (so that folds are split by person).
        intent: The intent the record names, where it does.
    """

    texts: tuple[str, ...]
    label: str
    person: str | None
    intent: str | None


class AnswerText(NamedTuple):
    """A judged answer that a stage has not measured yet.

    Attributes:
        input_id: ``t:...``, ``c:...`` or ``r:...``.
        prompt: The user utterance that was answered.
        answer: The answer.
    """

    input_id: str
    prompt: str
    answer: str


class JudgedRow(NamedTuple):
    """A judged answer, or a pair, with what a stage measured on it.

    Attributes:
        kind: ``turn`` or ``pair``.
        subject_id: Id of the conversation or the pair.
        idx: Position of the turn; 0 for a pair.
        person: Keyed hash of the person, where known.
        group: The record's group, else the inferred one, else None.
        intent: The record's intent, else the inferred one, else None.
        judgment: SAT or DSAT; SAT for a pair (of its chosen side).
        confidence: In [0, 1]; 1 for explicit judgments and pairs.
        value: The stage result of the answer; of the chosen side for a pair.
        rejected: The stage result of the rejected side of a pair.
        at: When the answer was given, where known.
        served: The turn's trace (`Plan.trace`), where it was answered through us.
    """

    kind: Literal["turn", "pair"]
    subject_id: str
    idx: int
    person: str | None
    group: str | None
    intent: str | None
    judgment: Judgment
    confidence: float
    value: bytes
    rejected: bytes | None
    at: datetime | None = None
    served: Mapping[str, Any] | None = None


class JudgedText(NamedTuple):
    """A turn that pleased or displeased, with its texts, to be explained.

    Attributes:
        input_id: ``t:<conversation>:<idx>``; goes back in ``seen`` of ``add_preferences``.
        turn: The texts; ``reply`` is empty where the user said nothing more.
        judgment: SAT or DSAT.
        confidence: In [0, 1].
        source: Where the judgment came from.
    """

    input_id: str
    turn: PendingTurn
    judgment: Judgment
    confidence: float
    source: str


class HeardRow(NamedTuple):
    """A judged turn that was explained, with the preference that was read from it.

    Attributes:
        conversation: Id of the conversation.
        idx: Position of the turn.
        person: Keyed hash of the person, where known.
        group: The record's group, else the inferred one, else None.
        intent: The record's intent, else the inferred one, else None.
        judgment: SAT or DSAT.
        preference: Id of the preference; None where the turn voiced nothing.
        expectation: What the user wanted; None where the turn voiced nothing.
        reason: Why it is thought so; None where the turn voiced nothing.
        at: When the answer was given, where known.
        served: The turn's trace (`Plan.trace`), where it was answered through us.
    """

    conversation: str
    idx: int
    person: str | None
    group: str | None
    intent: str | None
    judgment: Judgment
    preference: str | None
    expectation: str | None
    reason: str | None
    at: datetime | None = None
    served: Mapping[str, Any] | None = None


class PreferenceRow(NamedTuple):
    """Why an answer pleased or not, as a stage read it.

    Attributes:
        id: Unique and deterministic: reading the same turn again gives the same.
        subject: ``conversation`` or ``pair``.
        subject_id: Its id.
        idx: Position of the turn; 0 for a pair.
        polarity: 1 for what pleased, -1 for what did not.
        expectation: What the user wanted, in a phrase.
        reason: Why it is thought so.
        cues: What it was read from; JSON.
        source: Which reader or model.
    """

    id: str
    subject: Subject
    subject_id: str
    idx: int
    polarity: int
    expectation: str
    reason: str
    cues: tuple[str, ...]
    source: str


class CallRow(NamedTuple):
    """One paid call to a chat model, with its answer.

    Attributes:
        key: SHA-256 of everything that could change the answer; 64 hexadecimal digits.
        model: Name of the model.
        prompt: Name of the prompt.
        version: Version of the prompt.
        subject: What was asked about: an input id, ``conversation:<id>`` or ``pair:<id>``; None
            where several people's preferences were in the question.
        answer: What the model said.
        finish_reason: Why it stopped: ``stop``, ``length``, ``content_filter``, ``refusal``, or
            what else the provider says.
        input_tokens: Tokens sent, cached ones included.
        output_tokens: Tokens answered.
        cached_tokens: Tokens of the input that the provider had cached.
        cost: In US dollars; None where the price is not known.
    """

    key: str
    model: str
    prompt: str
    version: str
    subject: str | None
    answer: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None


class ContrastRow(NamedTuple):
    """One contrast tested in a run.

    Attributes:
        intent: The intent.
        group: First-named group.
        other: Second group or ``*``.
        tested: How many hypotheses were tested in it.
        summary: JSON.
    """

    intent: str
    group: str
    other: str
    tested: int
    summary: Mapping[str, Any]


class AspectRow(NamedTuple):
    """One aspect a run found.

    Attributes:
        intent: The intent.
        group: First-named group.
        other: Second group or ``*``.
        name: Name of the aspect, unique in the contrast.
        status: ``candidate``, ``approved``, ``live`` or ``retired``.
        body: ``Aspect.model_dump(mode="json")``.
    """

    intent: str
    group: str
    other: str
    name: str
    status: str
    body: Mapping[str, Any]


class RunRow(NamedTuple):
    """One run of learning with all it found.

    Attributes:
        id: Unique; later runs need not sort later, the latest is the one saved last.
        started: Timezone-aware.
        finished: Timezone-aware.
        settings: JSON of the settings it ran under.
        summary: JSON of its report.
        contrasts: What was compared.
        aspects: What was found, whatever its status.
    """

    id: str
    started: datetime
    finished: datetime
    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    contrasts: tuple[ContrastRow, ...] = ()
    aspects: tuple[AspectRow, ...] = ()


class StoredRubric(NamedTuple):
    """One version of a rubric.

    Attributes:
        intent: The intent.
        group: First-named group.
        other: Second group or ``*``.
        version: From 1, growing with every publication of this (intent, contrast).
        status: ``live`` or ``retired``.
        created_at: When it was published.
        reason: Why it was published or retired.
        body: ``Rubric.model_dump(mode="json")`` with this version in it.
    """

    intent: str
    group: str
    other: str
    version: int
    status: Literal["live", "retired"]
    created_at: datetime
    reason: str
    body: dict[str, Any]
