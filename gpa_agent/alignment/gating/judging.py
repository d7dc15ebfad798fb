"""Who says which of two answers a group would rather have.

A judge scores answers; two answers to one prompt are compared by their scores. The default needs no
model: it measures the answer's traits and adds up what the live rubric items say about them. It
looks at style alone, so that fluent nonsense in the right style wins: the gate asks
`gpa_agent.alignment.gating.coherence` beside it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.errors import ModelError, UsageError
from gpa_agent.rubrics.records import Rubric
from gpa_agent.rubrics.snapshot import build_snapshot
from gpa_agent.rubrics.traits import catalogue, measure

Floats = NDArray[np.float64]

_VARIES: Final = 1e-6
"""Spread below which a trait is the same in all examples, and says nothing."""


class Asked(NamedTuple):
    """What an answer answers.

    Attributes:
        prompt: The conversation up to and including the user's last message.
        intent: What the user is after.
    """

    prompt: tuple[Said, ...]
    intent: str


class Judge(Protocol):
    """Says how well answers fit a group's wishes."""

    def score(self, asked: Sequence[Asked], answers: Sequence[str], group: str) -> list[float]:
        """One finite number an answer; higher is better, and only answers to one prompt compare."""
        ...


@runtime_checkable
class CoherenceCheck(Protocol):
    """What a judge may offer too: a check whether answers make sense at all."""

    def coherent(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[bool]:
        """One verdict an answer."""
        ...


@runtime_checkable
class Margin(Protocol):
    """What a judge may offer too: from where on a difference counts."""

    @property
    def margin(self) -> float:
        """Scores no farther apart than this are a tie; 0 where a judge does not say."""
        ...


class RubricJudge:
    """Scores an answer by what the group's live rubric items say about its traits.

    The score is the sum over the live items that guide the group in the intent: the item's signed
    effect (log-odds of SAT a standard deviation) times the answer's trait in standard deviations.
    Items that are no trait of the catalogue (what a model claimed) cannot be measured and do
    not count.

    Args:
        rubrics: Rubrics; only their live items count.
        examples: Answers from which each trait's standard deviation is taken; a trait that does
            not vary among them does not count.
        margin: Scores no farther apart than this, in log-odds, are a tie.

    Example:
        >>> judge = RubricJudge([], examples=[("Why?", "Because."), ("Why?", "- It might.")])
        >>> judge.score([Asked((Said(role="user", content="Why?"),), "howto")], ["So."], "novice")
        [0.0]
    """

    def __init__(
        self,
        rubrics: Iterable[Rubric],
        *,
        examples: Iterable[tuple[str, str]],
        margin: float = 0.1,
    ) -> None:
        self.margin = margin
        self._rubrics = build_snapshot(rubrics, {}, revision=0)
        self._columns = {trait.name: column for column, trait in enumerate(catalogue())}
        measured = [measure(prompt, answer) for prompt, answer in examples]
        spread = np.std(measured, axis=0) if measured else np.zeros(len(self._columns))
        self._scale = np.divide(1.0, spread, out=np.zeros(len(spread)), where=spread > _VARIES)

    def score(self, asked: Sequence[Asked], answers: Sequence[str], group: str) -> list[float]:
        """Score answers for a group; 0 where its rubric has no measurable item in the intent."""
        return [
            float(self._weights(what.intent, group) @ measure(what.prompt[-1].content, answer))
            for what, answer in zip(asked, answers, strict=True)
        ]

    def _weights(self, intent: str, group: str) -> Floats:
        """(T,) log-odds a unit of each trait."""
        weights = np.zeros(len(self._columns))
        rubric = self._rubrics.rubric(intent=intent, group=group)
        for aspect in rubric.aspects if rubric is not None else ():
            column = self._columns.get(aspect.name)
            served = aspect.status == "live" and group in aspect.guidance
            if rubric is not None and served and column is not None and aspect.evidence is not None:
                sign = 1.0 if rubric.contrast.group == group else -1.0
                weights[column] += sign * aspect.evidence.effect
        return weights * self._scale


def load_judge(spec: str | None, *, rubrics: Iterable[Rubric], pairs: Iterable[Pair]) -> Judge:
    """The judge that is named, or the default one.

    Args:
        spec: ``package.module:attribute`` of a judge, or of what makes one when called without
            arguments; it is imported and run, so it must come from the operator alone. None is
            `RubricJudge`.
        rubrics: The rubrics of the groups, for the default.
        pairs: Pairs of all groups; the default takes the traits' spread from their answers.

    Raises:
        UsageError: There is nothing of that name, or it is no judge.
    """
    if spec is None:
        examples = (
            (pair.prompt[-1].content, answer[0].content)
            for pair in pairs
            for answer in (pair.chosen, pair.rejected)
        )
        return RubricJudge(rubrics, examples=examples)
    judge = named(spec, "judge", is_one=lambda found: hasattr(found, "score"))
    if not callable(getattr(judge, "score", None)):
        raise UsageError(f"{spec!r} is no judge: it needs score(asked, answers, group)")
    checked: Judge = judge
    return checked


def named(spec: str, what: str, *, is_one: Callable[[Any], bool]) -> Any:  # noqa: ANN401 -- the operator's
    """What a setting names, or where that makes one, what it makes when called without arguments.

    Args:
        spec: ``package.module:attribute``; it is imported and run.
        what: What it is to be, for the message.
        is_one: Whether a thing, no class, is one already.

    Raises:
        UsageError: There is nothing of that name, or it makes nothing.
    """
    module, _, attribute = spec.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
        return found if is_one(found) and not isinstance(found, type) else found()
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise UsageError(
            f"there is no {what} {spec!r} ({exc}); name one as 'package.module:attribute'"
        ) from exc


def scores(judge: Judge, asked: Sequence[Asked], answers: Sequence[str], group: str) -> Floats:
    """Ask a judge, and hold it to its promise.

    Args:
        judge: The judge.
        asked: What each answer answers.
        answers: Texts.
        group: For whom.

    Returns:
        (n,) finite scores.

    Raises:
        ModelError: It gives another number of scores, or one that is not finite.
    """
    given = np.asarray(judge.score(asked, answers, group), dtype=np.float64)
    if given.shape != (len(answers),) or not np.isfinite(given).all():
        raise ModelError(
            f"the judge {type(judge).__name__!r} must give one finite score an answer; to "
            f"{len(answers)} answers it gave {int(np.isfinite(given).sum())}"
        )
    return given


def margin_of(judge: Judge) -> float:
    """From where on a judge's differences count."""
    return judge.margin if isinstance(judge, Margin) else 0.0


def verdicts_of(
    judge: Judge, asked: Sequence[Asked], answers: Sequence[str]
) -> NDArray[np.bool_] | None:
    """What a judge's own check says about answers, or None where it has none.

    Raises:
        ModelError: It gives another number of verdicts.
    """
    if not isinstance(judge, CoherenceCheck):
        return None
    given = np.asarray(judge.coherent(asked, answers), dtype=np.bool_)
    if given.shape != (len(answers),):
        raise ModelError(
            f"the judge {type(judge).__name__!r} must say of each answer whether it is coherent; "
            f"of {len(answers)} answers it gave {given.shape!r}"
        )
    return given
