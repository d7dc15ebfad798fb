"""Who labels intents and groups: what the workspace was told, and what it can learn from records.

Order for an intent: the record, else a classifier trained on the records that name one (together
with the taxonomy), else the taxonomy alone. Order for a group: the record, else what is
known of the person, else a classifier, which is kept only where it beats chance on people
it has not seen. The same classifiers serve the hot path.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gpa_agent.conversations.records import UNKNOWN, Label
from gpa_agent.embedding import TextEncoder
from gpa_agent.errors import WorkspaceError
from gpa_agent.files import write_whole
from gpa_agent.learning.distilling import DistilReport, distil_groups, distil_intents
from gpa_agent.learning.own_lock import OwnLock
from gpa_agent.learning.report import StageReport
from gpa_agent.learning.stages import Labeller, Progress, label
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import LabelKind, LabelledText, Unlabelled
from gpa_agent.settings import Settings
from gpa_agent.understanding.distilled import DistilledClassifier
from gpa_agent.understanding.groups import train_group_classifier
from gpa_agent.understanding.intents import build_intent_classifier, train_intent_classifier
from gpa_agent.understanding.storage import (
    kept_mark,
    load_classifier,
    remove_classifier,
    save_classifier,
)

logger = logging.getLogger(__name__)

_NOBODY: Mapping[LabelKind, str] = {}
_PER_LABEL = 150
"""Records of each label a classifier is trained on: more costs encoding time and adds little."""
_RETRAIN_AT = 1.2
"""A classifier is trained anew when there are so many times the records it was trained on: a worker
that weighs all day would else spend most of its time on it."""
_CHARACTERS = 2000
"""Of each text, this much is read: what is asked stands at its beginning."""


class _Sample(NamedTuple):
    """Records to train on, and what tells whether training again is worth it.

    Attributes:
        records: The sample.
        fingerprint: Changes when the sample does.
        basis: Changes when the encoder, a setting or the set of labels does.
        seen: Records the sample was drawn from.
    """

    records: list[LabelledText]
    fingerprint: str
    basis: str
    seen: int

    def is_like(self, before: Mapping[str, Any] | None) -> bool:
        """Whether a classifier trained on an earlier sample would hardly differ from a new one."""
        if before is None or before.get("basis") != self.basis:
            return False
        grown = self.seen >= _RETRAIN_AT * int(before.get("seen", 0))
        return before["trained_on"] == self.fingerprint or not grown


class _Loaded(NamedTuple):
    """A classifier in memory.

    Attributes:
        mark: Of what was kept when it was loaded.
        classifier: None where there is nothing to label with.
    """

    mark: str | None
    classifier: DistilledClassifier | None


class Labelling:
    """The labelling stage of one workspace, and its classifiers.

    A classifier is loaded when first asked for. From then on it is replaced and never dropped, so
    that a turn finds one in memory whatever is trained or forgotten meanwhile.

    Args:
        folder: Where trained classifiers are kept.
        settings: Taxonomy, groups and the confidence below which a label is unknown.
        encoder: Gives the sentence encoder; called only where something has to be read.
    """

    def __init__(
        self, folder: Path, settings: Settings, encoder: Callable[[], TextEncoder]
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._encoder = encoder
        self._loading = OwnLock()
        self._loaded: dict[LabelKind, _Loaded] = {}
        self.distilled: list[DistilReport] = []
        """What the last run trained on a model's labels."""

    @property
    def one_intent(self) -> bool:
        """Whether nothing tells intents apart, so that what names none is the one ``general``."""
        return self.intent_classifier() is None

    def intent_classifier(self) -> DistilledClassifier | None:
        """The classifier of intents; None where there is neither a taxonomy nor a trained one."""
        return self._classifier("intent")

    def group_classifier(self) -> DistilledClassifier | None:
        """The classifier of groups; None where none beat chance."""
        return self._classifier("group")

    def is_loaded(self, kind: LabelKind) -> bool:
        """Whether asking for a classifier takes no time; memory only."""
        return kind in self._loaded

    def follow(self) -> None:
        """Replace what is in memory by what is kept now, whoever trained it or took it away.

        Whoever asks meanwhile gets what was there before.

        Raises:
            StoreError: It cannot be told what is kept.
        """
        with self._loading:
            for kind, loaded in list(self._loaded.items()):
                if kept_mark(self._folder / kind) != loaded.mark:
                    self._load(kind)

    def run(
        self, ledger: Ledger, progress: Progress, *, taught: Mapping[LabelKind, str] = _NOBODY
    ) -> dict[str, StageReport]:
        """Train what can be trained, then label what names no intent or group.

        Args:
            ledger: Where records and labels are.
            progress: Called as labels are made.
            taught: Versions of a model's labels: trained on like the records', and left standing.

        Returns:
            A report for ``train`` and one for ``label``.
        """
        started = time.perf_counter()
        self.follow()
        self.distilled = []
        trained = [
            self._train(ledger, kind, taught.get(kind), progress) for kind in ("intent", "group")
        ]
        training = StageReport(
            done=sum(t is True for t in trained),
            skipped=sum(t is False for t in trained),
            seconds=time.perf_counter() - started,
        )
        reports = [
            self._label_intents(ledger, taught.get("intent"), progress),
            self._label_groups(ledger, taught.get("group"), progress),
        ]
        return {
            "train": training,
            "label": StageReport(
                done=sum(r.done for r in reports),
                skipped=sum(r.skipped for r in reports),
                seconds=sum(r.seconds for r in reports),
            ),
        }

    def label_new(
        self,
        ledger: Ledger,
        only: Collection[str],
        progress: Progress,
        *,
        lost: set[str] | None = None,
    ) -> StageReport:
        """Label some conversations with what is trained already.

        Args:
            ledger: Where they are.
            only: Their ids.
            progress: Called as labels are made.
            lost: Takes the ids of those that could not be labelled.
        """
        self.follow()
        intents = self._label_intents(ledger, None, progress, only, lost)
        groups = self._label_groups(ledger, None, progress, only, lost)
        return StageReport(
            done=intents.done + groups.done,
            skipped=intents.skipped + groups.skipped,
            seconds=intents.seconds + groups.seconds,
        )

    def _label_intents(
        self,
        ledger: Ledger,
        taught: str | None,
        progress: Progress,
        only: Collection[str] | None = None,
        lost: set[str] | None = None,
    ) -> StageReport:
        classifier = self.intent_classifier()
        if classifier is None:
            return StageReport()
        labeller = Labeller(
            lambda s: classifier.classify([_asked(x) for x in s]), classifier.version
        )
        return label(ledger, "intent", labeller, progress, standing=taught, only=only, lost=lost)

    def _label_groups(
        self,
        ledger: Ledger,
        taught: str | None,
        progress: Progress,
        only: Collection[str] | None = None,
        lost: set[str] | None = None,
    ) -> StageReport:
        known = ledger.people_groups()
        classifier = self.group_classifier()

        def classify(subjects: list[Unlabelled]) -> list[Label]:
            labels = [_known(known.get(s.person or "")) for s in subjects]
            unknown = [i for i, x in enumerate(labels) if x.value == UNKNOWN]
            if classifier is not None and unknown:
                said = classifier.classify([_all_said(subjects[i].texts) for i in unknown])
                for i, found in zip(unknown, said, strict=True):
                    labels[i] = found
            return labels

        if classifier is None and not known:
            return StageReport()
        version = _digest([classifier.version if classifier else "", sorted(known.items())])
        labeller = Labeller(classify, version)
        return label(ledger, "group", labeller, progress, standing=taught, only=only, lost=lost)

    def _train(
        self, ledger: Ledger, kind: LabelKind, taught: str | None, progress: Progress
    ) -> bool | None:
        """Train a classifier on what records (and a model) name; None where nothing has changed."""
        sample = _sample(ledger, kind, taught, self._settings, encoder=self._encoder().name)
        if sample.is_like(self._last(kind)):
            return None
        if len({r.label for r in sample.records}) < 2:
            remove_classifier(self._folder / kind)
            self.follow()
            return None
        progress(f"train {kind}", 0, len(sample.records))
        if taught is not None:
            trained, report = self._distil(ledger, kind, taught, sample)
        else:
            trained, report = (
                self._train_intents(sample) if kind == "intent" else self._train_groups(sample)
            )
        if trained is not None:
            save_classifier(trained, self._folder / kind)
        elif taught is None:  # overtaken: what is kept was trained on fewer records
            remove_classifier(self._folder / kind)
        self._remember(kind, sample, report)
        self.follow()
        progress(f"train {kind}", len(sample.records), len(sample.records))
        return trained is not None

    def _distil(
        self, ledger: Ledger, kind: LabelKind, taught: str, sample: _Sample
    ) -> tuple[DistilledClassifier | None, Mapping[str, Any]]:
        """Learn from a model's labels; what is in service stays where it is no worse."""
        records, labels = sample.records, [r.label for r in sample.records]
        # People by a conversation of theirs: hashes of people differ from workspace to workspace.
        seen = ledger.earliest_conversations()
        people = [seen.get(r.person or "") or _digest(r.texts) for r in records]
        remaining = sum(len(page) for page in ledger.to_label(kind, taught))
        if kind == "intent":
            came = distil_intents(
                [r.texts[0][:_CHARACTERS] for r in records],
                labels,
                people,
                self._settings.intents,
                self._encoder(),
                in_service=self.intent_classifier(),
                min_confidence=self._settings.min_confidence,
                remaining=remaining,
            )
        else:
            came = distil_groups(
                [_all_said(r.texts) for r in records],
                labels,
                people,
                self._encoder(),
                in_service=self.group_classifier(),
                strata=[r.intent or "" for r in records],
                min_confidence=self._settings.min_group_confidence,
                remaining=remaining,
            )
        self.distilled.append(came.report)
        return came.new, came.report.model_dump(mode="json")

    def _train_intents(
        self, sample: _Sample
    ) -> tuple[DistilledClassifier | None, Mapping[str, Any]]:
        return train_intent_classifier(
            [r.texts[0][:_CHARACTERS] for r in sample.records],
            [r.label for r in sample.records],
            self._settings.intents,
            self._encoder(),
            people=[r.person or f"row {i}" for i, r in enumerate(sample.records)],
            min_confidence=self._settings.min_confidence,
        )

    def _train_groups(
        self, sample: _Sample
    ) -> tuple[DistilledClassifier | None, Mapping[str, Any]]:
        classifier, report = train_group_classifier(
            [_all_said(r.texts) for r in sample.records],
            [r.label for r in sample.records],
            [r.person or f"row {i}" for i, r in enumerate(sample.records)],
            self._encoder(),
            strata=[r.intent or "" for r in sample.records],
            min_confidence=self._settings.min_group_confidence,
        )
        return classifier, asdict(report)

    def _classifier(self, kind: LabelKind) -> DistilledClassifier | None:
        if kind not in self._loaded:
            with self._loading:
                if kind not in self._loaded:
                    self._load(kind)
        return self._loaded[kind].classifier

    def _load(self, kind: LabelKind) -> None:
        # The mark is taken first: what is kept meanwhile is seen at the next look.
        mark = kept_mark(self._folder / kind)
        classifier = None if mark is None else self._kept(kind)
        if classifier is None and kind == "intent" and self._settings.intents:
            classifier = build_intent_classifier(
                self._settings.intents,
                self._encoder(),
                min_confidence=self._settings.min_confidence,
            )
        self._loaded[kind] = _Loaded(mark, classifier)

    def _kept(self, kind: LabelKind) -> DistilledClassifier | None:
        try:
            return load_classifier(self._folder / kind, self._encoder())
        except WorkspaceError as error:
            # Trained over another encoder, or damaged: unknown until the next run trains it anew.
            logger.warning("the %s classifier is left out: %s", kind, error)
            return None

    def _last(self, kind: LabelKind) -> dict[str, Any] | None:
        path = self._folder / f"{kind}.json"
        if not path.exists():
            return None
        try:
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return kept | {"trained_on": str(kept["trained_on"]), "seen": int(kept.get("seen", 0))}
        except (ValueError, KeyError, TypeError) as exc:
            raise WorkspaceError(f"{path} is damaged; delete it and run `gpa learn` again") from exc

    def _remember(self, kind: LabelKind, sample: _Sample, report: Mapping[str, Any]) -> None:
        kept = {
            "trained_on": sample.fingerprint,
            "basis": sample.basis,
            "seen": sample.seen,
            "report": dict(report),
        }
        content = json.dumps(kept, indent=2)
        write_whole(self._folder / f"{kind}.json", content.encode())


def _sample(
    ledger: Ledger, kind: LabelKind, taught: str | None, settings: Settings, *, encoder: str
) -> _Sample:
    """A bounded, deterministic sample of the records that name a label."""
    wanted = set(settings.groups) if kind == "group" else set[str]()
    best: dict[str, list[tuple[str, LabelledText]]] = {}
    seen = 0
    for record in ledger.labelled_texts(kind, *([taught] if taught else [])):
        if not record.texts or (wanted and record.label not in wanted):
            continue
        seen += 1
        rows = best.setdefault(record.label, [])
        # The smallest hashes are a random sample that does not depend on the order of the log.
        rows.append((_digest(record.texts), record))
        if len(rows) > 4 * _PER_LABEL:
            best[record.label] = sorted(rows, key=_by_digest)[:_PER_LABEL]
    kept = {name: sorted(rows, key=_by_digest)[:_PER_LABEL] for name, rows in sorted(best.items())}
    basis = _digest(
        [
            encoder,
            settings.min_confidence,
            settings.min_group_confidence,
            {n: i.model_dump() for n, i in settings.intents.items()},
            taught,
            sorted(kept),
        ]
    )
    fingerprint = _digest([basis, {name: [d for d, _ in rows] for name, rows in kept.items()}])
    records = [record for rows in kept.values() for _, record in rows]
    return _Sample(records, fingerprint, basis, seen)


def _by_digest(row: tuple[str, LabelledText]) -> str:
    return row[0]


def _digest(value: Any) -> str:  # noqa: ANN401 -- anything JSON can say
    return hashlib.sha256(json.dumps(value, default=list).encode()).hexdigest()


def _asked(subject: Unlabelled) -> str:
    """What is asked: a conversation's first utterance, a pair's last."""
    if not subject.texts:
        return ""
    return subject.texts[0 if subject.subject == "conversation" else -1][:_CHARACTERS]


def _all_said(texts: tuple[str, ...]) -> str:
    return "\n".join(texts)[:_CHARACTERS]


def _known(group: str | None) -> Label:
    return Label(UNKNOWN, 0.0, "known") if group is None else Label(group, 1.0, "known")
