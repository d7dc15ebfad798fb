"""Twins by a chat model, through the call ledger, and the pairs that come of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from gpa_agent.alignment.pair import Pair
from gpa_agent.alignment.pairs.config import PairsConfig
from gpa_agent.alignment.pairs.gathering import Gathered, split_of
from gpa_agent.alignment.pairs.sifting import Shown, fault_of
from gpa_agent.alignment.pairs.twins import Candidate, ask_for, pair_of
from gpa_agent.learning.report import ModelReport
from gpa_agent.prompts import TwinAnswer

if TYPE_CHECKING:
    from gpa_agent.calls.engine import Answered
    from gpa_agent.learning.spending import Opened
    from gpa_agent.learning.stages import Progress


@dataclass(kw_only=True)
class Twins:
    """What the writer gave."""

    pairs: list[Pair] = field(default_factory=list[Pair])
    sifted: Counter[str] = field(default_factory=Counter[str])
    """Twins that are not used, by reason."""
    model: ModelReport | None = None
    """What was asked; None where there was nobody to ask."""


def write_twins(
    gathered: Gathered, opened: Opened, model: str, config: PairsConfig, progress: Progress
) -> Twins:
    """Ask for every candidate's twin and keep the usable ones.

    Args:
        gathered: What needs twins.
        opened: What runs the questions.
        model: Name of the writer.
        config: How like a twin may be.
        progress: Called with (stage, done, total).

    Raises:
        ModelError: The provider is down, refuses, or a limit is reached; what came is kept.
    """
    twins, by_subject = Twins(), {one.subject: one for one in gathered.candidates}
    total = len(by_subject)
    with opened.engine() as engine:
        answers = engine.map(map(ask_for, gathered.candidates))
        for done, answered in enumerate(answers, start=1):
            one = by_subject[answered.ask.subject or ""]
            made = _pair(one, answered, gathered.names, model, config)
            if isinstance(made, str):
                twins.sifted[made] += 1
            else:
                twins.pairs.append(made)
            progress("twins", done, total)
        runner = engine.name
    twins.model = ModelReport(model=model, runner=runner, **opened.counts.model_dump())
    return twins


def _pair(
    one: Candidate, answered: Answered, names: Sequence[str], model: str, config: PairsConfig
) -> Pair | str:
    """The pair that an answer makes, or why it makes none."""
    if answered.value is None:
        return answered.why or "failed"
    twin = cast("TwinAnswer", answered.value).response
    asked = "\n".join(message.content for message in one.prompt)
    shown = Shown(asked, one.turn.answer, one.guided.guidance, names)
    fault = fault_of(twin, shown, max_similarity=config.max_similarity)
    return fault or pair_of(one, twin, generator=model, split=split_of(one.owner, config))
