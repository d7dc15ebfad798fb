"""Flows side by side: whose turn it is to ask, and whose round is complete."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from gpa_agent.calls.engine import Answered, Flow

if TYPE_CHECKING:
    from gpa_agent.prompts.asking import Ask

R = TypeVar("R")


class Place(NamedTuple):
    """Where an answer belongs.

    Attributes:
        flow: Which flow asks; 0 in a map.
        position: Which question of its round.
    """

    flow: int
    position: int


class Drawn(NamedTuple):
    """A question, and where its answer belongs."""

    place: Place
    ask: Ask


class Rounds(Generic[R]):
    """Flows, each at one of its rounds: what it asked and the answers so far."""

    def __init__(self, flows: Sequence[Flow[R]]) -> None:
        self._flows = flows
        self._waiting: deque[Drawn] = deque()
        self._answers: dict[int, dict[int, Answered]] = {}
        self._asked: dict[int, int] = {}
        self._results: dict[int, R] = {}

    def begin(self) -> None:
        """Let every flow ask its first round."""
        for number in range(len(self._flows)):
            self._step(number, None)

    def draw(self) -> Drawn | None:
        """The next question of any flow; None while all wait for answers."""
        return self._waiting.popleft() if self._waiting else None

    def take(self, place: Place, answered: Answered) -> None:
        """Take an answer in; a flow whose round is complete goes on."""
        answers = self._answers[place.flow]
        answers[place.position] = answered
        if len(answers) == self._asked[place.flow]:
            self._step(place.flow, [answers[i] for i in range(len(answers))])

    def results(self) -> list[R]:
        """What the flows returned, in order."""
        return [self._results[number] for number in range(len(self._flows))]

    def _step(self, number: int, answers: list[Answered] | None) -> None:
        flow = self._flows[number]
        try:
            asks = next(flow) if answers is None else flow.send(answers)
            while not asks:
                asks = flow.send([])
        except StopIteration as end:
            self._results[number] = end.value
            return
        self._answers[number], self._asked[number] = {}, len(asks)
        self._waiting += [Drawn(Place(number, i), ask) for i, ask in enumerate(asks)]
