"""What a user asks for: intents of a taxonomy, told from names, descriptions and examples.

Zero-shot, an utterance goes to the intent whose name and description lie nearest. With
examples, logistic regression over embeddings and hashed words is joined by the cosine to the
nearest example; an intent that has only a description stands among the others by its own
vector. Either way the confidence is the probability that the utterance is in scope and the
intent right: a logistic over the largest logit, the largest probability and the nearest cosine,
fitted on examples held out, on whole intents held out (what an unforeseen intent looks like, as
in Larson et al. 2019, https://aclanthology.org/D19-1131) and on background talk.

Departs from the paper (Group Preference Alignment, section 3.1), which asks a model for domain
and task each turn: labels named by a model train this classifier, which then answers in
milliseconds without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.embedding.protocol import TextEncoder
from gpa_agent.errors import UsageError
from gpa_agent.understanding.background import BACKGROUND, Noise, measure_noise
from gpa_agent.understanding.distilled import (
    DistilledClassifier,
    Features,
    LinearModel,
    Scope,
    featurise,
)
from gpa_agent.understanding.few_shot import Material, train
from gpa_agent.understanding.taxonomy import Entry, TaxonomyEntry, check_taxonomy, describe

_SHARPNESS = 1.5
"""Logits per standard deviation of unrelated cosines; least log loss on CLINC150's training
utterances over random taxonomies of 2 to 120 intents."""
_ZERO_SHOT = (-0.2, 1.35, 1.0)
"""Constant, slope of the log-probability, and slope of the nearest cosine in standard deviations
above what the nearest of K unrelated anchors would reach. Fitted the same way with one utterance
in five out of scope (constant -1.75), moved to the odds of one in twenty: ln 19 - ln 4 = 1.56."""
_STRENGTHS = (1.0, 4.0, 20.0)
"""Inverse penalties tried where labelled utterances come from a log."""


def build_intent_classifier(
    taxonomy: Mapping[str, TaxonomyEntry],
    encoder: TextEncoder,
    *,
    min_confidence: float = 0.5,
) -> DistilledClassifier:
    """A classifier from what a taxonomy says of its intents.

    Args:
        taxonomy: Intents by name; each may have a description, examples, both or neither.
        encoder: What turns texts into vectors.
        min_confidence: Confidence in [0, 1] below which an utterance is ``unknown``.

    Returns:
        An ``IntentClassifier``. The same taxonomy always gives the same one.

    Raises:
        UsageError: If the taxonomy is empty or names an intent ``unknown``, or the confidence
            is out of range.

    Example:
        >>> from gpa_agent.embedding import HashingEncoder
        >>> taxonomy = {"billing": Entry(description="invoices, payments and refunds"),
        ...             "travel": Entry(description="flights, hotels and trips")}
        >>> classifier = build_intent_classifier(taxonomy, HashingEncoder())
        >>> classifier.classify(["where are my invoices and refunds"])[0].value
        'billing'
    """
    check_taxonomy(taxonomy)
    _check_confidence(min_confidence)
    texts = [text for entry in taxonomy.values() for text in entry.examples if text.strip()]
    target = np.array(
        [k for k, e in enumerate(taxonomy.values()) for text in e.examples if text.strip()],
        np.int64,
    )
    described = describe(taxonomy, encoder)
    background = _background(encoder)
    if not texts:
        return DistilledClassifier(
            _zero_shot(tuple(taxonomy), described, background, encoder, min_confidence), encoder
        )
    material = Material(
        labels=tuple(taxonomy),
        rows=featurise(texts, encoder, words=True),
        target=target,
        folds=_folds_within(target),
        described=described,
        background=background,
        encoder=encoder.name,
    )
    anchors = np.vstack([material.rows.vectors, described.vectors])
    fallback = _zero_shot_scope(measure_noise(background.vectors, anchors), len(anchors))
    return DistilledClassifier(
        train(material, threshold=min_confidence, fallback=fallback), encoder
    )


def train_intent_classifier(
    texts: Sequence[str],
    labels: Sequence[str],
    taxonomy: Mapping[str, TaxonomyEntry],
    encoder: TextEncoder,
    *,
    people: Sequence[str] | None = None,
    min_confidence: float = 0.5,
    min_texts: int = 5,
) -> tuple[DistilledClassifier | None, dict[str, Any]]:
    """Distil labelled utterances of a log into a classifier.

    Only means over an intent's utterances are kept as anchors, no single utterance: what a
    person said cannot be read back from the classifier.

    Args:
        texts: User utterances.
        labels: Their intents, by a model or a record; ``unknown`` and blank texts are left out.
        taxonomy: Intents by name. A label it lacks is taken on once ``min_texts`` carry it.
        encoder: What turns texts into vectors.
        people: Who said each text; held-out figures are then over people not trained on.
        min_confidence: Confidence in [0, 1] below which an utterance is ``unknown``.
        min_texts: Utterances an intent needs to be learned from; below, its description serves.

    Returns:
        The classifier, or None where no intent has enough utterances, and a report with
        ``trained``, ``reason``, ``rows``, ``accuracy``, ``balanced_accuracy``, ``coverage``,
        ``precision`` (both at ``min_confidence``) and ``scope_auc``, held out.

    Raises:
        UsageError: If the sequences differ in length or the confidence is out of range.
    """
    _check_confidence(min_confidence)
    if len(texts) != len(labels) or (people is not None and len(people) != len(texts)):
        raise UsageError(
            f"{len(texts)} texts came with {len(labels)} labels"
            f"{'' if people is None else f' and {len(people)} people'}; give one of each per text"
        )
    said = [i for i, text in enumerate(texts) if text.strip() and labels[i] != UNKNOWN]
    counts = Counter(labels[i] for i in said)
    learnable = {label for label, count in counts.items() if count >= min_texts}
    if not learnable:
        most = max(counts.values(), default=0)
        reason = f"no intent has {min_texts} labelled utterances (the most any has is {most})"
        return None, {"trained": False, "reason": reason, "rows": len(said)}
    entries = {**dict.fromkeys(sorted(learnable - set(taxonomy)), Entry()), **taxonomy}
    check_taxonomy(entries)
    column = {label: k for k, label in enumerate(entries)}
    used = [i for i in said if labels[i] in learnable]
    target = np.array([column[labels[i]] for i in used], np.int64)
    described, background = describe(entries, encoder), _background(encoder)
    material = Material(
        labels=tuple(entries),
        rows=featurise([texts[i] for i in used], encoder, words=True),
        target=target,
        folds=_folds_within(target) if people is None else _folds_of([people[i] for i in used]),
        described=described,
        background=background,
        encoder=encoder.name,
    )
    model = train(
        material,
        threshold=min_confidence,
        fallback=_zero_shot_scope(_noise(described, background), len(entries)),
        strengths=_STRENGTHS,
        means_only=True,
    )
    return DistilledClassifier(model, encoder), dict(model.report)


def _zero_shot(
    labels: tuple[str, ...],
    described: Features,
    background: Features,
    encoder: TextEncoder,
    threshold: float,
) -> LinearModel:
    noise = _noise(described, background)
    return LinearModel(
        labels=labels,
        encoder=encoder.name,
        dim=encoder.dim,
        weights=np.zeros((encoder.dim, len(labels)), np.float32),
        bias=np.zeros(len(labels), np.float32),
        anchors=described.vectors,
        anchor_class=np.arange(len(labels)),
        anchor_gain=_SHARPNESS / noise.spread,
        scope=_zero_shot_scope(noise, len(labels)),
        threshold=threshold,
        report={"trained": False, "reason": "zero-shot: the taxonomy has no examples"},
    )


def _zero_shot_scope(noise: Noise, anchors: int) -> Scope:
    constant, probability, nearest = _ZERO_SHOT
    by_chance = noise.level + noise.spread * float(np.sqrt(2.0 * np.log(anchors)))
    slope = nearest / noise.spread
    return Scope(constant - slope * by_chance, 0.0, probability, slope)


def _noise(described: Features, background: Features) -> Noise:
    return measure_noise(background.vectors, described.vectors)


def _background(encoder: TextEncoder) -> Features:
    return featurise(BACKGROUND, encoder, words=True)


def _folds_within(target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal each class's rows to five folds in turn."""
    folds = np.zeros(len(target), np.int64)
    for column in np.unique(target):
        rows = np.flatnonzero(target == column)
        folds[rows] = (np.arange(len(rows)) + column) % 5
    return folds


def _folds_of(people: Sequence[str]) -> NDArray[np.int64]:
    """Deal people to five folds in the order in which they first speak."""
    number = {person: i % 5 for i, person in enumerate(dict.fromkeys(people))}
    return np.array([number[person] for person in people], np.int64)


def _check_confidence(value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"min_confidence is {value!r}; it is a probability between 0 and 1")
