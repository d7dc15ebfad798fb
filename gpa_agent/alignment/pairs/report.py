"""What making pairs says about itself; ``gpa pairs --json`` prints it as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from gpa_agent.alignment.pair import Pair
from gpa_agent.alignment.pairs.lengths import Lengths, lengths_of
from gpa_agent.learning.report import ModelReport


class GroupPairs(BaseModel):
    """The pairs of one group."""

    model_config = ConfigDict(frozen=True)

    file: str
    train: int
    holdout: int
    pleased: int
    """Made of an answer that pleased, with a rejected twin."""
    displeased: int
    """Made of an answer that did not, with a chosen twin."""
    recorded: int
    """Preference pairs of the log."""
    people: int
    """People they come from; where nobody is named, each conversation or pair is one."""
    largest_share: float
    """Share of the pairs that come from the person with most of them, in (0, 1]."""
    lengths: Lengths | None
    """Of the pairs to train on; None where there is none."""


class PairsReport(BaseModel):
    """What became of everything that was looked at.

    ``judged + recorded`` is ``pairs`` plus all that ``skipped`` and ``sifted`` count.
    """

    model_config = ConfigDict(frozen=True)

    pairs: int = 0
    groups: dict[str, GroupPairs] = Field(default_factory=dict[str, GroupPairs])
    judged: int = 0
    """Judged answers of the ledger."""
    recorded: int = 0
    """Preference pairs of the ledger."""
    skipped: dict[str, int] = Field(default_factory=dict[str, int])
    """What makes no pair, by reason (`gpa_agent.alignment.pairs.twins.Skipped`)."""
    sifted: dict[str, int] = Field(default_factory=dict[str, int])
    """Twins that are not used, by reason (`gpa_agent.alignment.pairs.sifting.Sifted`)."""
    calls: int = 0
    """Calls of a chat model."""
    model: ModelReport | None = None
    """What was asked of the model; None where there is none."""
    notes: list[str] = Field(default_factory=list[str])
    """Things a reader of the result should know."""
    seconds: float = 0.0


def group_pairs(pairs: Sequence[Pair], file: str) -> GroupPairs:
    """The figures of one group.

    Args:
        pairs: Its pairs; at least one.
        file: Where they are.
    """
    owners = Counter(pair.owner for pair in pairs)
    made_of = Counter(pair.judgment for pair in pairs)
    train = [pair for pair in pairs if pair.split == "train"]
    return GroupPairs(
        file=file,
        train=len(train),
        holdout=len(pairs) - len(train),
        pleased=made_of[1],
        displeased=made_of[-1],
        recorded=made_of[None],
        people=len(owners),
        largest_share=max(owners.values()) / len(pairs),
        lengths=lengths_of(train),
    )


def counted(reasons: Counter[str]) -> dict[str, int]:
    """Reasons by how often they occurred, most frequent first; what never did is left out."""
    return {reason: count for reason, count in sorted(reasons.items(), key=_most) if count}


def _most(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]
