"""A small classifier that serves the hot path: linear over sentence embeddings, numpy only.

Logits are ``features @ weights + bias``, plus ``anchor_gain`` times the cosine to the nearest
anchor of the class (an example, a class mean, a description). Softmax at a temperature fitted
on held-out rows (Guo et al. 2017, https://arxiv.org/abs/1706.04599) gives probabilities; where a
scope is fitted, the confidence is instead the probability that the text is in scope *and* the
best class right. Below the threshold the label is ``unknown``.

How such a classifier is trained is in ``training``, ``intents`` and ``groups``; how it is kept
on disk in ``storage``. Nothing here loads scikit-learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import UNKNOWN, Label
from gpa_agent.embedding.hashing import HashingEncoder
from gpa_agent.embedding.protocol import TextEncoder
from gpa_agent.errors import WorkspaceError

Floats = NDArray[np.float32]


class Scope(NamedTuple):
    """Coefficients of the logistic that turns three readings into a confidence.

    Attributes:
        constant: Log-odds where all three readings are zero.
        logit: Per unit of the largest logit.
        log_probability: Per unit of the log of the largest probability.
        nearest: Per unit of cosine to the nearest anchor of any class.
    """

    constant: float
    logit: float
    log_probability: float
    nearest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearModel:
    """Everything a distilled classifier is, as plain arrays and numbers."""

    labels: tuple[str, ...]
    """The K classes, in the order of the columns."""
    encoder: str
    """Name of the encoder it was trained over; it refuses another."""
    dim: int
    """Length of that encoder's vectors (d)."""
    weights: Floats
    """(d, K), or (d + 384, K) where hashed words stand beside the encoder's vector."""
    bias: Floats
    """(K,)"""
    anchors: Floats
    """(A, d) unit rows; A may be 0."""
    anchor_class: NDArray[np.int64]
    """(A,) column of each anchor."""
    anchor_gain: float = 0.0
    """What a cosine of one to the nearest anchor adds to a class's logit."""
    words_gain: float = 0.0
    """Weight of the hashed words beside the encoder's vector; 0 where there are none."""
    temperature: float = 1.0
    """Logits are divided by it before the softmax; above 0."""
    scope: Scope | None = None
    """How confidence is read; None: it is the largest probability."""
    threshold: float = 0.5
    """Confidence below which the label is unknown, in [0, 1]."""
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Held-out figures and what it was trained on, as JSON values."""


class Reading(NamedTuple):
    """What a model makes of n texts.

    Attributes:
        logits: (n, K), before the temperature.
        nearest: (n,) cosine to the nearest anchor; 0 where there are no anchors.
    """

    logits: Floats
    nearest: Floats


class Features(NamedTuple):
    """Texts as numbers.

    Attributes:
        vectors: (n, d) from the encoder.
        words: (n, 384) hashed words, or (n, 0).
    """

    vectors: Floats
    words: Floats


def featurise(texts: Sequence[str], encoder: TextEncoder, *, words: bool) -> Features:
    """Encode texts, with hashed words beside the vectors where wanted."""
    vectors = np.asarray(encoder.encode(texts), np.float32)
    hashed = HashingEncoder().encode(texts) if words else np.zeros((len(texts), 0), np.float32)
    return Features(vectors, hashed)


def read(model: LinearModel, features: Features) -> Reading:
    """Logits and nearest anchors of encoded texts."""
    rows = features.vectors
    if model.words_gain:
        rows = np.hstack([rows, np.float32(model.words_gain) * features.words])
    logits = rows @ model.weights + model.bias
    if not len(model.anchors):
        return Reading(logits, np.zeros(len(rows), np.float32))
    cosine = features.vectors @ model.anchors.T  # (n, A)
    best = np.full(logits.shape, -1.0, np.float32)
    for column in range(len(model.labels)):
        mine = cosine[:, model.anchor_class == column]
        if mine.shape[1]:
            best[:, column] = mine.max(axis=1)
    lifted = np.asarray(logits + model.anchor_gain * best, np.float32)
    return Reading(lifted, best.max(axis=1))


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-probabilities of rows of logits."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def scope_readings(reading: Reading, temperature: float) -> NDArray[np.float64]:
    """(n, 3): largest logit, log of the largest probability, nearest cosine."""
    best = log_softmax(reading.logits / temperature).max(axis=1)
    return np.column_stack([reading.logits.max(axis=1), best, reading.nearest]).astype(np.float64)


def confidence_of(model: LinearModel, reading: Reading) -> NDArray[np.float64]:
    """(n,) probability in [0, 1] that the best class is right."""
    readings = scope_readings(reading, model.temperature)
    if model.scope is None:
        return np.exp(readings[:, 1])
    odds = model.scope.constant + readings @ np.array(model.scope[1:])
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -60.0, 60.0))), np.float64)


class DistilledClassifier:
    """Labels texts with a ``LinearModel``; serves intents and groups alike.

    Args:
        model: The trained arrays.
        encoder: What the model was trained over.

    Raises:
        WorkspaceError: If the model was trained over another encoder.
    """

    def __init__(self, model: LinearModel, encoder: TextEncoder) -> None:
        if (model.encoder, model.dim) != (encoder.name, encoder.dim):
            raise WorkspaceError(
                f"the classifier was trained over the encoder {model.encoder!r} (dimension "
                f"{model.dim}) and cannot read {encoder.name!r} (dimension {encoder.dim}): "
                "train it again with `gpa learn`, or restore the encoder it was trained over"
            )
        self.model = model
        self._encoder = encoder
        self._version = f"distilled-{fingerprint(model)[:16]}"

    @property
    def version(self) -> str:
        """Changes with anything that could change a label: weights, threshold, encoder."""
        return self._version

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of ``probabilities``' columns."""
        return self.model.labels

    @property
    def report(self) -> Mapping[str, Any]:
        """Held-out figures of the training."""
        return self.model.report

    def classify(self, texts: Sequence[str]) -> list[Label]:
        """Label each text, or ``unknown`` below the threshold.

        Args:
            texts: Utterances; an empty one is unknown with confidence 0.

        Returns:
            One label a text, source ``classifier``.
        """
        if not texts:
            return []
        features = self._features(texts)
        reading = read(self.model, features)
        confidence = confidence_of(self.model, reading)
        # A text the encoder sees nothing in (spaces, emoji under hashing) has a vector of zeros.
        said = np.array([bool(text.strip()) for text in texts]) & features.vectors.any(axis=1)
        best = reading.logits.argmax(axis=1)
        return [
            self._label(int(best[row]), float(confidence[row])) if said[row] else _NOTHING
            for row in range(len(texts))
        ]

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(n, K) calibrated probabilities of the classes, given that one of them is right."""
        reading = read(self.model, self._features(texts))
        return np.exp(log_softmax(reading.logits / self.model.temperature))

    def confidences(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(n,) confidence of the best class of each text, whatever the threshold."""
        return confidence_of(self.model, read(self.model, self._features(texts)))

    def _features(self, texts: Sequence[str]) -> Features:
        return featurise(texts, self._encoder, words=self.model.words_gain > 0)

    def _label(self, column: int, confidence: float) -> Label:
        if confidence < self.model.threshold:
            return Label(UNKNOWN, confidence, "classifier")
        return Label(self.model.labels[column], confidence, "classifier")


_NOTHING = Label(UNKNOWN, 0.0, "classifier")


def fingerprint(model: LinearModel) -> str:
    """SHA-256 over everything that decides a label."""
    plain = [
        model.labels,
        model.encoder,
        model.dim,
        model.anchor_gain,
        model.words_gain,
        model.temperature,
        model.scope,
        model.threshold,
    ]
    digest = hashlib.sha256(json.dumps(plain).encode())
    for array in (model.weights, model.bias, model.anchors, model.anchor_class):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
