"""The satisfaction reader that was trained on a language model's verdicts: numpy only.

One multinomial logistic regression over the columns of the shipped reader: cues of the reply in
its context, and the reply's embedding. How it is trained is in ``satisfaction_training``; how it
is kept on disk in ``storage``.

Verdicts are not simply the likeliest class. Half the log of each class's share in the training
rows is taken off, as if the classes had been half as uneven, and SAT or DSAT also need a reply
that speaks for them more than for NEITHER, whatever was common in the log. So a log of pleased
users does not make silence count as pleased.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpa_agent.conversations.records import Verdict
from gpa_agent.embedding.protocol import TextEncoder
from gpa_agent.errors import WorkspaceError
from gpa_agent.understanding.classifier import CLASSES, design_matrix, predict
from gpa_agent.understanding.cues import CUE_NAMES, score
from gpa_agent.understanding.protocols import JudgedTurn
from gpa_agent.understanding.reading import Reading, read

Floats = NDArray[np.float64]

CHUNK = 2048
"""Turns read at a time, so that memory stays flat."""
EVENING = 0.5
"""How much of the log of a class's share is taken off its log-probability, in [0, 1]. Chosen
from 0, 1/2 and 1 on people's ratings of turns in two corpora, trained on 100 to 5000 of them: half
gave the best macro F1 in nine cases of ten, with from 2 points less to 2 points more accuracy than
the likeliest class. None left DSAT unsaid, all said it too often."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SatisfactionModel:
    """Everything the reader is, as plain arrays and numbers."""

    coefficients: Floats
    """(1 + cues + dim, 3), in the order of ``classifier.design_matrix``."""
    encoder: str
    """Name of the encoder it was trained over; empty where it reads the cues alone."""
    dim: int
    """Length of that encoder's vectors; 0 without one."""
    temperature: float
    """Scores are divided by it before the softmax; above 0."""
    shares: tuple[float, float, float]
    """Shares of DSAT, NEITHER and SAT in what it was trained on; each above 0, sum 1."""
    cues: tuple[str, ...] = CUE_NAMES
    """Names of the cues, in the order of the columns."""
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Held-out figures and what it was trained on, as JSON values."""


def fingerprint(model: SatisfactionModel) -> str:
    """SHA-256 over everything that decides a verdict."""
    plain = [model.encoder, model.dim, model.temperature, model.shares, model.cues, EVENING]
    digest = hashlib.sha256(json.dumps(plain).encode())
    digest.update(np.ascontiguousarray(model.coefficients, np.float64).tobytes())
    return digest.hexdigest()


def features(readings: Sequence[Reading], encoder: TextEncoder | None) -> Floats:
    """Columns of the regression: a one, the cues, the embedding; (n, 1 + cues + dim)."""
    cues = score(list(readings))
    if encoder is None:
        return design_matrix(cues)
    places = {text: i for i, text in enumerate(dict.fromkeys(r.text for r in readings))}
    vectors = encoder.encode(list(places))
    return design_matrix(cues, vectors[[places[r.text] for r in readings]])


def decide(chances: Floats, shares: Sequence[float] | Floats) -> NDArray[np.int64]:
    """(n,) columns of ``CLASSES``: the verdicts that probabilities come to.

    Args:
        chances: (n, 3) probabilities of DSAT, NEITHER and SAT.
        shares: Their shares in the training rows, each above 0.
    """
    logs, usual = np.log(np.maximum(chances, 1e-12)), np.log(np.asarray(shares))
    lift = logs - usual
    best = np.asarray((logs - EVENING * usual).argmax(axis=1), np.int64)
    rows = np.arange(len(best))
    best[lift[rows, best] <= lift[:, 1]] = 1
    return best


class DistilledSatisfaction:
    """Judges answers with a ``SatisfactionModel``.

    Args:
        model: The trained arrays.
        encoder: What the model was trained over; None where it reads the cues alone.

    Raises:
        WorkspaceError: The model was trained over another encoder, or on other cues than this
            version reads.
    """

    def __init__(self, model: SatisfactionModel, encoder: TextEncoder | None) -> None:
        if model.cues != CUE_NAMES:
            raise WorkspaceError(
                "the satisfaction classifier was trained on other cues than this version reads: "
                "train it again with `gpa learn`"
            )
        name, dim = (encoder.name, encoder.dim) if encoder else ("", 0)
        if (model.encoder, model.dim) != (name, dim):
            raise WorkspaceError(
                f"the satisfaction classifier was trained over the encoder {model.encoder!r} "
                f"(dimension {model.dim}) and cannot read {name!r} (dimension {dim}): train it "
                "again with `gpa learn`, or restore the encoder it was trained over"
            )
        self.model = model
        self._encoder = encoder
        self._version = f"satisfaction-distilled-{fingerprint(model)[:16]}"

    @property
    def version(self) -> str:
        """Changes with anything that could change a verdict: weights, shares, encoder."""
        return self._version

    @property
    def report(self) -> Mapping[str, Any]:
        """Held-out figures of the training."""
        return self.model.report

    def judge(self, turns: Sequence[JudgedTurn]) -> list[Verdict]:
        """Judge each turn; NEITHER where it cannot tell.

        The confidence of a verdict is its calibrated probability; its source is ``classifier``.
        """
        chances = self.probabilities(turns)
        return [
            Verdict(CLASSES[column], float(row[column]), "classifier")
            for column, row in zip(
                decide(chances, self.model.shares).tolist(), chances, strict=True
            )
        ]

    def probabilities(self, turns: Sequence[JudgedTurn]) -> Floats:
        """Probabilities of DSAT, NEITHER, SAT: (turns, 3), each row sums to 1."""
        chances = np.tile([0.0, 1.0, 0.0], (len(turns), 1))
        for start in range(0, len(turns), CHUNK):
            readings = [read(turn) for turn in turns[start : start + CHUNK]]
            # With nothing to read there is nothing to judge, whatever the answer was.
            said = [i for i, reading in enumerate(readings) if reading.readable]
            if said:
                design = features([readings[i] for i in said], self._encoder)
                chances[start + np.array(said)] = predict(
                    design, self.model.coefficients, self.model.temperature
                )
        return chances
