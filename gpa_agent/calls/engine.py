"""What runs questions: many at a time, over one call ledger, with the same answers everywhere.

An engine maps questions to answers (each independent of the others) and drives flows
(questions that depend on earlier answers, as the rounds of Algorithm 1 do). A flow is a
generator that yields questions and is sent their answers: it does no input or output of its
own, so every engine runs the same algorithm.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypeVar

from pydantic import BaseModel

from gpa_agent.prompts.asking import Ask

R = TypeVar("R")


class Answered(NamedTuple):
    """A question and what came of it.

    Attributes:
        ask: The question.
        value: The answer, parsed by the prompt's model; None where none could be had (refused,
            or malformed twice): the caller says ``unknown`` and counts it.
        why: Where ``value`` is None, the reason: ``refused``, ``malformed`` or ``failed`` (the
            call was given up; nothing is stored, so that the next run asks again).
    """

    ask: Ask
    value: BaseModel | None
    why: str | None = None


Flow = Generator[list[Ask], list[Answered], R]
"""Yields questions that may be asked side by side, is sent their answers in the same order."""


class Engine(Protocol):
    """Runs questions; a context manager."""

    @property
    def name(self) -> str:
        """Short name, as in reports: ``asyncio``, ``daft``, ``daft-ray``."""
        ...

    def map(self, asks: Iterable[Ask]) -> Iterator[Answered]:
        """Answer questions, in whatever order they are done; asks are drawn as places free up.

        Raises:
            ModelError: The provider is down, refuses the key, or a limit of the run is reached
                (`BudgetSpent`); every answer that came is in the ledger.
        """
        ...

    def drive(self, flows: Sequence[Flow[R]]) -> list[R]:
        """Run flows side by side to their ends; their results, in order.

        Raises:
            ModelError: As for `map`.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
