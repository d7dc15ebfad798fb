"""What a turn was really served, read from its trace.

Turns that were served the same block are alike in what we did to them, and differ from all others
in just that. A contrast must not take what a block does for what people want, so it keeps such
turns apart, and an item's own turns out of its evidence
(`docs/decisions/0010-own-effects-are-not-evidence.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Block(NamedTuple):
    """What was served in a turn.

    Attributes:
        mode: ``context`` or ``finetuned``.
        intent: Whose rubric, by intent.
        group: Whose rubric, by group.
        version: Of the rubric; None where a group model answered without one.
        aspects: Names of the aspects that were asked for.
    """

    mode: str
    intent: str
    group: str
    version: int | None
    aspects: tuple[str, ...]

    @property
    def pushes_everything(self) -> bool:
        """Whether anything may be its doing: a group model whose aspects nobody wrote down."""
        return self.mode == "finetuned" and not self.aspects


def block_of(served: Mapping[str, Any] | None) -> Block | None:
    """The block that a turn was served.

    Args:
        served: The turn's trace (`Plan.trace`); None for a turn that was not answered through us.

    Returns:
        None where nothing was served: the holdout, a plain or degraded turn, a log from outside.
    """
    if not served or served.get("mode", "plain") == "plain":
        return None
    return Block(
        mode=str(served["mode"]),
        intent=str(served.get("intent")),
        group=str(served.get("group")),
        version=served.get("rubric_version"),
        aspects=tuple(served.get("guided") or served.get("aspects") or ()),
    )
