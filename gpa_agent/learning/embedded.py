"""The embedded engine: labels, judgments and traits without a model, a key or a network."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from gpa_agent.learning.finding import Found, Seen
from gpa_agent.learning.kept_contrasts import KeptContrasts
from gpa_agent.learning.labelling import Labelling
from gpa_agent.learning.observing import Observed, groups_to_compare, observe
from gpa_agent.learning.report import StageReport
from gpa_agent.learning.stages import Progress, explain_preferences, judge, measure
from gpa_agent.ledger import Ledger
from gpa_agent.rubrics.contrast import ContrastConfig, run_cell
from gpa_agent.rubrics.gate import GateConfig
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.traits import catalogue
from gpa_agent.rubrics.weighing import Test, Weighed, plan_contrasts, weigh
from gpa_agent.settings import Settings
from gpa_agent.understanding.protocols import SatisfactionReader


class Embedded:
    """Finds differences in measured traits.

    Args:
        reader: Judges turns from the user's next utterance.
        labelling: Labels intents and groups.
    """

    name = "embedded"

    def __init__(self, reader: SatisfactionReader, labelling: Labelling) -> None:
        self._reader = reader
        self._labelling = labelling

    def find(self, ledger: Ledger, settings: Settings, progress: Progress) -> Found:
        """Run every stage over what the ledger holds."""
        stages = self._labelling.run(ledger, progress)
        stages["judge"] = judge(ledger, self._reader, progress)
        stages["explain"] = explain_preferences(ledger, progress)
        stages["measure"] = measure(ledger, progress)
        observed = self._observe(ledger, settings)
        clock = time.perf_counter()
        kept = KeptContrasts(ledger)
        weighed = weigh_observed(observed, settings, progress, test=kept.test)
        kept.keep()
        untested = sum(r.untested is not None for r in weighed.results)
        stages["contrast"] = StageReport(
            done=len(weighed.results) - untested,
            skipped=untested,
            seconds=time.perf_counter() - clock,
        )
        seen = Seen(
            len(observed.observations), observed.people, observed.anonymous, observed.people_of
        )
        return Found(weighed, seen, stages)

    def shuffled(
        self, ledger: Ledger, settings: Settings, times: int, progress: Progress
    ) -> list[Weighed]:
        """Weigh again with people dealt to the groups at random."""
        observed = self._observe(ledger, settings)
        rounds: list[Weighed] = []
        for i in range(times):
            dealt = _deal_groups(observed, np.random.default_rng([settings.seed, i]))
            rounds.append(weigh_observed(dealt, settings, lambda *_: None))
            progress("null", i + 1, times)
        return rounds

    def _observe(self, ledger: Ledger, settings: Settings) -> Observed:
        return observe(
            ledger,
            one_intent=self._labelling.one_intent,
            half_life_days=settings.half_life_days,
            turned=ledger.turned(),
        )


def contrasts_of(settings: Settings, people_of: dict[str, int]) -> tuple[Contrast, ...]:
    """What a run compares: the contrasts asked for, else those of the groups there are."""
    groups = groups_to_compare(settings.groups, people_of, min_people=settings.min_people)
    return plan_contrasts(groups, [Contrast(c.group, c.other) for c in settings.contrasts])


def contrast_config(settings: Settings) -> ContrastConfig:
    """How the settings want a contrast tested."""
    return ContrastConfig(
        min_people=settings.min_people,
        min_turns=settings.min_turns,
        permutations=settings.permutations,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
    )


def gate_config(settings: Settings) -> GateConfig:
    """What the settings ask of an aspect."""
    return GateConfig(
        max_q=settings.max_q,
        rating_threshold=settings.rating_threshold,
        min_people=settings.min_people,
        min_turns=settings.min_turns,
    )


def weigh_observed(
    observed: Observed, settings: Settings, progress: Progress, *, test: Test = run_cell
) -> Weighed:
    """Weigh a run's observations as the settings ask."""
    return weigh(
        observed.observations,
        catalogue(),
        contrasts_of(settings, observed.people_of),
        contrast_config=contrast_config(settings),
        gate_config=gate_config(settings),
        turned=observed.turned,
        test=test,
        progress=lambda done, total: progress("contrast", done, total),
    )


def _deal_groups(observed: Observed, rng: np.random.Generator) -> Observed:
    """Deal groups anew among people (a person of two groups counts as two)."""
    observations = observed.observations
    cells = sorted(
        {(int(p), g or "") for p, g in zip(observations.person, observations.group, strict=True)}
    )
    dealt = rng.permutation(np.array([g for _, g in cells], dtype=object))
    new = dict(zip(cells, dealt, strict=True))
    groups = tuple(
        new[int(p), g or ""] or None
        for p, g in zip(observations.person, observations.group, strict=True)
    )
    return observed._replace(observations=replace(observations, group=groups))
