"""A model teaches the local classifiers: what it is asked to label, and what comes of its labels.

Under a label budget the model labels a sample, the same whenever and however often the log is
learned; what it said trains the satisfaction reader here (and the classifiers of intents and
groups in `labelling`), which label the rest where they are sure enough, and serve the hot path.
"""

from __future__ import annotations

import heapq
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from gpa_agent.conversations.records import Judgment, Verdict
from gpa_agent.embedding import TextEncoder
from gpa_agent.errors import WorkspaceError
from gpa_agent.files import write_whole
from gpa_agent.learning.distilling import DistilReport, distil_satisfaction
from gpa_agent.learning.sampling import Sample, sample_by_hash
from gpa_agent.learning.stages import as_judged
from gpa_agent.ledger import Ledger
from gpa_agent.ledger.rows import JudgedBy, LabelKind, turn_input
from gpa_agent.understanding.protocols import JudgedTurn, SatisfactionReader
from gpa_agent.understanding.storage import (
    has_classifier,
    load_satisfaction,
    remove_classifier,
    save_satisfaction,
)

logger = logging.getLogger(__name__)

KEPT = "satisfaction"
"""Folder, among the trained models, of the satisfaction reader."""
_ROWS = 3000
"""Turns a reader is trained on and compared over, at most: more adds time and little else."""
_SURE = 0.8
"""Confidence from which the local reader's word is taken for a turn the model was not asked about;
the same as `DistilConfig.confidence`, at which its report says what that costs."""


class Budgeted:
    """What the model labels under a budget: so many turns, and so many conversations and pairs.

    Args:
        ledger: The log.
        budget: How many of each.
    """

    def __init__(self, ledger: Ledger, budget: int) -> None:
        self._turns = sample_by_hash(_turn_ids(ledger), budget)
        self._subjects: dict[LabelKind, Sample] = {
            kind: sample_by_hash(_subject_ids(ledger, kind), budget) for kind in ("intent", "group")
        }

    def __contains__(self, input_id: object) -> bool:
        text = str(input_id)
        if text.startswith("t:"):
            return self._turns.takes(text)
        return any(sample.takes(text) for sample in self._subjects.values())


def _turn_ids(ledger: Ledger) -> Iterator[str]:
    for page in ledger.turns_to_judge():
        yield from (turn_input(t.conversation, t.idx) for t in page)


def _subject_ids(ledger: Ledger, kind: LabelKind) -> Iterator[str]:
    for page in ledger.to_label(kind):
        yield from (f"{u.subject}:{u.subject_id}" for u in page)


class Sure:
    """A reader whose word counts only where it is sure: else the answer is judged as neither.

    Args:
        reader: Whose word.
    """

    def __init__(self, reader: SatisfactionReader) -> None:
        self._reader = reader

    @property
    def version(self) -> str:
        """The reader's, and how sure it has to be."""
        return f"{self._reader.version}>={_SURE:g}"

    def judge(self, turns: Sequence[JudgedTurn]) -> list[Verdict]:
        """As the reader says, or NEITHER."""
        return [
            v if v.confidence >= _SURE else Verdict(Judgment.NEITHER, v.confidence, v.source)
            for v in self._reader.judge(turns)
        ]


def kept_reader(folder: Path, encoder: TextEncoder) -> SatisfactionReader | None:
    """The reader that a model taught; None where there is none that fits.

    Args:
        folder: The workspace's trained models.
        encoder: The sentence encoder in use.
    """
    if not has_classifier(folder / KEPT):
        return None
    for over in (encoder, None):
        try:
            return load_satisfaction(folder / KEPT, over)
        except WorkspaceError as error:
            said = error
    logger.warning("the trained satisfaction reader is left out: %s", said)
    return None


def teach_satisfaction(
    ledger: Ledger,
    folder: Path,
    version: str,
    *,
    encoder: TextEncoder,
    in_service: Callable[[], SatisfactionReader],
    remaining: int,
) -> DistilReport | None:
    """Train the satisfaction reader on a model's verdicts, and keep it where it is better.

    Args:
        ledger: Where the verdicts are.
        folder: The workspace's trained models.
        version: Under which the model's verdicts are kept.
        encoder: What the reader embeds replies with.
        in_service: Gives the reader that serves now.
        remaining: Turns that the model has not judged.

    Returns:
        What came of it; None where nothing is new since the last time.
    """
    rows = _rows(ledger, version)
    fingerprint = _fingerprint(rows, encoder.name)
    before = _last(folder)
    if not rows or before.trained_on == fingerprint:
        return None
    # People by a conversation of theirs: hashes of people differ from workspace to workspace.
    seen = ledger.earliest_conversations()
    distilled = distil_satisfaction(
        [as_judged(r.turn) for r in rows],
        [Verdict(r.judgment, r.confidence, r.source) for r in rows],
        [seen.get(r.person or "") or r.turn.conversation for r in rows],
        encoder,
        in_service=in_service(),
        learned_from=before.rows,
        remaining=remaining,
    )
    if distilled.new is not None:
        save_satisfaction(distilled.new, folder / KEPT)
    report = distilled.report
    rows_behind = before.rows if distilled.new is None else report.labelled - report.held_out
    content = {
        "trained_on": fingerprint,
        "rows": rows_behind,
        "report": report.model_dump(mode="json"),
    }
    write_whole(folder / f"{KEPT}.json", json.dumps(content, indent=2).encode())
    return report


def _rows(ledger: Ledger, version: str) -> list[JudgedBy]:
    """A bounded sample of what the model judged, in an order that only content decides."""
    heap: list[tuple[int, str, JudgedBy]] = []
    for page in ledger.turns_judged(version):
        for row in page:
            if row.confidence == 0.0:
                continue  # an answer nobody could read says nothing
            name = turn_input(row.turn.conversation, row.turn.idx)
            entry = (-int(sha256(name.encode()).hexdigest()[:16], 16), name, row)
            if len(heap) < _ROWS:
                heapq.heappush(heap, entry)
            elif entry[:2] > heap[0][:2]:
                heapq.heapreplace(heap, entry)
    return [row for _, _, row in sorted(heap, key=lambda e: e[:2])]


def _fingerprint(rows: Sequence[JudgedBy], encoder: str) -> str:
    said = [[r.turn.conversation, r.turn.idx, int(r.judgment)] for r in rows]
    return sha256(json.dumps([encoder, said]).encode()).hexdigest()


def forget_taught(folder: Path) -> None:
    """Take the taught reader away, and what is remembered of its training.

    Args:
        folder: The workspace's trained models.

    Raises:
        StoreError: It cannot be removed.
    """
    remove_classifier(folder / KEPT)
    (folder / f"{KEPT}.json").unlink(missing_ok=True)


class _Last(NamedTuple):
    """What was taught before.

    Attributes:
        trained_on: Fingerprint of the rows.
        rows: How many rows the reader in service was trained on; 0 for the shipped one.
    """

    trained_on: str = ""
    rows: int = 0


def _last(folder: Path) -> _Last:
    path = folder / f"{KEPT}.json"
    if not path.exists():
        return _Last()
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return _Last(str(body["trained_on"]), int(body["rows"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise WorkspaceError(f"{path} is damaged; delete it and run `gpa learn` again") from exc
