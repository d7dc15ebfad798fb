"""Which answers get a twin, with whose guidance, and the pair that comes of it.

Algorithm 4 of Group Preference Alignment (arXiv 2503.08035): of a judged turn, an answer that
pleased is the chosen one, and its rejected twin is the answer generated again with the opposing
group's guidance; one that displeased is the rejected one, and its chosen twin is written with
the own group's. Where the rubric holds no guidance for that side, there is no pair: learned
rubrics hold none for "everybody else", so that a contrast against it makes pairs of displeasing
answers only.

An answer that we tailored is still an answer that pleased or did not, so it counts as any other.
One exception: where it was given under the own group's guidance and displeased all the same, a
twin under that guidance would differ from it in nothing the rubric knows of, and teach at random.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from gpa_agent.alignment.pair import Pair, Said, Split
from gpa_agent.conversations.records import UNKNOWN, Judgment, Message
from gpa_agent.learning.blocks import block_of
from gpa_agent.ledger.answers import JudgedAnswer, RecordedPair
from gpa_agent.ledger.rows import turn_input
from gpa_agent.prompts import Ask, Exchange, twin_ask
from gpa_agent.prompts.quoting import LIMITS
from gpa_agent.rubrics.guidance import guidance_lines, wishes
from gpa_agent.rubrics.records import EVERYBODY_ELSE, Rubric

Skipped = Literal[
    "unsure",
    "no_group",
    "other_group",
    "no_intent",
    "no_rubric",
    "no_guidance",
    "own_guidance",
    "no_question",
    "too_long",
    "empty",
    "duplicate",
    "over_cap",
    "no_model",
    "forgotten",
    "unbalanced",
]
"""Why a judged turn or a recorded pair makes no pair.

``unsure``: the judgment's confidence is too low. ``no_group``, ``no_intent``: nobody could tell.
``other_group``: one that is not compared, or was not asked for. ``no_rubric``: nothing is live
for its intent and group. ``no_guidance``: the rubric says nothing for the side that is needed.
``own_guidance``: it displeased though it was given under that guidance. ``no_question``: no
utterance of a user comes before it. ``too_long``: it cannot be shown whole. ``empty``: nothing is
left of it without our own words. ``duplicate``: the same was there already. ``over_cap``: of a
person who has enough. ``no_model``: no chat model is configured. ``forgotten``: the person was
forgotten meanwhile. ``unbalanced``: left out to balance lengths.
"""

SHOWN_QUESTION: Final = LIMITS["question"]
SHOWN_ANSWER: Final = LIMITS["answer"]
"""Characters of a question and an answer that a writer is shown whole."""


class Placed(NamedTuple):
    """What is known of a turn or pair: whose it is and what about.

    Attributes:
        group: The group.
        intent: The intent.
    """

    group: str
    intent: str


class Guided(NamedTuple):
    """What a twin is written by.

    Attributes:
        guidance: One line each; names no group.
        version: Of the rubric it is from.
        wishes: What its aspects ask for, by name (`gpa_agent.rubrics.guidance.wishes`).
    """

    guidance: tuple[str, ...]
    version: int
    wishes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A judged turn for which a twin is to be written."""

    turn: JudgedAnswer
    placed: Placed
    guided: Guided
    prompt: tuple[Said, ...]
    """The conversation before the answer, as chat templates take it."""

    @property
    def subject(self) -> str:
        """What it is called in the ledger."""
        return turn_input(self.turn.conversation, self.turn.idx)

    @property
    def owner(self) -> str:
        """Whose it is: a person, or where nobody is named the conversation."""
        return self.turn.person or self.turn.conversation


class Sides:
    """Live rubrics by the groups they speak of.

    Args:
        live: The live rubrics.
    """

    def __init__(self, live: Iterable[Rubric]) -> None:
        self._rubrics: defaultdict[tuple[str, str], list[Rubric]] = defaultdict(list)
        # The one that names a group first comes first, then the ones against a named group.
        ordered = sorted(live, key=lambda r: (r.contrast.other == EVERYBODY_ELSE, r.contrast.group))
        for rubric in ordered:
            self._rubrics[rubric.intent, rubric.contrast.group].append(rubric)
        for rubric in ordered:
            if rubric.contrast.other != EVERYBODY_ELSE:
                self._rubrics[rubric.intent, rubric.contrast.other].append(rubric)

    def guided(self, placed: Placed, judgment: Judgment) -> Guided | Skipped:
        """What the twin of an answer is written by.

        Args:
            placed: Whose answer it is and what about.
            judgment: SAT asks for the opposing group's guidance, DSAT for the own.

        Returns:
            The guidance of the first rubric that has some for that side, or why there is none.
        """
        rubrics = self._rubrics.get((placed.intent, placed.group), [])
        for rubric in rubrics:
            group, other = rubric.contrast.group, rubric.contrast.other
            opposing = other if placed.group == group else group
            side = placed.group if judgment is Judgment.DSAT else opposing
            if lines := guidance_lines(rubric, side):
                return Guided(lines, rubric.version, tuple(sorted(wishes(rubric, side))))
        return "no_guidance" if rubrics else "no_rubric"


def prompt_of(said: Sequence[Message]) -> tuple[Said, ...]:
    """A conversation as chat templates take it: the user begins, and nobody speaks twice in a row.

    Args:
        said: Messages of users and assistants.

    Returns:
        What was said from the first utterance on; neighbours of one role are joined by a blank
        line. Many templates refuse anything else (Gemma's, Mistral's).
    """
    prompt: list[Said] = []
    for message in said:
        if not prompt and message.role == "assistant":
            continue
        role: Literal["user", "assistant"] = "user" if message.role == "user" else "assistant"
        joined = prompt.pop().content + "\n\n" if prompt and prompt[-1].role == role else ""
        prompt.append(Said(role=role, content=joined + message.content))
    return tuple(prompt)


def candidate(
    turn: JudgedAnswer, placed: Placed, sides: Sides, *, min_confidence: float
) -> Candidate | Skipped:
    """Whether a judged turn gets a twin.

    Args:
        turn: The turn.
        placed: Its group and intent.
        sides: What is live.
        min_confidence: Least confidence of the judgment, in [0, 1].
    """
    prompt = prompt_of(turn.said)
    question = prompt[-1].content if turn.asked.strip() else ""
    unfit: dict[Skipped, bool] = {
        "no_intent": placed.intent == UNKNOWN,
        "unsure": turn.confidence < min_confidence,
        "no_question": not question,
        "empty": not turn.answer.strip(),
        "too_long": len(question) > SHOWN_QUESTION or len(turn.answer) > SHOWN_ANSWER,
    }
    if any(unfit.values()):
        return next(reason for reason, holds in unfit.items() if holds)
    guided = sides.guided(placed, turn.judgment)
    if isinstance(guided, str):
        return guided
    block = block_of(turn.served)
    if turn.judgment is Judgment.DSAT and block is not None and block.group == placed.group:
        return "own_guidance"
    return Candidate(turn=turn, placed=placed, guided=guided, prompt=prompt)


def ask_for(one: Candidate) -> Ask:
    """The question whose answer is the twin."""
    return twin_ask(
        one.prompt[-1].content,
        one.turn.answer,
        one.guided.guidance,
        earlier=_exchanges(one.prompt[:-1]),
        subject=one.subject,
    )


def pair_of(one: Candidate, twin: str, *, generator: str, split: Split) -> Pair:
    """The pair of an answer and its twin.

    Args:
        one: The judged turn.
        twin: The twin's text.
        generator: Who wrote it.
        split: The part its person is in.
    """
    pleased = one.turn.judgment is Judgment.SAT
    chosen, rejected = (one.turn.answer, twin) if pleased else (twin, one.turn.answer)
    return Pair(
        prompt=one.prompt,
        chosen=_spoken(chosen),
        rejected=_spoken(rejected),
        subject=one.subject,
        person=one.turn.person,
        group=one.placed.group,
        intent=one.placed.intent,
        judgment=1 if pleased else -1,
        rubric_version=one.guided.version,
        wishes=one.guided.wishes,
        generator=generator,
        split=split,
    )


def recorded(pair: RecordedPair, placed: Placed, *, split: Split) -> Pair | Skipped:
    """A preference pair of the log, as it is.

    Args:
        pair: The pair.
        placed: Its group and intent.
        split: The part its person is in.
    """
    if not pair.prompt or pair.prompt[-1].role != "user":
        return "no_question"
    if not pair.chosen.strip() or not pair.rejected.strip() or pair.chosen == pair.rejected:
        return "empty"
    return Pair(
        prompt=tuple(Said.model_validate(message._asdict()) for message in pair.prompt),
        chosen=_spoken(pair.chosen),
        rejected=_spoken(pair.rejected),
        subject=f"pair:{pair.id}",
        person=pair.person,
        group=placed.group,
        intent=placed.intent,
        split=split,
    )


def place(
    group: str | None, intent: str | None, *, groups: frozenset[str] | None
) -> Placed | Skipped:
    """Whose a turn or pair is and what about.

    Args:
        group: As the ledger has it.
        intent: As the ledger has it; what has none is of an intent that no rubric has.
        groups: The groups that get pairs; None for all.
    """
    if group in (None, UNKNOWN):
        return "no_group"
    if groups is not None and group not in groups:
        return "other_group"
    return Placed(group, intent or UNKNOWN)


def _exchanges(said: Sequence[Said]) -> list[Exchange]:
    """The turns of a prompt; users and assistants take turns in it."""
    texts = [message.content for message in said]
    return [Exchange(*two) for two in zip(texts[::2], texts[1::2], strict=True)]


def _spoken(text: str) -> tuple[Said]:
    return (Said(role="assistant", content=text),)
