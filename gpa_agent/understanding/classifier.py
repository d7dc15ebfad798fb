"""A multinomial logistic regression over cue scores and, beside them, the reply's embedding.

The best small classifier for conversation satisfaction puts rubric-item scores next to an
embedding in one regression (SPUR, arXiv 2403.12388, section on distillation); deeper ones
overfit. Here the item scores are the cues'. Weights are safetensors with a JSON beside them that
names the columns, loaded once from the package; predicting needs numpy alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors

from gpa_agent.conversations.records import Judgment
from gpa_agent.errors import DataError
from gpa_agent.understanding.cues import CUE_NAMES

Floats = NDArray[np.float64]

CLASSES: tuple[Judgment, Judgment, Judgment] = (Judgment.DSAT, Judgment.NEITHER, Judgment.SAT)
"""The columns of every table of probabilities."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """A fitted classifier."""

    name: str
    """``cues`` (no embedding) or the name of the encoder it was fitted with."""
    coefficients: Floats
    """(1 + cues + dimensions of the embedding, 3), in the order of :func:`design_matrix`."""
    temperature: float
    """What the scores are divided by so that confidence matches held-out accuracy; > 0."""
    neither_shift: float
    """Added to the log-probability of NEITHER before the most likely class is taken; <= 0."""
    version: str
    """Hash of the tensors and of the two numbers above."""


def design_matrix(cues: Floats, embedding: NDArray[np.float32] | None = None) -> Floats:
    """Columns of the regression: a one, the cues, the embedding; (n, 1 + cues + dimensions)."""
    blocks = [np.ones((len(cues), 1)), cues]
    if embedding is not None:
        blocks.append(embedding.astype(np.float64))
    return np.hstack(blocks)


def predict(design: Floats, coefficients: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities of DSAT, NEITHER, SAT: (n, 3), rows sum to 1."""
    # einsum, because BLAS sums a batch in another order than a single row: a turn must be
    # judged alike alone and among others.
    scores: Floats = np.einsum("nd,dc->nc", design, coefficients) / temperature
    scores -= scores.max(axis=1, keepdims=True)
    raised: Floats = np.exp(scores)
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def shipped() -> tuple[str, ...]:
    """Names of the weights in the package."""
    folder = resources.files("gpa_agent.understanding") / "weights"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@cache
def load(name: str) -> Weights:
    """Weights from the package.

    Raises:
        DataError: They do not belong to this version of the cues.
    """
    folder = resources.files("gpa_agent.understanding") / "weights"
    about: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    if tuple(about["cues"]) != CUE_NAMES:
        raise DataError(
            f"The satisfaction weights {name!r} were trained on other cues than this version "
            "reads. Run finetune/satisfaction/train.py again."
        )
    tensors = load_tensors((folder / f"{name}.safetensors").read_bytes())
    return Weights(
        name=name,
        coefficients=tensors["coefficients"].astype(np.float64),
        temperature=float(about["temperature"]),
        neither_shift=float(about["neither_shift"]),
        version=str(about["version"]),
    )
