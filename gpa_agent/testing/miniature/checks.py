"""What can be checked about an answer of the miniature: whom it pleases, and if it makes sense.

Tastes are planted (`TASTES`) and a feature counts wherever its opening words stand, so the score
of a group looks at style alone: text that has fallen apart can still score. Whether it makes
sense is another question, and a strict one: every line has to be the asked task's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from gpa_agent.errors import UsageError
from gpa_agent.testing.miniature.domain import Feature, openers, segments, task_of

if TYPE_CHECKING:
    from gpa_agent.alignment.pair import Pair, Said

TASTES: Final[Mapping[str, Mapping[Feature, int]]] = {
    "novice": {"analogy": 1, "steps": 1, "code": -1, "jargon": -1, "warmth": 1},
    "expert": {"analogy": -1, "steps": -1, "code": 1, "jargon": 1, "warmth": -1},
}
"""Group to what it wants (1) and does not want (-1): what pleases one displeases the other."""

_MARKS: Final[Mapping[Feature, re.Pattern[str]]] = {
    "analogy": re.compile(r"\bIt is like\b"),
    "steps": re.compile(r"\bFirst,.*\bThen\b"),
    "code": re.compile(r"`"),
    "jargon": re.compile(r"\bMind the latency\b"),
    "warmth": re.compile(r"\bTake your time\b"),
}


class _Asked(Protocol):
    @property
    def prompt(self) -> tuple[Said, ...]: ...


class Checks:
    """Judges answers of the miniature and tells whether they make sense.

    Fits `gpa_agent.alignment.gating.judging`'s ``Judge`` and ``CoherenceCheck``; simulated, and no
    judge of anything but the miniature.
    """

    def score(
        self,
        asked: Sequence[_Asked],  # noqa: ARG002 -- the protocol's; here tastes are the same for all
        answers: Sequence[str],
        group: str,
    ) -> list[float]:
        """How well answers fit a group's taste.

        Args:
            asked: What each of them answers; the taste is the same for all of it.
            answers: Texts.
            group: ``novice`` or ``expert``.

        Returns:
            A share in [0, 1] for each answer; see `score`.
        """
        return [score(answer, group) for answer in answers]

    def coherent(self, asked: Sequence[_Asked], answers: Sequence[str]) -> list[bool]:
        """Whether each answer makes sense as an answer to what was asked.

        Args:
            asked: What each of them answers.
            answers: Texts.
        """
        return [
            coherent(what.prompt[-1].content, answer)
            for what, answer in zip(asked, answers, strict=True)
        ]


class Tally(NamedTuple):
    """Shares of answers compared pair by pair; they add up to 1.

    Attributes:
        win: The first answer fits better.
        tie: Both fit the same.
        loss: The second fits better.
    """

    win: float
    tie: float
    loss: float


def features(text: str) -> frozenset[Feature]:
    """The features of a text, whether or not it makes sense.

    Args:
        text: An answer.
    """
    return frozenset(feature for feature, mark in _MARKS.items() if mark.search(text))


def score(text: str, group: str) -> float:
    """The share of a group's five wishes that a text fulfils.

    Args:
        text: An answer.
        group: ``novice`` or ``expert``.

    Returns:
        In [0, 1], higher is better; 1 has all that the group wants and nothing else that it
        minds.

    Raises:
        UsageError: The miniature has no such group.
    """
    if group not in TASTES:
        raise UsageError(f"group {group!r} is not one of the miniature's {list(TASTES)!r}")
    found = features(text)
    wishes = TASTES[group]
    return sum((f in found) == (sign > 0) for f, sign in wishes.items()) / len(wishes)


def coherent(prompt: str, text: str) -> bool:
    """Whether a text is an answer to a prompt and nothing else.

    Args:
        prompt: What was asked.
        text: The answer.

    Returns:
        Whether it opens by naming the asked task and goes on with segments of that task, each
        at most once, to the last letter.
    """
    task = task_of(prompt)
    if task is None:
        return False
    opening = next((o for o in openers(task).values() if text.startswith(o)), None)
    if opening is None:
        return False
    rest, left = text[len(opening) :], set(segments(task).values())
    while rest:
        found = next((words for words in left if rest.startswith(f" {words}")), None)
        if found is None:
            return False
        left.remove(found)
        rest = rest[len(found) + 1 :]
    return True


def compare(first: Sequence[float], second: Sequence[float]) -> Tally:
    """Count how often the first of two scores is higher.

    Args:
        first: Scores; at least one. -inf for an answer that makes no sense lets it lose.
        second: Scores of the answers it is compared with.
    """
    pairs = list(zip(first, second, strict=True))
    win, loss = (sum(a > b for a, b in pairs), sum(a < b for a, b in pairs))
    n = len(pairs)
    return Tally(win / n, (n - win - loss) / n, loss / n)


def flipped_share(pairs: Sequence[Pair]) -> float:
    """The share of pairs whose rejected answer fits the group better than the chosen one.

    Args:
        pairs: Pairs of the miniature; none gives 0.
    """
    wrong = sum(
        score(p.chosen[0].content, p.group) < score(p.rejected[0].content, p.group) for p in pairs
    )
    return wrong / max(len(pairs), 1)
