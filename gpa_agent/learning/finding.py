"""What finds the differences: one interface, two engines.

The embedded engine measures traits of answers; the model engine has a language model name what
people want. Both read the same ledger, end in the same evidence, and are published by the same
code (`pipeline`).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gpa_agent.learning.distilling import DistilReport
from gpa_agent.learning.report import ModelReport, StageReport
from gpa_agent.learning.stages import Progress
from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.weighing import Weighed
from gpa_agent.settings import Settings


class Seen(NamedTuple):
    """Whose judged turns a run looked at.

    Attributes:
        rows: Judged turns and pairs.
        people: Distinct people among them.
        anonymous: Rows without a user id.
        people_of: How many people each group has, every group of the log included.
    """

    rows: int
    people: int
    anonymous: int
    people_of: dict[str, int]


class Found(NamedTuple):
    """What an engine found in a ledger.

    Attributes:
        weighed: Rubrics with evidence, and the figures behind them.
        seen: Whose turns were looked at.
        stages: A report per stage, in the order they ran.
        model: What was asked of a model; None where none was.
        distilled: What was trained on the model's labels.
        notes: What a reader of the result should know.
    """

    weighed: Weighed
    seen: Seen
    stages: dict[str, StageReport]
    model: ModelReport | None = None
    distilled: tuple[DistilReport, ...] = ()
    notes: tuple[str, ...] = ()


_BY_MODEL = "model "


def model_engine(model: str) -> str:
    """How reports name the engine of a model."""
    return f"{_BY_MODEL}{model}"


def model_of(engine: str) -> str | None:
    """The model of an engine, as a report names it; None for the embedded engine."""
    return engine.removeprefix(_BY_MODEL) if engine.startswith(_BY_MODEL) else None


class Finder(Protocol):
    """An engine of learning."""

    @property
    def name(self) -> str:
        """As reports name it: ``embedded``, or ``model`` and the model's name."""
        ...

    def find(self, ledger: Ledger, settings: Settings, progress: Progress) -> Found:
        """Run every stage over what the ledger holds."""
        ...


class Shuffler(Finder, Protocol):
    """An engine that can also find on groups that were dealt at random."""

    def shuffled(
        self, ledger: Ledger, settings: Settings, times: int, progress: Progress
    ) -> list[Weighed]:
        """Find again, ``times`` times, with people dealt to the groups at random."""
        ...
