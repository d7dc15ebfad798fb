"""Which group a user belongs to, told from what they have said: learned only where it can be.

Logistic regression over the embedding of a conversation's user utterances, balanced between
groups. The held-out score is over people never trained on, and, where strata (domain, intent)
are given, only compares people of the same stratum: groups that merely talk about different
things would otherwise look like groups that talk differently. Training weights make group and
stratum independent for the same reason. Where the lower end of the bootstrap interval over
people is not clearly above chance, there is no classifier, and the report says why: a user of
unknown group gets the plain answer, which is better than a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.embedding.protocol import TextEncoder
from gpa_agent.errors import UsageError
from gpa_agent.understanding.distilled import (
    DistilledClassifier,
    Floats,
    LinearModel,
    log_softmax,
)
from gpa_agent.understanding.training import fit_softmax, fit_temperature

MARGIN = 0.05
"""How far above 0.5 the lower end of the AUC's interval must lie."""
MIN_PEOPLE = 10
"""People a group needs to be learned."""
_FOLDS = 5
_STRENGTH = 1.0
"""Inverse penalty: unit vectors of 384 dimensions and hundreds of rows want a strong one."""
_RESAMPLES = 400
_MAX_WEIGHT = 10.0
"""No row counts for more than ten: a rare pairing of group and stratum must not decide alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupReport:
    """Whether groups can be told from wording, and how that was found out."""

    trained: bool
    """Whether there is a classifier."""
    reason: str
    """Why there is none; empty where there is."""
    conversations: int = 0
    """Conversations with text and a group."""
    people: dict[str, int] = field(default_factory=dict[str, int])
    """People of each group."""
    stratified: bool = False
    """Whether the AUC compares only within strata."""
    auc: float | None = None
    """Held-out area under the ROC curve, mean of one group against the rest; chance is 0.5."""
    interval: tuple[float, float] | None = None
    """95% bootstrap interval of the AUC over people."""
    balanced_accuracy: float | None = None
    """Held-out mean recall over groups, weighted like the training; 1/groups is chance."""
    coverage: float | None = None
    """Share of held-out conversations at or above the confidence asked for."""
    precision: float | None = None
    """Share of those whose group is right."""


class _Data(NamedTuple):
    rows: Floats  # (n, d)
    target: NDArray[np.int64]  # (n,)
    person: NDArray[np.int64]  # (n,)
    stratum: NDArray[np.int64]  # (n,)
    weight: NDArray[np.float64]  # (n,)


def train_group_classifier(
    texts: Sequence[str],
    groups: Sequence[str],
    people: Sequence[str],
    encoder: TextEncoder,
    *,
    min_confidence: float = 0.5,
    strata: Sequence[str] | None = None,
    margin: float = MARGIN,
    seed: int = 0,
) -> tuple[DistilledClassifier | None, GroupReport]:
    """Train a group classifier, if the groups can be told apart at all.

    Args:
        texts: The user utterances of each conversation, concatenated.
        groups: The group of each conversation's user; ``unknown`` is left out.
        people: Who the user is; no person is on both sides of a held-out fold.
        encoder: What turns texts into vectors.
        min_confidence: Confidence in [0, 1] below which a user is ``unknown``. With two groups
            every confidence is at least 0.5.
        strata: Domain or intent of each conversation; scores are then compared within strata.
        margin: How far above 0.5 the lower end of the AUC's interval must lie.
        seed: Seed of folds and bootstrap.

    Returns:
        The classifier, or None where the held-out AUC is not clearly above chance or there are
        too few people, and the report.

    Raises:
        UsageError: If the sequences differ in length or the confidence is out of range.
    """
    strata = [""] * len(texts) if strata is None else strata
    _check(texts, groups, people, strata, min_confidence)
    said = [i for i in range(len(texts)) if texts[i].strip() and groups[i] != UNKNOWN]
    members = {(groups[i], people[i]) for i in said}
    size = {
        g: sum(1 for group, _ in members if group == g) for g in sorted({m[0] for m in members})
    }
    labels = tuple(g for g in size if size[g] >= MIN_PEOPLE)
    said = [i for i in said if groups[i] in labels]
    stratified = len({strata[i] for i in said}) > 1
    if len(labels) < 2:
        reason = f"fewer than two groups have {MIN_PEOPLE} people with something said: {size}"
        return None, GroupReport(trained=False, reason=reason, people=size, conversations=len(said))
    data = _gather(
        encoder.encode([texts[i] for i in said]),
        [labels.index(groups[i]) for i in said],
        [people[i] for i in said],
        [strata[i] for i in said],
    )
    rng = np.random.default_rng(seed)
    held_out = _cross_validate(data, len(labels), rng)
    temperature = fit_temperature(held_out, data.target, data.weight)
    model = _final(data, labels, encoder, temperature, min_confidence)
    report = _judge(data, held_out, model, size, stratified=stratified, margin=margin, rng=rng)
    if not report.trained:
        return None, report
    return DistilledClassifier(replace(model, report=asdict(report)), encoder), report


def _gather(
    rows: Floats, target: Sequence[int], people: Sequence[str], strata: Sequence[str]
) -> _Data:
    """Arrays of what was said; weights make group and stratum independent, groups equal."""
    person = _numbered(people)
    stratum = _numbered(strata)
    column = np.array(target, np.int64)
    cell = stratum * (column.max() + 1) + column
    in_stratum, in_cell = np.bincount(stratum)[stratum], np.bincount(cell)[cell]
    weight = np.minimum(in_stratum / in_cell, _MAX_WEIGHT)
    for k in np.unique(column):
        weight[column == k] /= weight[column == k].sum()
    return _Data(rows, column, person, stratum, weight * len(column) / weight.sum())


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], np.int64)


def _cross_validate(data: _Data, classes: int, rng: np.random.Generator) -> Floats:
    """(n, K) logits of each row from a model that never saw its person."""
    fold = _folds(data, rng)
    logits = np.zeros((len(data.target), classes), np.float32)
    for number in range(_FOLDS):
        out = fold[data.person] == number
        fit = fit_softmax(
            data.rows[~out],
            data.target[~out],
            classes=classes,
            strength=_STRENGTH,
            weight=data.weight[~out],
        )
        logits[out] = data.rows[out] @ fit.weights + fit.bias
    return logits


def _folds(data: _Data, rng: np.random.Generator) -> NDArray[np.int64]:
    """(P,) fold of each person: dealt in turn within group and stratum, in random order."""
    people = int(data.person.max()) + 1
    first = np.zeros(people, np.int64)
    first[data.person[::-1]] = np.arange(len(data.person))[::-1]
    order = rng.permutation(people)
    # Groups are numbered by who comes first, so that renaming them moves no one.
    group = _numbered([str(k) for k in data.target[first]])
    order = order[np.lexsort((data.stratum[first][order], group[order]))]
    fold = np.zeros(people, np.int64)
    fold[order] = np.arange(people) % _FOLDS
    return fold


def _final(
    data: _Data,
    labels: tuple[str, ...],
    encoder: TextEncoder,
    temperature: float,
    threshold: float,
) -> LinearModel:
    fit = fit_softmax(
        data.rows, data.target, classes=len(labels), strength=_STRENGTH, weight=data.weight
    )
    return LinearModel(
        labels=labels,
        encoder=encoder.name,
        dim=encoder.dim,
        weights=fit.weights,
        bias=fit.bias,
        anchors=np.zeros((0, encoder.dim), np.float32),
        anchor_class=np.zeros(0, np.int64),
        temperature=temperature,
        threshold=threshold,
    )


def _judge(
    data: _Data,
    logits: Floats,
    model: LinearModel,
    size: dict[str, int],
    *,
    stratified: bool,
    margin: float,
    rng: np.random.Generator,
) -> GroupReport:
    score = np.exp(log_softmax(logits / model.temperature))
    auc = stratified_auc(score, data.target, data.stratum, np.ones(len(data.target)))
    if auc is None:
        reason = "no stratum has people of two groups, so wording cannot be told from topic"
        return GroupReport(trained=False, reason=reason, people=size, stratified=stratified)
    low, high = _interval(score, data, rng)
    right = logits.argmax(axis=1) == data.target
    kept = score.max(axis=1) >= model.threshold
    clear = low > 0.5 + margin
    reason = (
        ""
        if clear
        else f"groups cannot be told from wording: held-out AUC {auc:.2f}, interval {low:.2f} to "
        f"{high:.2f} over people, where the lower end must be above {0.5 + margin:.2f}"
    )
    return GroupReport(
        trained=clear,
        reason=reason,
        conversations=len(data.target),
        people=size,
        stratified=stratified,
        auc=auc,
        interval=(low, high),
        balanced_accuracy=float(np.average(right, weights=data.weight)),
        coverage=float(kept.mean()),
        precision=float(right[kept].mean()) if kept.any() else None,
    )


def _interval(
    score: NDArray[np.float64], data: _Data, rng: np.random.Generator
) -> tuple[float, float]:
    """95% percentile interval of the AUC, people drawn with replacement."""
    people = int(data.person.max()) + 1
    found: list[float] = []
    for _ in range(_RESAMPLES):
        drawn = np.bincount(rng.integers(people, size=people), minlength=people)[data.person]
        auc = stratified_auc(score, data.target, data.stratum, drawn.astype(np.float64))
        if auc is not None:
            found.append(auc)
    low, high = np.quantile(found, [0.025, 0.975]) if found else (0.0, 1.0)
    return float(low), float(high)


def stratified_auc(
    score: NDArray[np.float64],
    target: NDArray[np.int64],
    stratum: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> float | None:
    """Weighted AUC over pairs of the same stratum, mean over groups of one against the rest.

    Args:
        score: (n, K) scores; column k is higher the likelier group k.
        target: (n,) groups.
        stratum: (n,) only rows of equal strata are compared.
        weight: (n,) how often each row counts.

    Returns:
        Probability in [0, 1] that a member scores above a non-member of the same stratum, ties
        half; None where no stratum has both.
    """
    columns: list[float] = []
    for k in range(score.shape[1]):
        won = pairs = 0.0
        for part in np.unique(stratum):
            rows = stratum == part
            above, count = _pairs(score[rows, k], target[rows] == k, weight[rows])
            won, pairs = won + above, pairs + count
        if pairs > 0:
            columns.append(won / pairs)
    return float(np.mean(columns)) if columns else None


def _pairs(
    score: NDArray[np.float64], member: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Weight of pairs in which the member scores higher (ties half), and of all pairs."""
    values, place = np.unique(score, return_inverse=True)
    ours = np.bincount(place[member], weights=weight[member], minlength=len(values))
    theirs = np.bincount(place[~member], weights=weight[~member], minlength=len(values))
    below = np.cumsum(theirs) - theirs / 2.0
    return float(ours @ below), float(ours.sum() * theirs.sum())


def _check(
    texts: Sequence[str],
    groups: Sequence[str],
    people: Sequence[str],
    strata: Sequence[str],
    min_confidence: float,
) -> None:
    if not len(texts) == len(groups) == len(people) == len(strata):
        raise UsageError(
            f"{len(texts)} texts came with {len(groups)} groups, {len(people)} people and "
            f"{len(strata)} strata; give one of each per text"
        )
    if not 0.0 <= min_confidence <= 1.0:
        raise UsageError(
            f"min_confidence is {min_confidence!r}; it is a probability between 0 and 1"
        )
