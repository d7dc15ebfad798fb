"""What the hot path reads: everything live, in memory, immutable.

A snapshot is built from the ledger and swapped whole when the ledger's revision moves; a turn
looks up (intent, group) and never waits for a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gpa_agent.rubrics.records import Rubric


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All live rubrics, by intent and group."""

    revision: int
    """The ledger's revision this was built from; -1 before the first."""
    rubrics: Mapping[tuple[str, str], Rubric] = field(default_factory=dict[tuple[str, str], Rubric])
    """The rubric that serves a group in an intent."""
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    """The known group of each person (keyed hash)."""

    def rubric(self, *, intent: str, group: str) -> Rubric | None:
        """The rubric of an intent that speaks to a group, or None."""
        return self.rubrics.get((intent, group))


EMPTY = Snapshot(revision=-1)


def build_snapshot(live: Iterable[Rubric], groups: Mapping[str, str], *, revision: int) -> Snapshot:
    """Index live rubrics by whom they serve.

    Args:
        live: The live rubrics; where several contrasts speak to a group in an intent, the one
            that names the group first wins, then the one against a named group.
        groups: The known group of each person.
        revision: The ledger's revision.
    """
    index: dict[tuple[str, str], Rubric] = {}
    ordered = sorted(live, key=lambda r: (r.intent, r.contrast.other == "*", r.contrast.group))
    for rubric in ordered:
        if rubric.guidance(rubric.contrast.group):
            index.setdefault((rubric.intent, rubric.contrast.group), rubric)
    for rubric in ordered:
        if rubric.guidance(rubric.contrast.other):
            index.setdefault((rubric.intent, rubric.contrast.other), rubric)
    return Snapshot(revision=revision, rubrics=index, groups=dict(groups))
