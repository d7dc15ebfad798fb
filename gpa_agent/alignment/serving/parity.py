"""Whether two servers of the same group models say the same.

A server loads an adapter its own way. It may leave out layers, apply another template, or not
apply the adapter at all, without a word (vLLM's issues 10798 and 48019). Half precision and other
kernels turn a text here and there, so equality is a share and not a yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from statistics import fmean
from typing import NamedTuple

from langchain_core.language_models import BaseChatModel, LanguageModelInput

from gpa_agent.errors import UsageError


class Parity(NamedTuple):
    """How far a group's model says the same on two servers.

    Attributes:
        prompts: How many were asked.
        equal: Share of answers that are the same, in [0, 1].
        agreement: Mean share of an answer, from its start, that is the same, in [0, 1]: near 0
            where they are different models, near 1 where they round differently.
    """

    prompts: int
    equal: float
    agreement: float


def parity(
    one: Mapping[str, BaseChatModel],
    other: Mapping[str, BaseChatModel],
    prompts: Sequence[LanguageModelInput],
) -> dict[str, Parity]:
    """Ask both for every group that both have.

    Args:
        one: Group models that answer greedily: opened with ``temperature=0``.
        other: The same models elsewhere, opened likewise and with the same ``max_tokens``.
        prompts: What to ask; some ten will show a difference in kind.

    Returns:
        By group.

    Raises:
        UsageError: They have no group in common, or nothing is asked.

    Example:
        ```python
        here = GroupModels.local("my.gpa", temperature=0.0, max_tokens=64)
        there = GroupModels.endpoint(url, launch.models, temperature=0.0, max_tokens=64)
        parity(here, there, ["Why does my loop never end?"])["novice"].equal
        ```
    """
    groups = sorted(one.keys() & other.keys())
    if not groups or not prompts:
        raise UsageError(
            f"nothing to compare: one has {sorted(one)}, the other {sorted(other)}, "
            f"and {len(prompts)} prompts are given"
        )
    return {group: _compared(one[group], other[group], prompts) for group in groups}


def _compared(
    one: BaseChatModel, other: BaseChatModel, prompts: Sequence[LanguageModelInput]
) -> Parity:
    pairs = [(one.invoke(prompt).text, other.invoke(prompt).text) for prompt in prompts]
    equal = fmean(a == b for a, b in pairs)
    return Parity(len(pairs), equal, fmean(_agreement(a, b) for a, b in pairs))


def _agreement(one: str, other: str) -> float:
    pairs = list(zip_longest(one, other))
    same = next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))
    return same / len(pairs) if pairs else 1.0
