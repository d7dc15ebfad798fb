"""Contrastive pairs of the miniature, as Algorithm 4 of Group Preference Alignment makes them.

An untailored answer pleases or does not, by the group's planted taste. Where it pleases, its
rejected twin has the other group's style; where it does not, its chosen twin has the own group's.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final, Literal, NamedTuple

from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.errors import UsageError
from gpa_agent.testing.chance import pick
from gpa_agent.testing.miniature.checks import TASTES, score
from gpa_agent.testing.miniature.domain import (
    GROUPS,
    Feature,
    Prompt,
    draw_features,
    prompts,
    write_reply,
)

SIMULATED: Final = "simulated:gpa_agent.testing.miniature"
"""Who wrote the twins."""

_STEEPNESS: Final = 8.0
"""Log-odds of SAT between an answer that fulfils no wish and one that fulfils all."""
_CONTENT: Final = 0.7
"""Score at which one in two is pleased."""
_PER_PERSON: Final = 5


def pairs(
    group: str,
    n: int,
    seed: int = 0,
    flipped: float = 0.0,
    *,
    split: Literal["train", "holdout"] = "train",
) -> list[Pair]:
    """Pairs of a group, five to a simulated person.

    Args:
        group: ``novice`` or ``expert``.
        n: How many.
        seed: Everything follows from it.
        flipped: Share in [0, 1] of pairs whose answers stand the wrong way round; whole pairs, as
            near as it comes. `gpa_agent.testing.miniature.checks.flipped_share` finds them.
        split: ``holdout`` asks prompts that no other pair, log or base model has.

    Returns:
        Pairs in which, unless flipped, the chosen answer fits the group better.

    Raises:
        UsageError: An unknown group, or shares and numbers out of range.
    """
    if group not in TASTES or n < 0 or not 0 <= flipped <= 1:
        raise UsageError(
            f"pairs are made for one of {list(GROUPS)!r}, n >= 0 and flipped in [0, 1]; "
            f"not for {group!r}, {n!r} and {flipped!r}"
        )
    rng = Random(f"miniature/pairs/{group}/{split}/{seed}")
    made = [_pair(group, number, split, seed, rng) for number in range(n)]
    for _, number in sorted((rng.random(), number) for number in range(n))[: round(flipped * n)]:
        made[number] = _turned_round(made[number])
    return made


def style(group: str) -> frozenset[Feature]:
    """The segments of an answer that fulfils all of a group's wishes.

    Args:
        group: ``novice`` or ``expert``.
    """
    return frozenset(feature for feature, sign in TASTES[group].items() if sign > 0)


def pleases(text: str, group: str, rng: Random, *, own: float = 0.0) -> bool:
    """Whether an answer pleases somebody of a group.

    Args:
        text: The answer.
        group: ``novice`` or ``expert``.
        rng: Draws, with log-odds that rise with the answer's score.
        own: The person's own log-odds beside the group's.
    """
    return rng.random() < 1 / (1 + math.exp(-own - _STEEPNESS * (score(text, group) - _CONTENT)))


def _pair(
    group: str, number: int, split: Literal["train", "holdout"], seed: int, rng: Random
) -> Pair:
    prompt = pick(rng, prompts(split))
    made = _contrasted(prompt, group, rng)
    return Pair(
        prompt=(Said(role="user", content=prompt.text),),
        chosen=(_answer(made.chosen),),
        rejected=(_answer(made.rejected),),
        subject=f"pair:miniature-{seed}-{group}-{split}-{number}",
        person=f"miniature-{seed}-{group}-{split}-{number // _PER_PERSON}",
        group=group,
        intent=prompt.intent,
        judgment=made.judgment,
        rubric_version=1,
        generator=SIMULATED,
        split=split,
    )


class _Contrasted(NamedTuple):
    chosen: str
    rejected: str
    judgment: Literal[1, -1]


def _contrasted(prompt: Prompt, group: str, rng: Random) -> _Contrasted:
    """An untailored answer and its twin; drawn again where they fit the group no differently."""
    other = next(g for g in GROUPS if g != group)
    while True:
        logged = write_reply(prompt, draw_features(rng))
        pleased = pleases(logged, group, rng)
        twin = write_reply(prompt, style(other if pleased else group))
        made = _Contrasted(logged, twin, 1) if pleased else _Contrasted(twin, logged, -1)
        if score(made.chosen, group) > score(made.rejected, group):
            return made


def _answer(text: str) -> Said:
    return Said(role="assistant", content=text)


def _turned_round(pair: Pair) -> Pair:
    """The pair that the opposite judgment of the logged answer makes."""
    return pair.model_copy(
        update={
            "chosen": pair.rejected,
            "rejected": pair.chosen,
            "judgment": None if pair.judgment is None else -pair.judgment,
        }
    )
