"""The embedded satisfaction reader: the user's next turn judges the answer before it.

Cues (:mod:`~gpa_agent.understanding.cues`) are read from the reply in its context; where they
alone do not decide, the reply is embedded too, and one small logistic regression over both says
how likely DSAT, NEITHER and SAT are (:mod:`~gpa_agent.understanding.classifier`). Its training
text was written for it (``finetune/satisfaction``): no corpus went in. Weights are shipped for
the two encoders that the package brings; beside any other encoder the cues judge alone.

A verdict that is not clearly better than its alternatives is NEITHER: silence, an empty or
unreadable reply, or a plain continuation never counts as satisfied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpa_agent.conversations.records import Verdict
from gpa_agent.errors import UsageError
from gpa_agent.understanding.classifier import CLASSES, design_matrix, load, predict, shipped
from gpa_agent.understanding.cues import score
from gpa_agent.understanding.reading import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpa_agent.embedding import TextEncoder
    from gpa_agent.understanding.protocols import JudgedTurn

CHUNK = 2048
"""Turns read at a time, so that memory stays flat."""

_NEITHER = np.array([0.0, 1.0, 0.0])


class _Read(NamedTuple):
    """What was read from some turns, row by row."""

    chances: NDArray[np.float64]
    """(turns, 3)"""
    shifts: NDArray[np.float64]
    """What the log-probability of NEITHER is moved by."""
    embedded: NDArray[np.bool_]
    """Whether the reply was embedded."""


class EmbeddedSatisfaction:
    """Judges answers without a model call, without the network, and deterministically.

    Args:
        encoder: Embeds the replies; None, or one without shipped weights, leaves it to the cues.
        embed_below: Replies of which the cues are at least this sure (probability in [0, 1]) are
            not embedded. 0 embeds none, above 1 all.
        abstain_below: SAT and DSAT less probable than this are NEITHER.

    Raises:
        UsageError: A threshold is not usable.

    Example:
        >>> from gpa_agent.understanding.protocols import JudgedTurn
        >>> reader = EmbeddedSatisfaction()
        >>> turn = JudgedTurn("How do I exit vim?", "Type :q! and Enter.", "That worked, thanks!")
        >>> reader.judge([turn])[0].judgment.name
        'SAT'
    """

    def __init__(
        self,
        encoder: TextEncoder | None = None,
        *,
        embed_below: float = 0.9,
        abstain_below: float = 0.4,
    ) -> None:
        for name, value in (("embed_below", embed_below), ("abstain_below", abstain_below)):
            if not value >= 0:
                raise UsageError(f"{name}={value!r} is not a probability: give 0 to 1.")
        self._cues = load("cues")
        known = encoder is not None and encoder.name in shipped()
        self._encoder = encoder if known else None
        self._full = load(encoder.name) if known and encoder is not None else None
        self._embed_below = embed_below
        self._abstain_below = abstain_below

    @property
    def version(self) -> str:
        """Changes whenever the same input could be judged differently."""
        full = f"+{self._full.name}-{self._full.version}" if self._full else ""
        return (
            f"satisfaction-{self._cues.version}{full}-{self._embed_below:g}-{self._abstain_below:g}"
        )

    def judge(self, turns: Sequence[JudgedTurn]) -> list[Verdict]:
        """Judge each turn; NEITHER where it cannot tell.

        The confidence of a verdict is its probability; its source is ``cues`` where they were
        enough, else ``classifier``.
        """
        read = self._read(turns)
        leaning = np.log(np.maximum(read.chances, 1e-12))
        leaning[:, 1] += read.shifts
        best = leaning.argmax(axis=1)
        likely = read.chances[np.arange(len(best)), best]
        best[(best != 1) & (likely < self._abstain_below)] = 1
        sources = np.where(read.embedded, "classifier", "cues").tolist()
        return [
            Verdict(CLASSES[column], float(chances[column]), source)
            for column, chances, source in zip(best.tolist(), read.chances, sources, strict=True)
        ]

    def probabilities(self, turns: Sequence[JudgedTurn]) -> NDArray[np.float64]:
        """Probabilities of DSAT, NEITHER, SAT: (turns, 3), each row sums to 1."""
        return self._read(turns).chances

    def _read(self, turns: Sequence[JudgedTurn]) -> _Read:
        made = _Read(
            chances=np.zeros((len(turns), 3)),
            shifts=np.full(len(turns), self._cues.neither_shift),
            embedded=np.zeros(len(turns), dtype=np.bool_),
        )
        for start in range(0, len(turns), CHUNK):
            self._read_chunk(turns[start : start + CHUNK], made, start)
        return made

    def _read_chunk(self, turns: Sequence[JudgedTurn], made: _Read, start: int) -> None:
        """Fill in the rows of ``made`` from ``start`` on."""
        readings = [read(turn) for turn in turns]
        cues = score(readings)
        chances = predict(design_matrix(cues), self._cues.coefficients, self._cues.temperature)
        readable = np.array([reading.readable for reading in readings], dtype=np.bool_)
        # With nothing to read there is nothing to judge, whatever the answer was.
        chances[~readable] = _NEITHER
        unsure = np.zeros(len(turns), dtype=np.bool_)
        if self._encoder is not None and self._full is not None:
            unsure = readable & (chances.max(axis=1) < self._embed_below)
            if unsure.any():
                texts = [readings[i].text for i in np.flatnonzero(unsure)]
                design = design_matrix(cues[unsure], _embed_once(self._encoder, texts))
                chances[unsure] = predict(design, self._full.coefficients, self._full.temperature)
                made.shifts[start : start + len(turns)][unsure] = self._full.neither_shift
        made.chances[start : start + len(turns)] = chances
        made.embedded[start : start + len(turns)] = unsure


def _embed_once(encoder: TextEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed each different text once; (texts, dim)."""
    places: dict[str, int] = {}
    for text in texts:
        places.setdefault(text, len(places))
    return encoder.encode(list(places))[[places[text] for text in texts]]
