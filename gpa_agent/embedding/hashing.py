"""A sentence encoder that needs no model: words and character n-grams, hashed.

The fallback where no MiniLM can be had. Each feature is dealt to a few of 384 slots with a
sign by its CRC-32 (feature hashing, Weinberger et al. 2009, https://arxiv.org/abs/0902.2206),
counts are dampened (1 + log tf), rows are L2-normalised. It knows spelling, not meaning: texts are
alike when they share words or parts of words.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_DIM = 384
_SLOTS = 4
"""Slots a feature is dealt to: several make a chance collision cost less (count sketch)."""
_MAX_CHARACTERS = 20_000
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_GRAMS = (3, 4)
_WORD_WEIGHT, _PAIR_WEIGHT, _GRAM_WEIGHT, _FUNCTION_WEIGHT = 1.0, 0.5, 0.35, 0.25
_FUNCTION_WORDS = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have he her his how
    i if in is it its just like me my of on or our please she so some than that the their them
    then there they this to up us was we were what when where which who will with would you your
    """.split()  # noqa: SIM905 -- a paragraph reads better than ninety literals
)
"""Words that say little about the subject; they count for a quarter, not for nothing."""


class HashingEncoder:
    """Hashed words, word pairs and character n-grams in 384 dimensions; the same in every process.

    Args:
        origin: What a screen says of it.
    """

    name = "hashing"
    dim = _DIM

    def __init__(self, *, origin: str = "built in (hashed words; no MiniLM was found)") -> None:
        self.origin = origin

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts.

        Args:
            texts: What to encode.

        Returns:
            (n, 384) L2-normalised rows; a text without a letter or digit is a row of zeros.
        """
        vectors = np.zeros((len(texts), _DIM), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _vector(text[:_MAX_CHARACTERS])
        return vectors


def _vector(text: str) -> NDArray[np.float32]:
    weights: dict[str, float] = {}
    counts = Counter[str]()
    for feature, weight in _features(text):
        counts[feature] += 1
        weights[feature] = weight
    if not counts:
        return np.zeros(_DIM, np.float32)
    codes = np.array(
        [zlib.crc32(f"{k}{feature}".encode()) for feature in counts for k in range(_SLOTS)],
        np.uint32,
    )
    size = np.repeat(
        [weights[feature] * (1.0 + math.log(count)) for feature, count in counts.items()], _SLOTS
    )
    sign = 1.0 - 2.0 * (codes >> np.uint32(31))
    vector = np.bincount(codes % _DIM, weights=sign * size, minlength=_DIM)
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)


def _features(text: str) -> Iterator[tuple[str, float]]:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    for word in words:
        common = word in _FUNCTION_WORDS
        yield f"w:{word}", _FUNCTION_WEIGHT if common else _WORD_WEIGHT
        if not common:
            marked = f"<{word}>"
            for length in _GRAMS:
                for start in range(len(marked) - length + 1):
                    yield f"g:{marked[start : start + length]}", _GRAM_WEIGHT
    for first, second in pairwise(words):
        yield f"p:{first} {second}", _PAIR_WEIGHT
