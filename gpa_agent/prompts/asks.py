"""Builders of questions: one for each stage of learning that asks a chat model.

What an operator configured (the taxonomy, the groups) goes into the system text and is the same
for a whole run; everything from a log goes into the JSON object of the user message, quoted. Ids
of people, conversations and turns never enter a text, and in questions that compare two groups
neither do the groups' names: the sides are called ``first`` and ``second``, or ``x`` and ``y``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.prompts.answers import AspectItem
from gpa_agent.prompts.asking import Ask
from gpa_agent.prompts.prompt import PromptName, load
from gpa_agent.prompts.quoting import JSONValue, data_of, quote

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

EARLIER: Final = 4
"""Utterances before the one that was answered that are shown, the latest ones."""

TEXTS: Final = 12
"""Utterances a user's group is told from: the first half and the last half of them."""

SAID: Final = 4_000
"""Characters of an unreadable answer that are shown again."""

EXPERTISE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "novice": (
            "New to the subject. Asks broad, vague or basic questions, sometimes off the point or "
            "resting on a wrong idea of how things work; does not use the subject's terms, or "
            "uses them wrongly, and asks what they mean; is helped by a definition, a plain fact "
            "or a first example."
        ),
        "intermediate": (
            "Knows the basics. Uses some of the subject's terms rightly, but does not carry them "
            "over to new cases; asks general questions out of interest that go beyond "
            "definitions, yet not the specific or intricate ones that need analysis."
        ),
        "expert": (
            "At home in the subject. Uses its special terms exactly and applies its concepts to "
            "cases of their own; weighs methods against each other, reads data, gives reasons, "
            "true facts, examples or sources; asks about consequences, limits and details below "
            "the surface."
        ),
    }
)
"""Levels of expertise, the paper's groups (Group Preference Alignment, Table 15)."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A preference as it is shown."""

    number: int
    """What the model calls it by; unique within a question."""
    pleased: bool
    """Whether the user was pleased with the answer it is about."""
    expectation: str
    """How they wanted it answered."""
    reason: str
    """What pleased or displeased them."""
    count: int = 1
    """How many preferences it stands for."""


class ClaimSides(NamedTuple):
    """A claimed difference, its sides without the groups' names.

    Attributes:
        x: What one side wants.
        y: What the other side wants.
        name: Name of the aspect.
    """

    x: str
    y: str
    name: str


class Exchange(NamedTuple):
    """What a user wrote and what the assistant answered.

    Attributes:
        user: What the user wrote; empty where the assistant spoke first.
        assistant: The answer.
    """

    user: str
    assistant: str


def satisfaction_ask(
    user: str, assistant: str, reply: str, *, earlier: Sequence[str] = (), subject: str
) -> Ask:
    """Was the user pleased with an answer? Answered by `SatisfactionAnswer`.

    Args:
        user: The utterance that was answered.
        assistant: The answer.
        reply: What the user said next, the evidence.
        earlier: The user's utterances before ``user``, oldest first.
        subject: What the question is about, for the ledger.
    """
    return _ask("satisfaction", _turn(user, assistant, reply, earlier), subject=subject)


def intent_ask(text: str, taxonomy: Mapping[str, str], *, subject: str) -> Ask:
    """Which intent has an utterance? Answered by `IntentAnswer`.

    Args:
        text: The utterance.
        taxonomy: What falls under each intent, by name; a description may be "".
        subject: What the question is about, for the ledger.
    """
    return _ask("intent", data_of(text=text), choices=taxonomy, subject=subject)


def group_ask(texts: Sequence[str], groups: Mapping[str, str], *, subject: str) -> Ask:
    """Which group does a user belong to? Answered by `GroupAnswer`.

    Args:
        texts: The user's utterances in a conversation, oldest first.
        groups: Who belongs to each group, by name; a level of `EXPERTISE` whose description is ""
            has the paper's.
        subject: What the question is about, for the ledger.
    """
    half = TEXTS // 2
    shown = [*texts] if len(texts) <= TEXTS else [*texts[:half], *texts[-half:]]
    choices = {name: said or EXPERTISE.get(name, "") for name, said in groups.items()}
    return _ask("group", data_of(texts=shown), choices=choices, subject=subject)


def preference_ask(
    user: str,
    assistant: str,
    reply: str,
    *,
    pleased: bool,
    earlier: Sequence[str] = (),
    subject: str,
) -> Ask:
    """Why did an answer please or displease? Answered by `PreferenceAnswer`.

    Args:
        user: The utterance that was answered.
        assistant: The answer.
        reply: What the user said next, the evidence.
        pleased: Whether the turn was judged SAT (Table 11) or DSAT (Table 12).
        earlier: The user's utterances before ``user``, oldest first.
        subject: What the question is about, for the ledger.
    """
    name: PromptName = "preference_sat" if pleased else "preference_dsat"
    return _ask(name, _turn(user, assistant, reply, earlier), subject=subject)


def aspects_ask(
    first: Sequence[Numbered], second: Sequence[Numbered], aspects: Sequence[AspectItem]
) -> Ask:
    """How do two sides differ? One round of Algorithm 1, answered by `AspectsAnswer`.

    Args:
        first: A minibatch of the first side's preferences.
        second: A minibatch of the second side's preferences.
        aspects: The aspects so far; their numbers are of earlier rounds and not shown.
    """
    so_far: list[JSONValue] = [_aspect(aspect, numbers=False) for aspect in aspects]
    data = data_of(aspects=so_far, first=_preferences(first), second=_preferences(second))
    return _ask("aspects", data)


def merge_ask(*lists: Sequence[AspectItem]) -> Ask:
    """Lists of aspects made one: a tree fold's inner node, answered by `AspectsAnswer`.

    Args:
        lists: Aspects found in one part of the preferences each, with their numbers; two to four.
    """
    shown: list[JSONValue] = [
        [_aspect(aspect, numbers=True) for aspect in aspects] for aspects in lists
    ]
    return _ask("merging", data_of(lists=shown))


def voices_ask(claims: Sequence[ClaimSides], preferences: Sequence[Numbered]) -> Ask:
    """Which preference voices which claim, on which side? Answered by `VoicesAnswer`.

    The question knows no groups, so that an attribution cannot follow them. The claims come first
    in the data: they are the same for all questions about an intent, a prefix to be cached.

    Args:
        claims: The claims; the answer calls them by number, from 1 in this order.
        preferences: Preferences of both sides, mixed.
    """
    shown: list[JSONValue] = [
        {"claim": number, "name": claim.name, "x": claim.x, "y": claim.y}
        for number, claim in enumerate(claims, start=1)
    ]
    return _ask("voices", data_of(claims=shown, preferences=_preferences(preferences)))


def validity_ask(name: str, interpretation: str, guidance: Sequence[str]) -> Ask:
    """May an aspect go into a rubric? Answered by `ValidityAnswer`.

    Args:
        name: Its name.
        interpretation: How the sides differ.
        guidance: What it tells an assistant to do, for each side.
    """
    data = data_of(name=name, interpretation=interpretation, guidance=[*guidance])
    return _ask("validity", data)


def twin_ask(
    question: str,
    answer: str,
    guidance: Sequence[str],
    *,
    earlier: Sequence[Exchange] = (),
    subject: str,
) -> Ask:
    """What would the answer be under other guidance? Answered by `TwinAnswer`.

    The guidance is ours and tells the model what to do, so it stands in the system text, which is
    the same for all turns of one intent and side.

    Args:
        question: The utterance that was answered.
        answer: The answer that was given.
        guidance: What the answer is to be like, one line each; names no group.
        earlier: What was said before, oldest first.
        subject: What the question is about, for the ledger.
    """
    exchanges: list[JSONValue] = [one._asdict() for one in earlier[-EARLIER:]]
    data = data_of(earlier=exchanges, question=question, answer=answer)
    return Ask("twin", load("twin").version, _guided(tuple(guidance)), data, subject)


def repair(ask: Ask, said: str, problem: str) -> list[BaseMessage]:
    """The conversation in which an unreadable answer is asked for once more.

    Args:
        ask: The question.
        said: What the model answered.
        problem: Why that could not be read (the message of `Unreadable`).
    """
    from langchain_core.messages import (  # noqa: PLC0415 -- serving loads no prompt
        AIMessage,
        HumanMessage,
    )

    # Some providers refuse an empty message.
    shown = quote(said, SAID).strip() or "(no text)"
    again = f"{load('repair').instructions}\n\n{data_of(problem=problem)}"
    return [*ask.messages(), AIMessage(shown), HumanMessage(again)]


def _ask(
    name: PromptName,
    data: str,
    *,
    choices: Mapping[str, str] | None = None,
    subject: str | None = None,
) -> Ask:
    system = load(name).instructions if choices is None else _with(name, tuple(choices.items()))
    return Ask(name, load(name).version, system, data, subject)


@lru_cache(maxsize=64)
def _with(name: PromptName, choices: tuple[tuple[str, str], ...]) -> str:
    offered = [*choices, (UNKNOWN, "None of these, or it cannot be told.")]
    listed = data_of(choices=[{"choice": choice, "covers": covers} for choice, covers in offered])
    return f"{load(name).instructions}\n\n# To choose from\n{listed}"


@lru_cache(maxsize=64)
def _guided(guidance: tuple[str, ...]) -> str:
    listed = "\n".join(f"- {line}" for line in guidance)
    return f"{load('twin').instructions}\n\n# Guidance\n{listed}"


def _turn(user: str, assistant: str, reply: str, earlier: Sequence[str]) -> str:
    return data_of(earlier=[*earlier[-EARLIER:]], user=user, assistant=assistant, reply=reply)


def _preferences(preferences: Sequence[Numbered]) -> list[JSONValue]:
    return [asdict(one) for one in preferences]


def _aspect(aspect: AspectItem, *, numbers: bool) -> JSONValue:
    return aspect.model_dump(exclude=None if numbers else {"first", "second"})
