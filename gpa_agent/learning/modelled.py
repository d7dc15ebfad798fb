"""The model engine: a language model judges, labels, explains and contrasts; evidence decides.

Algorithm 1 of Group Preference Alignment over the ledger: satisfaction, intent and group of
what lacks them (lines 3-7), why each judged turn pleased or not (8-13), the fold per intent
(14-30). Then, beyond the paper, the claims it ends in are tested on people they were not found
on (`rubrics.claims`, `rubrics.claim_evidence`). Every question goes through the call ledger, so
a run that was stopped goes on where it was and pays for no call twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpa_agent.calls.engine import Engine, Flow
from gpa_agent.embedding import HashingEncoder, TextEncoder
from gpa_agent.learning.cases import Heard, Sided, deal_groups, hear, sided
from gpa_agent.learning.distilling import DistilReport
from gpa_agent.learning.embedded import contrast_config, contrasts_of, gate_config
from gpa_agent.learning.finding import Found, model_engine
from gpa_agent.learning.kept_claims import (
    KeptClaims,
    Place,
    hearing_of,
    keep_claims,
    kept_claims,
)
from gpa_agent.learning.labelling import Labelling
from gpa_agent.learning.model_labels import (
    LabelSink,
    Versions,
    label_asks,
    taught_kinds,
    versions_of,
)
from gpa_agent.learning.model_preferences import explain_with_model, preference_source
from gpa_agent.learning.refining import as_asked, asked_with, case_of, decided, due, kept_of
from gpa_agent.learning.report import ModelReport, StageReport
from gpa_agent.learning.spending import Opened
from gpa_agent.learning.stages import Progress, judge
from gpa_agent.learning.teaching import Budgeted, Sure, kept_reader, teach_satisfaction
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import LabelKind
from gpa_agent.prompts import AspectItem
from gpa_agent.rubrics.attributing import UNASKED
from gpa_agent.rubrics.claim_evidence import weigh_claims
from gpa_agent.rubrics.claims import Claimed, claim
from gpa_agent.rubrics.fold import FoldConfig, Voiced
from gpa_agent.rubrics.merging import comparable, merge_near_duplicates
from gpa_agent.rubrics.personal import checked_with
from gpa_agent.rubrics.records import Contrast
from gpa_agent.rubrics.weighing import Weighed
from gpa_agent.settings import Settings
from gpa_agent.understanding.protocols import SatisfactionReader

R = TypeVar("R")

UNRELATED = 0.1
"""Cosine below which a preference cannot voice a claim, whatever the model says: MiniLM puts
unrelated sentences about answers at 0.1 to 0.2 and paraphrases above 0.4."""


class Contrasted(NamedTuple):
    """One contrast of one intent with what the model claimed.

    Attributes:
        sided: Its turns.
        kept: The claims and who voices them, as they are kept.
        claimed: What came of the questions.
        unfounded: Attributions that the embeddings did not bear out.
    """

    sided: Sided
    kept: KeptClaims
    claimed: Claimed
    unfounded: int


class Modelled:
    """Finds differences by asking a language model.

    Args:
        model: The model's name, as reports and versions carry it.
        opened: What runs the questions, and what it may spend.
        folder: The workspace's trained models.
        labelling: Labels intents and groups where no question is asked about them.
        reader: Gives the local reader of satisfaction.
        encoder: Gives the sentence encoder.
    """

    def __init__(
        self,
        *,
        model: str,
        opened: Opened,
        folder: Path,
        labelling: Labelling,
        reader: Callable[[], SatisfactionReader],
        encoder: Callable[[], TextEncoder],
    ) -> None:
        self._model = model
        self._opened = opened
        self._folder = folder
        self._labelling = labelling
        self._reader = reader
        self._encoder = encoder
        self._distilled: list[DistilReport] = []

    @property
    def name(self) -> str:
        """As reports name it."""
        return model_engine(self._model)

    def find(self, ledger: Ledger, settings: Settings, progress: Progress) -> Found:
        """Run every stage over what the ledger holds."""
        source = preference_source(self._model)
        versions = versions_of(self._model, settings)
        with self._opened.engine() as engine:
            stages = {"judge": self._label(ledger, settings, versions, engine, progress)}
            # Local classifiers come before what depends on their labels; else rubrics come first.
            taught = self._left_to_label(ledger, settings, versions)
            if taught:
                stages |= self._teach(ledger, settings, versions, progress)
            stages["explain"] = explain_with_model(ledger, engine, source, progress)
            clock = time.perf_counter()
            heard = self._hear(ledger, settings)
            contrasts = contrasts_of(settings, heard.seen.people_of)
            before = kept_claims(ledger, source)
            contrasted = self._contrast(heard, contrasts, settings, engine, progress, before)
            runner = engine.name
        weighed = _weigh(contrasted, contrasts, settings, ledger.turned())
        _keep(ledger, source, contrasted, weighed, before, settings)
        untested = sum(r.untested is not None for r in weighed.results)
        stages["contrast"] = StageReport(
            done=len(weighed.results) - untested,
            skipped=untested,
            seconds=time.perf_counter() - clock,
        )
        if not taught:
            stages |= self._teach(ledger, settings, versions, progress)
        unfounded = sum(c.unfounded for c in contrasted)
        return Found(
            weighed,
            heard.seen,
            stages,
            model=self._report(runner, unfounded),
            distilled=tuple(self._distilled),
            notes=_notes(ledger, heard, contrasted, versions),
        )

    def shuffled(
        self, ledger: Ledger, settings: Settings, times: int, progress: Progress
    ) -> list[Weighed]:
        """Contrast again, claims and all, with people dealt to the groups at random."""
        heard = self._hear(ledger, settings)
        contrasts = contrasts_of(settings, heard.seen.people_of)
        rounds: list[Weighed] = []
        with self._opened.engine() as engine:
            for i in range(times):
                dealt = deal_groups(heard, np.random.default_rng([settings.seed, i]))
                found = self._contrast(dealt, contrasts, settings, engine, lambda *_: None, {})
                rounds.append(_weigh(found, contrasts, settings, {}))
                progress("null", i + 1, times)
        return rounds

    def _label(
        self,
        ledger: Ledger,
        settings: Settings,
        versions: Versions,
        engine: Engine,
        progress: Progress,
    ) -> StageReport:
        """Satisfaction, intents and groups: one stream of questions, so that none waits."""
        clock = time.perf_counter()
        budget = settings.label_budget
        sampled = Budgeted(ledger, budget) if budget else None
        sink = LabelSink(ledger, settings, versions, source=self._model)
        for answered in engine.map(label_asks(ledger, settings, versions, sampled=sampled)):
            sink.add(answered)
            progress("judge", sum(sink.done.values()), None)
        sink.flush()
        return StageReport(
            done=sum(sink.done.values()),
            skipped=sum(sink.unknown.values()),
            seconds=time.perf_counter() - clock,
        )

    def _left_to_label(self, ledger: Ledger, settings: Settings, versions: Versions) -> bool:
        """Whether local classifiers have to label what the model did not."""
        if settings.label_budget:
            return True
        kinds: tuple[tuple[LabelKind, str], ...] = (
            ("intent", versions.intent),
            ("group", versions.group),
        )
        return any(next(ledger.to_label(kind, version), None) for kind, version in kinds)

    def _teach(
        self, ledger: Ledger, settings: Settings, versions: Versions, progress: Progress
    ) -> dict[str, StageReport]:
        """Train local classifiers on the model's labels, and let them label what is left."""
        clock = time.perf_counter()
        remaining = sum(len(page) for page in ledger.turns_to_judge(versions.satisfaction))
        satisfaction = teach_satisfaction(
            ledger,
            self._folder,
            versions.satisfaction,
            encoder=self._encoder(),
            in_service=self._reader,
            remaining=remaining,
        )
        stages: dict[str, StageReport] = {}
        if remaining and settings.label_budget:
            local = kept_reader(self._folder, self._encoder()) or self._reader()
            stages["judge locally"] = judge(
                ledger, Sure(local), progress, standing=versions.satisfaction
            )
        kinds = taught_kinds(settings, versions)
        labelled = self._labelling.run(ledger, progress, taught=kinds)
        self._distilled = [*filter(None, [satisfaction]), *self._labelling.distilled]
        trained = labelled["train"].done + (satisfaction is not None and satisfaction.trained)
        stages["train"] = StageReport(
            done=trained,
            skipped=labelled["train"].skipped,
            seconds=time.perf_counter() - clock - labelled["label"].seconds,
        )
        return {**stages, "label": labelled["label"]}

    def _hear(self, ledger: Ledger, settings: Settings) -> Heard:
        return hear(
            ledger,
            preference_source(self._model),
            one_intent=self._labelling.one_intent,
            share=settings.discovery,
            half_life_days=settings.half_life_days,
        )

    def _contrast(
        self,
        heard: Heard,
        contrasts: Sequence[Contrast],
        settings: Settings,
        engine: Engine,
        progress: Progress,
        before: Mapping[Place, KeptClaims],
    ) -> list[Contrasted]:
        """What is new in every intent and contrast, side by side: the fold, and who voices what."""
        config, how = fold_config(settings), asked_with(settings, self._model)
        parts = list(sided(heard, contrasts))
        kept = [as_asked(before.get(part.place), how) for part in parts]
        size = config.minibatch_size
        shown = [due(part, k, minibatch_size=size) for part, k in zip(parts, kept, strict=True)]
        done = 0

        def finished() -> None:
            nonlocal done
            done += 1
            progress("contrast", done, len(parts))

        flows = [
            _telling(
                claim(case_of(*one, self._merged), config, min_people=settings.min_people), finished
            )
            for one in zip(parts, kept, shown, strict=True)
        ]
        contrasted: list[Contrasted] = []
        for part, k, s, claimed in zip(parts, kept, shown, engine.drive(flows), strict=True):
            founded = self._founded(part, claimed)
            now = kept_of(part, k, s, founded, how=how, minibatch_size=size)
            unfounded = int((founded.wishes != claimed.wishes).sum())
            contrasted.append(Contrasted(part, now, founded, unfounded))
        return contrasted

    def _merged(self, voiced: Sequence[Voiced]) -> list[Voiced]:
        """Near-duplicates as one, with their number: shorter folds, nothing lost."""
        rows = comparable(voiced)
        if not rows:
            return list(voiced)
        # Encoding is what takes time: those that stand alone need no vector.
        encoded = self._vectors([_text(voiced[row]) for row in rows])
        vectors = np.zeros((len(voiced), encoded.shape[1]), np.float32)
        vectors[rows] = encoded
        return merge_near_duplicates(voiced, vectors)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dim) unit rows; each different text is encoded once."""
        places = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        return self._encoder().encode(list(places))[[places[t] for t in texts]]

    def _founded(self, part: Sided, claimed: Claimed) -> Claimed:
        """Drop new attributions between texts that have nothing to do with each other."""
        voiced = (claimed.wishes != 0) & (claimed.wishes != UNASKED)
        at = np.argwhere(voiced & claimed.fresh)
        # Hashed words cannot tell a paraphrase from something unrelated.
        if not len(at) or self._encoder().name == HashingEncoder.name:
            return claimed
        said = self._vectors([part.testing[i].voiced.expectation for i, _ in at])
        wished = self._vectors([_side(claimed.claims[k], int(claimed.wishes[i, k])) for i, k in at])
        unrelated = (said * wished).sum(axis=1) < UNRELATED
        wishes = claimed.wishes.copy()
        wishes[tuple(at[unrelated].T)] = 0
        return replace(claimed, wishes=wishes)

    def _report(self, runner: str, unfounded: int) -> ModelReport:
        return ModelReport(
            model=self._model,
            runner=runner,
            unfounded=unfounded,
            **self._opened.counts.model_dump(),
        )


def fold_config(settings: Settings) -> FoldConfig:
    """How the settings want the fold."""
    return FoldConfig(
        minibatch_size=settings.minibatch_size,
        pairing=settings.pairing,
        shape=settings.fold,
        order=settings.seed,
    )


def _weigh(
    contrasted: Sequence[Contrasted],
    contrasts: Sequence[Contrast],
    settings: Settings,
    turned: Mapping[Place, Mapping[str, datetime]],
) -> Weighed:
    hearings = [
        hearing_of(
            c.sided,
            c.kept.claims,
            c.kept.problems,
            c.kept.attributions(c.sided),
            undecided=c.claimed.undecided,
            turned=turned.get(c.sided.place),
        )
        for c in contrasted
    ]
    return weigh_claims(
        hearings,
        contrasts,
        contrast_config=contrast_config(settings),
        gate_config=gate_config(settings),
    )


def _keep(
    ledger: Ledger,
    source: str,
    contrasted: Sequence[Contrasted],
    weighed: Weighed,
    before: Mapping[Place, KeptClaims],
    settings: Settings,
) -> None:
    """Keep claims and attributions; of what is undecided, those of before."""
    rubrics = {(r.intent, r.contrast.group, r.contrast.other): r for r in weighed.rubrics}
    kept = dict(before)
    for c in contrasted:
        if c.claimed.undecided is None:
            kept[c.sided.place] = decided(c.kept, rubrics.get(c.sided.place), max_q=settings.max_q)
    keep_claims(ledger, source, kept.values())


def _notes(
    ledger: Ledger, heard: Heard, contrasted: Sequence[Contrasted], versions: Versions
) -> tuple[str, ...]:
    counts = ledger.counts()
    notes: list[str] = []
    guessed = ledger.count_labels("group", versions.group)
    if guessed.known:
        notes.append(
            f"No record names the group in {guessed.known + guessed.unknown} conversations; the "
            f"model read it from how {guessed.known} of them begin, and nothing confirms that "
            f"reading ({guessed.unknown} stay unknown)."
        )
    if not heard.seen.rows and counts["judgments"]:
        notes.append(
            f"{counts['judgments']} judged answers, and none has a reply that says why: a model "
            "explains an answer by what the user said next. Thumbs alone and preference pairs are "
            "learned from by the embedded engine (--model embedded)."
        )
    failed = sum(c.claimed.failed for c in contrasted)
    if failed:
        notes.append(
            f"{failed} questions about differences got no usable answer; what they were about "
            "does not count, and a contrast without any answer stays as it was."
        )
    unsupported = sum(c.claimed.unsupported for c in contrasted)
    if unsupported:
        notes.append(
            f"{unsupported} claims were left out: too few people stand behind them for their "
            "words to be written down."
        )
    if any(c.claimed.found for c in contrasted):
        notes.append(checked_with())
    return tuple(notes)


def _telling(flow: Flow[R], finished: Callable[[], None]) -> Flow[R]:
    """The same flow, telling when it is done."""
    result = yield from flow
    finished()
    return result


def _text(voiced: Voiced) -> str:
    return f"{voiced.expectation}; {voiced.reason}"


def _side(item: AspectItem, way: int) -> str:
    return item.first_wants if way > 0 else item.second_wants
