"""A language model's verdicts, distilled into the small satisfaction reader.

Multinomial logistic regression over the shipped reader's scores, its cues and the reply's
embedding, all under one penalty: with few verdicts it is the shipped reader with its scores
rescaled, with many it is what this log's users mean. The sum is linear in cues and embedding, so
that it folds into one table of coefficients. On people's ratings of turns its log loss was below
that of a fit from nothing at every size, most where ratings were few. A temperature calibrates the
probabilities on people left out of the fit (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

What comes out is kept only where, on people it was not trained on, it is better than the reader
in service (macro F1 or share agreed on clearly higher, neither clearly lower) and better than
guessing (the interval of its macro F1 lies above 1/3): beside a reader that understands nothing
of a log, guessing would already be a gain.

Departs from the paper (Group Preference Alignment, section 3.1), which asks a model about every
turn: what it said of some turns here trains a reader for the rest, and for the hot path (the
distillation of SPUR, https://arxiv.org/abs/2403.12388).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import Verdict
from gpa_agent.embedding.protocol import TextEncoder
from gpa_agent.errors import UsageError
from gpa_agent.understanding.agreement import (
    Agreement,
    Compared,
    Interval,
    Said,
    compare,
    measure,
    number_people,
)
from gpa_agent.understanding.classifier import CLASSES, load, shipped
from gpa_agent.understanding.distilled import log_softmax
from gpa_agent.understanding.distilled_satisfaction import (
    DistilledSatisfaction,
    SatisfactionModel,
    decide,
    features,
)
from gpa_agent.understanding.protocols import JudgedTurn, SatisfactionReader
from gpa_agent.understanding.reading import read
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction
from gpa_agent.understanding.training import Fit, fit_softmax, fit_temperature

MIN_PEOPLE = 10
"""People each of the three verdicts needs: without any NEITHER, silence would have to please."""
GUESSING = 1.0 / 3.0
"""The best macro F1 that labels drawn without looking can expect: drawn by the shares p of the
three verdicts, each has F1 2pp / (p + p) = p, and the mean is 1/3."""
_FOLDS = 5
_STRENGTH = 0.1
"""Inverse penalty: of 0.1, 0.3 and 1 the least log loss on ratings of 100 to 5000 turns."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class SatisfactionReport:
    """Whether a reader could be distilled, and how that was found out."""

    trained: bool
    """Whether there is one that is better than the reader in service."""
    reason: str
    """Why there is none; empty where there is."""
    rows: int = 0
    """Turns with a verdict."""
    people: int = 0
    """Whose turns they are."""
    classes: dict[str, int] = field(default_factory=dict[str, int])
    """Turns of each verdict."""
    new: Agreement | None = None
    """Agreement with the model's verdicts on people not trained on."""
    in_service: Agreement | None = None
    """The same of the reader in service, on the very same turns."""
    interval: Interval | None = None
    """95% bootstrap interval over people of the new one's macro F1."""
    gain_macro_f1: Interval | None = None
    """The same of the difference in macro F1 to the one in service."""
    gain_accuracy: Interval | None = None
    """The same of the difference in accuracy."""


class _Data(NamedTuple):
    """The turns in which there is something to read, r of n."""

    readable: NDArray[np.bool_]  # (n,)
    rows: NDArray[np.float32]  # (r, 3 + cues + dim): shipped scores, cues, embedding
    target: NDArray[np.int64]  # (r,) column of CLASSES
    person: NDArray[np.int64]  # (r,)


def train_satisfaction(
    turns: Sequence[JudgedTurn],
    verdicts: Sequence[Verdict],
    people: Sequence[str],
    encoder: TextEncoder | None,
    *,
    in_service: SatisfactionReader | None = None,
    confidence: float = 0.8,
    seed: int = 0,
) -> tuple[DistilledSatisfaction | None, SatisfactionReport]:
    """Train a satisfaction reader on a model's verdicts, if that makes it better.

    Args:
        turns: What was judged.
        verdicts: What the model said of each; leave out turns of which it said nothing readable.
        people: Whose turns they are; no person is on both sides of a held-out fold.
        encoder: Embeds the replies; None for the cues alone.
        in_service: The reader to be better than, on people it was not trained on either; the
            shipped one where None.
        confidence: In [0, 1]; the report says how many turns are judged at or above it, and
            how often the model then agrees.
        seed: Seed of folds and bootstrap.

    Returns:
        The reader, or None where it is not clearly better or there is too little to learn
        from, and the report.

    Raises:
        UsageError: The sequences differ in length or the confidence is out of range.
    """
    _check(turns, verdicts, people, confidence)
    true = [verdict.judgment.name for verdict in verdicts]
    report = SatisfactionReport(
        trained=False,
        reason=_scarcity(turns, true, people),
        rows=len(turns),
        people=len(set(people)),
        classes={c.name: true.count(c.name) for c in CLASSES},
    )
    if report.reason:
        return None, report
    prior = _shipped(encoder)
    data = _gather(turns, true, people, encoder, prior)
    held_out = _cross_validate(data, np.random.default_rng(seed))
    temperature = fit_temperature(held_out, data.target)
    shares = np.bincount(data.target, minlength=3) / len(data.target)
    new = _said(held_out / temperature, shares, data.readable)
    old = said_by(in_service or EmbeddedSatisfaction(encoder), turns)
    report = _compared(report, new, old, true, people, confidence=confidence, seed=seed)
    if not report.trained:
        return None, report
    model = SatisfactionModel(
        coefficients=_folded(_fit(data.rows, data.target), prior),
        encoder=encoder.name if encoder else "",
        dim=encoder.dim if encoder else 0,
        temperature=temperature,
        shares=(float(shares[0]), float(shares[1]), float(shares[2])),
        report=asdict(report),
    )
    return DistilledSatisfaction(model, encoder), report


def said_by(reader: SatisfactionReader, turns: Sequence[JudgedTurn]) -> Said:
    """What a reader says of turns, as labels and confidences."""
    verdicts = reader.judge(turns)
    return Said(
        [verdict.judgment.name for verdict in verdicts],
        np.array([verdict.confidence for verdict in verdicts], np.float64),
    )


def _scarcity(turns: Sequence[JudgedTurn], true: Sequence[str], people: Sequence[str]) -> str:
    """What there is too little of, in words; empty where there is enough."""
    heard: dict[str, set[str]] = {c.name: set() for c in CLASSES}
    for turn, name, person in zip(turns, true, people, strict=True):
        if read(turn).readable:
            heard[name].add(person)
    counts = {name: len(theirs) for name, theirs in heard.items()}
    if min(counts.values()) >= MIN_PEOPLE:
        return ""
    return f"fewer than {MIN_PEOPLE} people gave turns of one of the verdicts: {counts}"


def _shipped(encoder: TextEncoder | None) -> Floats:
    """(1 + cues + dim, 3) the shipped coefficients over the same columns."""
    if encoder is not None and encoder.name in shipped():
        return load(encoder.name).coefficients
    cues = load("cues").coefficients
    return np.vstack([cues, np.zeros((encoder.dim if encoder else 0, 3))])


def _gather(
    turns: Sequence[JudgedTurn],
    true: Sequence[str],
    people: Sequence[str],
    encoder: TextEncoder | None,
    prior: Floats,
) -> _Data:
    readings = [read(turn) for turn in turns]
    readable = np.array([reading.readable for reading in readings], np.bool_)
    design = features([reading for reading in readings if reading.readable], encoder)
    columns = {c.name: k for k, c in enumerate(CLASSES)}
    return _Data(
        readable=readable,
        rows=np.hstack([design @ prior, design[:, 1:]]).astype(np.float32),
        target=np.array([columns[name] for name in true], np.int64)[readable],
        person=number_people(people)[readable],
    )


def _fit(rows: NDArray[np.float32], target: NDArray[np.int64]) -> Fit:
    return fit_softmax(rows, target, classes=3, strength=_STRENGTH)


def _cross_validate(data: _Data, rng: np.random.Generator) -> Floats:
    """(r, 3) scores of each row from a fit without its person's fold."""
    fold = (rng.permutation(int(data.person.max()) + 1) % _FOLDS)[data.person]
    scores = np.zeros((len(data.target), 3))
    for number in range(_FOLDS):
        out = fold == number
        fit = _fit(data.rows[~out], data.target[~out])
        scores[out] = data.rows[out] @ fit.weights + fit.bias
    return scores


def _said(scores: Floats, shares: Floats, readable: NDArray[np.bool_]) -> Said:
    """What scores come to, with NEITHER where there is nothing to read."""
    columns = np.ones(len(readable), np.int64)
    confidence = np.ones(len(readable))
    chances = np.exp(log_softmax(scores))
    columns[readable] = decide(chances, shares)
    confidence[readable] = chances[np.arange(len(chances)), columns[readable]]
    return Said([CLASSES[column].name for column in columns.tolist()], confidence)


def _folded(fit: Fit, prior: Floats) -> Floats:
    """(1 + cues + dim, 3) one table that scores like the fit over shipped scores and columns."""
    weights = fit.weights.astype(np.float64)
    folded: Floats = prior @ weights[:3]
    folded[0] += fit.bias
    folded[1:] += weights[3:]
    return folded


def _compared(
    report: SatisfactionReport,
    new: Said,
    old: Said,
    true: Sequence[str],
    people: Sequence[str],
    *,
    confidence: float,
    seed: int,
) -> SatisfactionReport:
    """The report with the figures of both readers and what they decide."""
    found = compare(new, old, true, people, seed=seed)
    why_not = _why_not(found)
    return replace(
        report,
        trained=not why_not,
        reason=why_not,
        new=measure(new, true, confidence=confidence),
        in_service=measure(old, true, confidence=confidence),
        interval=found.interval,
        gain_macro_f1=found.macro_f1.gain,
        gain_accuracy=found.accuracy.gain,
    )


def _why_not(found: Compared) -> str:
    """Why the new reader is not to be used; empty where it is."""
    if found.interval.low <= GUESSING:
        return (
            f"no better than guessing: held-out macro F1 {found.macro_f1.new:.2f}, interval "
            f"{found.interval.low:.2f} to {found.interval.high:.2f} over people, where the lower "
            "end must be above 0.33"
        )
    return "" if found.better else f"not clearly better than the reader in service: {found}"


def _check(
    turns: Sequence[JudgedTurn],
    verdicts: Sequence[Verdict],
    people: Sequence[str],
    confidence: float,
) -> None:
    if not len(turns) == len(verdicts) == len(people):
        raise UsageError(
            f"{len(turns)} turns came with {len(verdicts)} verdicts and {len(people)} people; "
            "give one of each per turn"
        )
    if not 0.0 <= confidence <= 1.0:
        raise UsageError(f"confidence is {confidence!r}; it is a probability between 0 and 1")
